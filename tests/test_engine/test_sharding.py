"""A sharded model must train as one that is whole.

The file is a test, and also the script that each of two processes runs.
"""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.registry import MODELS, RUNNERS, init_default_scope
from mmengine.runner import Runner
from mmengine.utils import digit_version
from PIL import Image
from torch import nn

from cmae_mm.engine.sharding import matrices_of, outline_of, remainders_of
from cmae_mm.models.masking import Masking

PRETRAIN = Path(__file__).parents[2] / 'configs/pretrain'
SHARDED = PRETRAIN / 'cmae_vit-huge-p14_32xb128-fsdp-amp-coslr-300e_in1k.py'


class FirstHalf(nn.Module):
    """The first patches are visible; a draw for two halves has another order."""

    def forward(self, batch):
        places = torch.arange(16).expand(batch, 16)
        return Masking(places[:, :8], places[:, 8:])


def tiny_config(folder, model, world, epochs, resume=False):
    """The config of ViT-H at toy size: 16 images, steps of 8 over all processes."""
    cfg = Config.fromfile(SHARDED)
    cfg.model = {
        **model,
        'target_final_norm': cfg.model.target_final_norm,
        'data_preprocessor': cfg.model.data_preprocessor,
    }
    loader = cfg.train_dataloader
    loader.update(batch_size=8 // world, num_workers=0, persistent_workers=False)
    loader.sampler.shuffle = False
    crop, views, pack = loader.dataset.pipeline
    crop.scale = 20
    views.update(size=16, shift_range=(0, 4), colour=None)
    loader.dataset = dict(
        type='cmae_mm.UnlabelledImages',
        data_root=str(folder / 'pictures'),
        pipeline=[crop, views, pack],
    )
    for part in ('dataloader', 'cfg', 'evaluator'):
        cfg.pop(f'test_{part}')
    cfg.optim_wrapper.type = 'OptimWrapper'
    # A larger eps than usual: biases of attention keys have no gradient but noise.
    cfg.optim_wrapper.optimizer.update(lr=1e-2, eps=1e-3)
    warmup, cosine = cfg.param_scheduler
    warmup.end = cosine.begin = 1
    cosine.end = 3
    cfg.train_cfg.max_epochs = epochs
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(folder / f'{world}')
    cfg.load_from = None if resume else str(folder / 'start.pth')
    cfg.resume = resume
    cfg.experiment_name = f'{folder.name}-{world}-{epochs}'
    cfg.log_level = 'ERROR'
    if world == 1:
        cfg.pop('strategy')
        cfg.pop('runner_type')
    else:
        cfg.launcher = 'pytorch'
        cfg.strategy.model_wrapper = dict(type='cmae_mm.ShardedCMAE', param_dtype=None)
    return cfg


def train(cfg):
    """Train with the runner that the config names; the runner."""
    init_default_scope('mmpretrain')
    # As tools/train.py of mmpretrain does.
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    runner = build(copy.deepcopy(cfg))
    if isinstance(runner.model, dict):
        runner.model = MODELS.build(runner.model)
    runner.model.backbone.masking = FirstHalf()
    runner.train()
    return runner


def step_in_bfloat16(model, state, views):
    """Loss and, on rank 0, all weights after one step of the default wrapper."""
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODEL_WRAPPERS

    model = MODELS.build(model)
    model.load_state_dict(state)
    model.backbone.masking = FirstHalf()
    if dist.is_initialized():
        model = MODEL_WRAPPERS.build(dict(type='cmae_mm.ShardedCMAE', module=model))
    optimizer = dict(type='SGD', lr=0.1)
    wrapper = build_optim_wrapper(
        model, dict(type='cmae_mm.AutocastOptimWrapper', optimizer=optimizer)
    )
    loss = model.train_step(dict(inputs=views, data_samples=None), wrapper)['loss']
    return loss.detach(), model.state_dict()


def run_rank(folder: Path) -> None:
    """One of the two ranks: an epoch, two more after a new start, a step in bf16."""
    dist.init_process_group('gloo')
    rank, world = dist.get_rank(), dist.get_world_size()
    model, state, views = torch.load(folder / 'given.pt', weights_only=True)
    train(tiny_config(folder, model, world, epochs=1))
    if rank == 0:  # the file itself is enough
        (folder / f'{world}/last_checkpoint').unlink()
    dist.barrier()
    runner = train(tiny_config(folder, model, world, epochs=3, resume=True))
    assert type(runner.model).__name__ == 'ShardedCMAE'
    held = sum(p.numel() for p in runner.model.parameters())
    mine = [view.chunk(world)[rank] for view in views]
    loss, weights = step_in_bfloat16(model, state, mine)
    dist.all_reduce(loss)
    if rank == 0:
        torch.save((held, loss / world, weights), folder / 'result.pt')
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize(
    'name',
    [
        SHARDED.name,
        'cmae-paper_vit-base-p16_32xb128-amp-coslr-300e_in1k.py',
        'cmae_convvit-base-p16_32xb128-amp-coslr-300e_in1k.py',
    ],
)
def test_parts_of_the_target_have_twins_of_the_same_parameters(name):
    """So that both are cut at the same places, whatever the number of processes."""
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(PRETRAIN / name).model)
    names = {module: name for name, module in model.named_modules()}
    cuts = [*matrices_of(model), *remainders_of(model)]
    parts = {names[getattr(parent, name)] for parent, name in cuts}

    def own(part):
        """Parameters of a part that belong to no part inside it."""
        nested = tuple(f'{name}.' for name in parts if name.startswith(f'{part}.'))
        return [
            (name, value.shape)
            for name, value in model.get_submodule(part).named_parameters()
            if not f'{part}.{name}'.startswith(nested)
        ]

    targets = {part for part in parts if part.startswith('target_')}
    for part in targets:
        assert own(part) == own(part.removeprefix('target_')), part
    cut = sum(shape.numel() for part in targets for _, shape in own(part))
    whole = [model.target_backbone, model.target_projector]
    assert cut == sum(p.numel() for part in whole for p in part.parameters())


def test_plain_mae_has_no_second_branch_to_cut(build, tiny_cfg):
    model = build({**tiny_cfg, 'contrastive_weight': 0})
    assert list(remainders_of(model)) == []


def test_outline_is_the_model_without_numbers(build, tiny_cfg):
    model = build(tiny_cfg)
    outline = outline_of(model)
    expected, found = model.state_dict(), outline.state_dict()
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype)
        assert (found[name].device.type, value.device.type) == ('meta', 'cpu')


@pytest.fixture
def folder(tmp_path, build, tiny_cfg):
    """Sixteen pictures, a start without a target, and what else the ranks are given."""
    (tmp_path / 'pictures').mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 24, 3), dtype=np.uint8)
    for i, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / f'pictures/{i:02}.png')
    torch.manual_seed(1)  # not the seed of the run, which would start alike
    state = build(tiny_cfg).state_dict()
    online = {k: v for k, v in state.items() if not k.startswith('target_')}
    torch.save(dict(state_dict=online), tmp_path / 'start.pth')
    views = [torch.randn(8, 3, 16, 16) for _ in range(2)]
    torch.save((tiny_cfg, state, views), tmp_path / 'given.pt')
    return tmp_path


@pytest.mark.slow
def test_two_sharded_processes_equal_one(folder, tiny_cfg):
    """Three epochs by the runner, saved and resumed after one."""
    if digit_version(torch.__version__) < digit_version('2.2.0'):
        pytest.skip('FSDP of torch 2.1 wants a GPU')
    torchrun = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    subprocess.run(
        [sys.executable, '-W', 'ignore', *torchrun, __file__, folder],
        check=True,
        timeout=300,
    )
    held, loss, in_bfloat16 = torch.load(folder / 'result.pt', weights_only=True)
    found = torch.load(folder / '2/epoch_3.pth', weights_only=True)

    runner = train(tiny_config(folder, tiny_cfg, 1, epochs=3))
    expected = runner.model.state_dict()
    assert held < 0.6 * sum(p.numel() for p in runner.model.parameters())
    assert list(found['state_dict']) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(
            found['state_dict'][name], value, rtol=1e-4, atol=1e-6, msg=name
        )
    start = torch.load(folder / 'start.pth', weights_only=True)['state_dict']
    target, online = (f'{part}backbone.cls_token' for part in ('target_', ''))
    assert not torch.equal(expected[target], expected[online])
    assert not torch.equal(expected[target], start[online])
    base_lr = found['message_hub']['log_scalars']['train/base_lr']['values']
    assert base_lr.tolist() == pytest.approx(
        runner.message_hub.get_scalar('train/base_lr').data[0].tolist()
    )

    encoder = {k: v for k, v in found['state_dict'].items() if 'backbone.' == k[:9]}
    vit = dict(tiny_cfg['backbone'], type='VisionTransformer')
    vit = {k: v for k, v in vit.items() if k not in ('mask_ratio', 'block_size')}
    MODELS.build(vit).load_state_dict({k[9:]: v for k, v in encoder.items()})

    _, state, views = torch.load(folder / 'given.pt', weights_only=True)
    expected_loss, expected = step_in_bfloat16(tiny_cfg, state, views)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-2, atol=0)
    for name, value in expected.items():
        torch.testing.assert_close(
            in_bfloat16[name], value, rtol=1e-2, atol=1e-3, msg=name
        )


if __name__ == '__main__':
    run_rank(Path(sys.argv[1]))
