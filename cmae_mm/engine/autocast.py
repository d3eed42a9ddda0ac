from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from cmae_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, on a GPU or on a CPU, without a loss scaler.

    bfloat16 has the range of float32, so nothing has to be scaled. MMEngine's
    ``AmpOptimWrapper`` keeps a scaler and refuses to run on a CPU; take it, with
    ``dtype='float16'``, on GPUs that know no bfloat16 (before Ampere).

    Args:
        dtype (str): Name of a dtype of torch. Defaults to 'bfloat16'.
        **kwargs: See :class:`mmengine.optim.OptimWrapper`.

    Raises:
        ValueError: If it is another dtype.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs) -> None:
        super().__init__(**kwargs)
        if dtype not in ('bfloat16', 'float16'):
            raise ValueError(f'dtype={dtype!r} is neither bfloat16 nor float16.')
        self.dtype = getattr(torch, dtype)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Forward passes in here run in mixed precision."""
        with super().optim_context(model), torch.autocast(get_device(), self.dtype):
            yield
