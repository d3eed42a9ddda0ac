import torch
from mmcv.cnn.bricks import DropPath
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.utils import digit_version
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer

from cmae_mm.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the transformer blocks with ``torch.compile`` before training.

    Block by block: one compilation serves all blocks of the same width, and the
    parts that compile badly (gathers between ranks, BatchNorm across ranks,
    autocast) stay as they are. Names in the state dict do not change. Worth it on
    a GPU; on a CPU compiling takes longer than it gives.

    Args:
        **kwargs: For ``torch.compile``, such as ``mode`` or ``backend``.

    Raises:
        RuntimeError: On torch 2.1, where compiling keeps optimisers from calling the
            hooks that :class:`FiniteStepsHook` stands on.
    """

    def __init__(self, **kwargs) -> None:
        self.kwargs = kwargs

    def before_train(self, runner: Runner) -> None:
        """Mark every block; the first batch compiles them."""
        if digit_version(torch.__version__) < digit_version('2.2.0'):
            raise RuntimeError(
                f'torch {torch.__version__} calls no hooks of optimisers any more once '
                'something is compiled, so sick steps would go unseen. Take torch 2.4 '
                'or newer, or leave cmae_mm.CompileHook out.'
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        blocks = [m for m in model.modules() if isinstance(m, TransformerEncoderLayer)]
        for module in model.modules():
            # Of NumPy's type in mmpretrain's blocks, where the compiler breaks off.
            if isinstance(module, DropPath):
                module.drop_prob = float(module.drop_prob)
        for block in blocks:
            block.compile(dynamic=False, **self.kwargs)
        runner.logger.info(f'{len(blocks)} transformer blocks will be compiled.')
