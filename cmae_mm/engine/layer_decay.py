from collections.abc import Callable
from functools import partial

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

    Without ``layer_decay_rate`` all rates are equal; pre-training uses it so.

    Args:
        optim_wrapper_cfg (dict): See the base class.
        paramwise_cfg (dict, optional): See the base class: ``layer_decay_rate``,
            ``norm_decay_mult``, ``bias_decay_mult``, ``flat_decay_mult`` and
            ``custom_keys`` with ``decay_mult``.
    """

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
