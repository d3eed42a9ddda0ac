from mmpretrain.models import SelfSupDataPreprocessor

from cmae_mm.registry import MODELS

from .device_colour import colour_batch


@MODELS.register_module()
class TwoViewPreprocessor(SelfSupDataPreprocessor):
    """``SelfSupDataPreprocessor`` that can colour the target view on the device.

    It does so in training, with samples that carry a draw of colours: those of
    ``TwoViews(colour_on='device')`` with ``PackInputs(meta_keys=('colour', ...))``.
    All others it treats as its parent does; so a test sees images as they are.

    Images are uint8 and BGR until here; use ``to_rgb=True``.

    Args:
        See :class:`mmpretrain.models.SelfSupDataPreprocessor`. ``non_blocking=True``
        copies while the device computes, if the data loader has
        ``pin_memory=True``.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move to the device, colour, and normalise.

        Args:
            data (dict): ``inputs``, views (B, 3, H, W), the target view second,
                and ``data_samples``.
            training (bool): Whether this is a training step.

        Returns:
            dict: The same, ``inputs`` being float and normalised.
        """
        samples = data.get('data_samples') or []
        colours = [sample.get('colour') for sample in samples]
        if training and colours and None not in colours:
            online, target = self.cast_data(data['inputs'])
            inputs = [online, colour_batch(target, colours)]
            data = {**data, 'inputs': inputs}
        return super().forward(data, training)
