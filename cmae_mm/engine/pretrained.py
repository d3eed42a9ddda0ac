from collections.abc import Iterable

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from cmae_mm.registry import HOOKS

from .source_grid import check_grid
from .weights import whole_model


@HOOKS.register_module()
class CheckPretrainedHook(Hook):
    """Refuses a pre-trained checkpoint that does not fit the model.

    MMEngine loads weights non-strictly: a file of another architecture, or a
    wrong prefix, leaves the model at its random start with a line in the log at
    most. This hook counts before training what will really be loaded.

    Args:
        min_share (float): Share of a module's parameters that the checkpoint named in
            its ``init_cfg`` must hold in the right shape, in (0, 1]. The rest is
            for what transfer adds, such as another final norm. Defaults to 0.9.

    Raises:
        RuntimeError: If less than that would be loaded, a checkpoint given by
            ``load_from`` or to ``mim test`` holds nothing for the model, or the
            positions are of another grid (:func:`.source_grid.check_grid`).
    """

    def __init__(self, min_share: float = 0.9) -> None:
        if not 0 < min_share <= 1:
            raise ValueError(f'min_share={min_share} must lie in (0, 1].')
        self.min_share = min_share

    @master_only
    def before_run(self, runner: Runner) -> None:
        """Check every ``init_cfg=dict(type='Pretrained', ...)`` of the model.

        A test loads its own checkpoint and never looks at ``init_cfg``; there the
        optimiser is still a config.
        """
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return
        for name, module in whole_model(runner.model).named_modules():
            init_cfg = getattr(module, 'init_cfg', None)
            if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
                self._check(name or type(module).__name__, module, init_cfg, runner)

    def _check(
        self, name: str, module: nn.Module, init_cfg: dict, runner: Runner
    ) -> None:
        file, prefix = init_cfg['checkpoint'], init_cfg.get('prefix') or ''
        if prefix and not prefix.endswith('.'):
            prefix += '.'
        checkpoint = CheckpointLoader.load_checkpoint(file, map_location='cpu')
        weights = checkpoint.get('state_dict', checkpoint)
        held = {
            key[len(prefix) :]: tuple(value.shape)
            for key, value in weights.items()
            if key.startswith(prefix) and hasattr(value, 'shape')
        }
        wanted = {key: tuple(p.shape) for key, p in module.named_parameters()}
        # The position embedding is resized while loading, so its name suffices.
        fits = [
            key
            for key, shape in wanted.items()
            if held.get(key) == shape or ('pos_embed' in key and key in held)
        ]
        share = len(fits) / max(len(wanted), 1)
        if share < self.min_share:
            raise RuntimeError(
                f'{file} holds only {len(fits)} of the {len(wanted)} parameters of '
                f'{name} (prefix={prefix!r}, {len(held)} tensors under it). '
                f'Missing or of another shape, for example: '
                f'{_examples(set(wanted) - set(fits))}. The file starts with: '
                f'{_examples(weights)}. Is it of the same architecture and patch '
                'size? A CMAE checkpoint wants prefix="backbone.".'
            )
        if 'pos_embed' in held:
            check_grid(module, file, checkpoint.get('meta'), held['pos_embed'])
        runner.logger.info(
            f'{name} starts from {file}: {len(fits)} of {len(wanted)} parameters.'
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Say what a checkpoint gives each part of the model; refuse one without.

        Runs before the weights are loaded, for ``load_from``, ``resume`` and
        ``mim test``.
        """
        model = whole_model(runner.model)
        # mmseg tests several scales with a model around the model.
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        weights = checkpoint.get('state_dict', checkpoint)
        wanted = model.state_dict()
        if not set(weights) & set(wanted):
            raise RuntimeError(
                f'The checkpoint has nothing for {type(model).__name__}. It holds '
                f'{_examples(weights)}; the model wants '
                f'{_examples(wanted)}. Is it the checkpoint of another '
                'config, or of another library (`cmae convert`)?'
            )
        # The decoders lie on the backbone's grid.
        if 'backbone.pos_embed' in weights and 'backbone.pos_embed' in wanted:
            positions = tuple(weights['backbone.pos_embed'].shape)
            check_grid(
                model.backbone, 'The checkpoint', checkpoint.get('meta'), positions
            )
        for part, (held, fits, total) in _count_by_part(weights, wanted).items():
            if part == 'backbone' and held and fits < self.min_share * total:
                raise RuntimeError(
                    f'The checkpoint holds a backbone of another shape: only {fits} '
                    f'of {total} tensors fit. Is it of the same architecture?'
                )
            if fits:
                start = f'{fits} of {total} tensors'
            elif held:
                start = 'fresh, the file holds another shape'
            elif part.startswith('target_'):
                start = 'a copy of the online branch'
            else:
                start = 'fresh, not in the file'
            runner.logger.info(f'Checkpoint for {part}: {start}')


def _count_by_part(
    weights: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]
) -> dict[str, tuple[int, int, int]]:
    """For each part of a model: tensors in the file, those that fit, and all it has."""
    counts: dict[str, tuple[int, int, int]] = {}
    for name, value in wanted.items():
        part = name.split('.')[0]
        held, fits, total = counts.get(part, (0, 0, 0))
        if name in weights:
            held += 1
            fits += _fits(name, weights[name].shape, value.shape)
        counts[part] = (held, fits, total + 1)
    return counts


def _fits(name: str, found: torch.Size, wanted: torch.Size) -> bool:
    """The same shape; positions, which loading resizes, at least the same width."""
    if name.endswith('pos_embed'):
        return found[-1] == wanted[-1]
    return found == wanted


def _examples(names: Iterable[str], count: int = 3) -> str:
    """The first few names, in one string."""
    return ', '.join(sorted(map(str, names))[:count]) or 'nothing'
