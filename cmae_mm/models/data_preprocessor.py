from collections.abc import Sequence
from math import isfinite

import torch
from mmpretrain.models import SelfSupDataPreprocessor

from cmae_mm.registry import MODELS


@MODELS.register_module()
class MultibandDataPreprocessor(SelfSupDataPreprocessor):
    """Normalise images of any number of channels, in one or several views.

    The stock preprocessors take a mean of one or three entries only. Channels are
    not swapped: :class:`cmae_mm.LoadMultibandImage` has them as in the file.

    Args:
        mean (Sequence[float]): Mean of each channel, in the units of the file.
        std (Sequence[float]): Standard deviation of each channel, above 0.

    Raises:
        ValueError: If mean and std differ in length or are empty, an entry is not
            finite, or a std is not above 0.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        finite = all(map(isfinite, (*mean, *std)))
        if len(mean) != len(std) or len(mean) == 0 or not finite or min(std) <= 0:
            raise ValueError(
                f'Got mean={list(mean)} and std={list(std)}; both need one entry per '
                'channel, none of them nan or inf, and every std must be above 0.'
            )
        # As in the stock ones: not in the state dict, but moved with the model.
        for name, values in (('mean', mean), ('std', std)):
            values = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move a batch to the device of the model, and normalise it.

        Args:
            data (dict): ``inputs``, a tensor (B, C, H, W) or a list of them, one
                per view, and ``data_samples``.
            training (bool): Not used.

        Returns:
            dict: The same, ``inputs`` being float32 and (x - mean) / std.
        """
        data = super().forward(data, training)
        inputs = data['inputs']
        if isinstance(inputs, torch.Tensor):
            data['inputs'] = self._normalise(inputs)
        else:
            data['inputs'] = [self._normalise(view) for view in inputs]
        return data

    def _normalise(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same, normalised; C as in mean and std."""
        if images.shape[1] != len(self.mean):
            raise ValueError(
                f'Images of {images.shape[1]} channels came to a preprocessor with '
                f'{len(self.mean)} entries in mean and std. Give one entry per '
                'channel.'
            )
        return (images - self.mean) / self.std
