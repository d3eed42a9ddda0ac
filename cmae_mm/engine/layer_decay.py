from collections.abc import Callable
from functools import partial

import torch
from mmengine.optim import OptimWrapper
from mmengine.utils import digit_version
from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from torch import nn

from cmae_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(LearningRateDecayOptimWrapperConstructor):
    """Layer-wise learning rate decay for all three libraries, in few groups.

    What it adds to mmpretrain's constructor:

    - Models of mmseg and mmdet have no ``get_layer_depth``; their backbone is
      asked instead. Everything outside of the backbone gets the full rate.
    - Parameters with equal settings share one group, so that the foreach and
      fused optimisers have something to fuse (ViT-B: 28 groups, not 150).
    - Adam and AdamW are fused where torch can, unless the config says otherwise.

    Without ``layer_decay_rate`` all rates are equal; pre-training uses it so.

    Args:
        optim_wrapper_cfg (dict): See the base class.
        paramwise_cfg (dict, optional): See the base class: ``layer_decay_rate``,
            ``norm_decay_mult``, ``bias_decay_mult``, ``flat_decay_mult`` and
            ``custom_keys`` with ``decay_mult``.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser wrapper of a model that is on its device already."""
        cfg = self.optimizer_cfg
        if cfg['type'] in ('Adam', 'AdamW') and not {'fused', 'foreach'} & set(cfg):
            cfg['fused'] = can_fuse(model)
        return super().__call__(model)

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        get_layer_depth: Callable | None = None,
        **kwargs,
    ) -> None:
        """Collect the parameters of ``module``, see the base class.

        Raises:
            NotImplementedError: If neither the model nor its backbone knows the
                depth of its layers.
            ValueError: If the optimiser has no ``weight_decay``.
        """
        is_root = prefix == ''
        if self.base_wd is None:
            raise ValueError(
                'The optimizer config has no weight_decay, which layer decay sets '
                'for each group. Give it, 0.0 for none.'
            )
        if is_root and not hasattr(module, 'get_layer_depth'):
            backbone = getattr(module, 'backbone', None)
            if not hasattr(backbone, 'get_layer_depth'):
                raise NotImplementedError(
                    f'The layers of {type(module).__name__} with the backbone '
                    f'{type(backbone).__name__} have no known depth. Layer decay '
                    'needs a backbone with get_layer_depth, such as '
                    'mmpretrain.VisionTransformer.'
                )
            get_layer_depth = partial(backbone.get_layer_depth, prefix='backbone.')
        super().add_params(params, module, prefix, get_layer_depth, **kwargs)
        if is_root:
            params[:] = merge_equal_groups(params)


def can_fuse(model: nn.Module) -> bool:
    """Whether torch has a fused Adam for all parameters; on the CPU since 2.4."""
    on_cpu = digit_version(torch.__version__) >= digit_version('2.4.0')
    devices = {param.device.type for param in model.parameters()}
    return devices <= ({'cuda', 'cpu'} if on_cpu else {'cuda'})


def merge_equal_groups(groups: list[dict]) -> list[dict]:
    """Put parameters with the same settings into one group.

    Args:
        groups (list[dict]): Optimiser groups; ``params`` is a list of tensors,
            ``param_name`` and ``layer_id`` are labels and dropped, everything
            else is a setting.

    Returns:
        list[dict]: One group per distinct setting, in order of appearance.
    """
    merged: dict[tuple, dict] = {}
    for group in groups:
        settings = {
            key: value
            for key, value in group.items()
            if key not in ('params', 'param_name', 'layer_id')
        }
        key = tuple(sorted((name, repr(value)) for name, value in settings.items()))
        merged.setdefault(key, {'params': [], **settings})
        merged[key]['params'].extend(group['params'])
    return list(merged.values())
