"""Do these weights belong to this model?"""

import torch
from mmengine.model import is_model_wrapper
from torch import nn


def compare_weights(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Demand that weights and model agree key by key.

    MMEngine resumes non-strictly: what a checkpoint lacks would start at random.

    Args:
        model (nn.Module): Wrapped for several processes or not.
        weights (dict[str, torch.Tensor]): The ``state_dict`` of a checkpoint.

    Raises:
        RuntimeError: With some of the names that are missing, left over or of another
            shape.
    """
    model = whole_model(model)
    wanted = (model.module if is_model_wrapper(model) else model).state_dict()
    held = {name.removeprefix('module.'): value for name, value in weights.items()}
    missing = sorted(set(wanted) - set(held))
    unknown = sorted(set(held) - set(wanted))
    reshaped = [
        f'{name} {tuple(held[name].shape)} instead of {tuple(value.shape)}'
        for name, value in wanted.items()
        if name in held and held[name].shape != value.shape
    ]
    problems = [
        f'{len(names)} {what}, for example {", ".join(names[:3])}'
        for what, names in (
            ('missing', missing),
            ('unknown to the model', unknown),
            ('of another shape', reshaped),
        )
        if names
    ]
    if problems:
        raise RuntimeError(
            'The checkpoint is not one of this model and cannot be resumed: '
            + '; '.join(problems)
            + '. Resume with the config that wrote it; to start a new training from '
            'what fits, take load_from without resume.'
        )


def whole_model(model: nn.Module) -> nn.Module:
    """The model itself; of a sharded one, which holds slices, what it is like."""
    return getattr(model, 'outline', model)
