"""Sick steps change nothing, and are counted and named; healthy runs stay as they are.

The file is a test, and also the script that each of two gloo ranks runs.
"""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.utils import digit_version
from torch import nn
from torch.utils.data import Dataset

MEASURES = re.compile('train/(spread|rank|similarity)_')  # of CollapseHook
NAN, INF = float('nan'), float('inf')
# Fused on the CPU since torch 2.4.
CAN_FUSE = digit_version(torch.__version__) >= digit_version('2.4.0')
FUSED = dict(type='AdamW', lr=1e-2, weight_decay=0.05, fused=CAN_FUSE)
PLAIN = {**FUSED, 'fused': False}
SGD = dict(type='SGD', lr=0.1, momentum=0.9)


class Pictures(Dataset):
    """Two views of noise for each of 16 pictures; some have an inf in them."""

    def __init__(self, sick=()):
        generator = torch.Generator().manual_seed(3)
        self.views = torch.randn(16, 2, 3, 16, 16, generator=generator)
        self.views[list(sick), :, 0, 0, 0] = INF

    def __len__(self):
        return 16

    def __getitem__(self, index):
        from mmpretrain.structures import DataSample

        sample = DataSample(metainfo=dict(img_path=f'{index}.jpg', sample_idx=index))
        return dict(inputs=list(self.views[index]), data_samples=sample)


class SickLoss(Hook):
    """Makes the loss of some iterations (from 0) sick."""

    priority = 'HIGHEST'

    def __init__(self, iterations, change):
        self.iterations, self.change = iterations, change

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        def spoil(model, args, losses):
            if runner.iter not in self.iterations:
                return losses
            name = 'loss_reconstruction'
            return {**losses, name: self.change(losses[name])}

        if runner.iter == 0:
            model = getattr(runner.model, 'module', runner.model)
            # Part of the model's own forward pass, so before the guard's hook.
            model.register_forward_hook(spoil, prepend=True)


class SickGradient(Hook):
    """Makes one number of one gradient sick in some iterations."""

    def __init__(self, iterations, value=NAN):
        self.iterations, self.value = iterations, value

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        def spoil(gradient):
            if runner.iter in self.iterations:
                gradient = gradient.clone()
                gradient.view(-1)[3] = self.value
            return gradient

        if runner.iter == 0:
            runner.model.pixel_decoder.decoder_pred.weight.register_hook(spoil)


def snapshot(runner):
    """All that a step changes, but for the momentum branch's own weights."""
    model = getattr(runner.model, 'module', runner.model)
    weights = dict(model.state_dict())
    targets = {
        name for name, _ in model.named_parameters() if name.startswith('target_')
    }
    optimiser = runner.optim_wrapper.optimizer.state_dict()['state']
    flat = {name: weights[name] for name in weights.keys() - targets}
    for number, state in optimiser.items():
        flat |= {f'{number}.{key}': value for key, value in state.items()}
    return {
        name: value.clone()
        for name, value in flat.items()
        if isinstance(value, torch.Tensor)
    }


class Recorder(Hook):
    """The state after each iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.states = []

    def before_train(self, runner):
        self.states.append(snapshot(runner))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.states.append(snapshot(runner))

    def changed(self):
        """For each iteration, whether it changed anything."""
        return [
            any(
                name not in before or not same(before[name], after[name])
                for name in after
            )
            for before, after in zip(self.states, self.states[1:], strict=False)
        ]


def same(one, other):
    return torch.equal(one.nan_to_num(7e7), other.nan_to_num(7e7))


def train(
    cfg,
    work_dir,
    hooks=(),
    limit=25,
    interval=3,
    guard=True,
    sick=(),
    optimizer=FUSED,
    wrapper=None,
    loop=None,
    epochs=2,
    **runner_options,
):
    """The real runner on 16 pictures, 4 at a time, in order; some may be sick."""
    from mmengine.config import Config
    from mmengine.runner import Runner

    import cmae_mm  # noqa: F401

    guards = [
        dict(type='cmae_mm.FiniteStepsHook', limit=limit, interval=interval),
        dict(type='cmae_mm.CollapseHook', interval=2),
    ]
    runner = Runner(
        model=copy.deepcopy(cfg),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            drop_last=True,
            dataset=Pictures(sick),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        optim_wrapper=dict(optimizer=optimizer, **(wrapper or {})),
        train_cfg=dict(max_epochs=epochs, **(loop or dict(by_epoch=True))),
        default_scope='mmpretrain',
        custom_hooks=[
            *hooks,
            *(guards if guard else ()),
            dict(type='cmae_mm.PlainCheckpointHook'),
        ],
        experiment_name=f'{work_dir}'.replace('/', '-'),
        randomness=dict(seed=0),
        cfg=Config(
            dict(
                custom_imports=dict(imports=['cmae_mm']),
                model_wrapper_cfg=dict(device_ids=None, broadcast_buffers=False),
            )
        ),
        **runner_options,
    )
    runner.train()
    return runner


@pytest.fixture
def norm_cfg(tiny_cfg):
    """The toy CMAE with BatchNorm in projector and predictor, as in the recipes."""
    for mlp in (tiny_cfg['projector'], tiny_cfg['contrastive_head']['predictor']):
        mlp['norm_cfg'] = dict(type='BN1d')
    return tiny_cfg


def history(runner):
    return {
        name: buffer.data[0].tolist()
        for name, buffer in runner.message_hub.log_scalars.items()
        if not name.endswith('time') and not MEASURES.search(name)
    }


def read(work_dir, rank=0):
    text = Path(work_dir, f'non_finite_rank{rank}.jsonl').read_text()
    return [json.loads(line) for line in text.splitlines()]


MICRO = dict(type='cmae_mm.MicroBatchTrainLoop', micro_batches=2)


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(optimizer=PLAIN),
        dict(optimizer=SGD, wrapper=dict(accumulative_counts=2)),
        dict(wrapper=dict(type='cmae_mm.AutocastOptimWrapper')),
        dict(loop=MICRO),
    ],
    ids=['fused', 'plain', 'accumulated', 'bfloat16', 'micro'],
)
def test_a_healthy_run_is_the_same_bit_for_bit(norm_cfg, tmp_path, options):
    with_guard = train(norm_cfg, tmp_path / 'with', **options)
    without = train(norm_cfg, tmp_path / 'without', guard=False, **options)
    assert history(with_guard) == history(without)
    for name, value in without.model.state_dict().items():
        assert torch.equal(with_guard.model.state_dict()[name], value), name
    assert not list(tmp_path.glob('with/*.jsonl'))


def test_pre_training_has_both_guards():
    from mmengine.config import Config

    configs = Path(__file__).parents[2] / 'configs'
    for name in (
        'pretrain/mae_*-300e_*.py',
        'cifar10/cmae_*.py',
        'ablation/byol-loss.py',
    ):
        (file,) = configs.glob(name)
        types = [hook['type'] for hook in Config.fromfile(file).default_hooks.values()]
        assert {'cmae_mm.FiniteStepsHook', 'cmae_mm.CollapseHook'} <= set(types)


SICKNESSES = {
    'loss is NaN': dict(hooks=[SickLoss({2}, lambda loss: loss * NAN)]),
    'loss is inf': dict(hooks=[SickLoss({2}, lambda loss: loss + INF)]),
    'NaN without gradient': dict(hooks=[SickLoss({2}, lambda loss: loss + NAN)]),
    'one gradient': dict(hooks=[SickGradient({2})]),
    'huge gradient': dict(hooks=[SickGradient({2}, 1e20)]),
    'inf in a picture': dict(sick=[9], epochs=1),
}


@pytest.mark.parametrize('optimizer', [FUSED, PLAIN], ids=['fused', 'plain'])
@pytest.mark.parametrize('sickness', SICKNESSES)
def test_a_sick_step_changes_nothing(norm_cfg, tmp_path, sickness, optimizer):
    recorder = Recorder()
    options = copy.copy(SICKNESSES[sickness])
    hooks = [recorder, *options.pop('hooks', ())]
    runner = train(norm_cfg, tmp_path, hooks, optimizer=optimizer, **options)
    steps = len(recorder.changed())
    assert recorder.changed() == [i != 2 for i in range(steps)]
    for name, value in runner.model.state_dict().items():
        assert value.isfinite().all(), name
    assert runner.message_hub.get_info('skipped_steps') == 1
    (line,) = read(tmp_path)
    assert line['iteration'] == 3
    assert line['files'] == ['8.jpg', '9.jpg', '10.jpg', '11.jpg']


def test_without_the_guard_one_sick_step_spoils_all(norm_cfg, tmp_path):
    """So that the test above can fail."""
    hooks = [SickLoss({2}, lambda loss: loss * NAN)]
    model = train(norm_cfg, tmp_path, hooks, guard=False).model
    assert not model.target_backbone.patch_embed.projection.weight.isfinite().any()


def test_sick_pictures_would_spoil_batch_norm(norm_cfg, tmp_path):
    """Statistics are written in the forward pass, before any gradient is known."""
    model = train(norm_cfg, tmp_path, sick=[9], guard=False, epochs=1).model
    assert not model.target_projector.bn0.running_mean.isfinite().any()


def test_accumulated_steps_are_skipped_and_named_as_a_whole(norm_cfg, tmp_path):
    recorder = Recorder()
    hooks = [recorder, SickLoss({2}, lambda loss: loss * NAN)]
    train(norm_cfg, tmp_path, hooks, wrapper=dict(accumulative_counts=2))
    weight = 'pixel_decoder.decoder_pred.weight'
    weights = [state[weight] for state in recorder.states]
    moved = [not same(a, b) for a, b in zip(weights, weights[1:], strict=False)]
    assert moved == [False, True, False, False, False, True, False, True]
    first, second = read(tmp_path)
    assert (first['iteration'], second['iteration']) == (3, 4)
    assert first['losses']['loss'] == 'nan'
    assert isinstance(second['losses']['loss'], float)
    # What the sick half has shown to BatchNorm is gone with the step.
    name = 'projector.bn0.running_mean'
    assert same(recorder.states[2][name], recorder.states[4][name])


def test_micro_batches_are_skipped_and_named_as_a_whole(norm_cfg, tmp_path):
    recorder = Recorder()
    train(norm_cfg, tmp_path, [recorder], sick=[9], loop=MICRO, epochs=1)
    assert recorder.changed() == [True, True, False, True]
    assert read(tmp_path)[0]['files'] == ['8.jpg', '9.jpg', '10.jpg', '11.jpg']


@pytest.mark.skipif(not hasattr(torch.amp, 'GradScaler'), reason='no scaler for CPUs')
@pytest.mark.parametrize('optimizer', [FUSED, PLAIN], ids=['fused', 'plain'])
def test_steps_that_a_loss_scaler_skips_are_counted(norm_cfg, tmp_path, optimizer):
    """The scaler of ``AmpOptimWrapper``, which wants a GPU for nothing else."""
    from mmengine.optim import AmpOptimWrapper, OptimWrapper
    from mmengine.registry import OPTIM_WRAPPERS

    class ScalerOnTheCPU(AmpOptimWrapper):
        def __init__(self, **kwargs):
            OptimWrapper.__init__(self, **kwargs)
            self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=64.0)
            self._scale_update_param, self.cast_dtype = None, torch.bfloat16

    OPTIM_WRAPPERS.register_module(module=ScalerOnTheCPU, force=True)
    recorder = Recorder()
    hooks = [recorder, SickLoss({2}, lambda loss: loss * NAN)]
    runner = train(
        norm_cfg,
        tmp_path,
        hooks,
        optimizer=optimizer,
        wrapper=dict(type='mmengine.ScalerOnTheCPU'),
    )
    assert recorder.changed() == [i != 2 for i in range(8)]
    assert runner.optim_wrapper.loss_scaler.get_scale() == 32
    assert runner.message_hub.get_info('skipped_steps') == 1
    assert not hasattr(runner.optim_wrapper.optimizer, 'found_inf')


def test_too_many_in_a_row_stop_the_run(norm_cfg, tmp_path):
    hooks = [SickLoss({0, 2, 3, 4, 5, 6, 7}, lambda loss: loss * NAN)]
    with pytest.raises(RuntimeError, match='4 steps in a row') as stopped:
        train(norm_cfg, tmp_path, hooks, limit=4)
    assert 'up to iteration 6' in str(stopped.value)
    assert str(tmp_path / 'non_finite_rank0.jsonl') in str(stopped.value)
    assert [line['iteration'] for line in read(tmp_path)] == [1, 3, 4, 5, 6]


def test_scattered_ones_do_not_stop_it_and_are_logged(norm_cfg, tmp_path):
    hooks = [SickLoss({0, 2, 4, 6}, lambda loss: loss * NAN)]
    runner = train(norm_cfg, tmp_path, hooks, limit=2)
    assert history(runner)['train/skipped_steps'] == [2, 3]
    assert runner.message_hub.get_info('skipped_steps') == 4


def test_a_resumed_run_goes_on_counting(norm_cfg, tmp_path):
    """Also of steps that nobody has looked at when the checkpoint is written."""
    train(norm_cfg, tmp_path / 'one', sick=[9], epochs=1, interval=25)
    file = str(tmp_path / 'one' / 'epoch_1.pth')
    found = torch.load(file, weights_only=True)['message_hub']['runtime_info']
    assert found['skipped_steps'] == 1
    options = dict(resume=True, load_from=file)
    runner = train(norm_cfg, tmp_path / 'two', sick=[9], **options)
    assert runner.message_hub.get_info('skipped_steps') == 2


def test_a_folder_that_cannot_be_written_does_not_end_the_run(norm_cfg, tmp_path):
    (tmp_path / 'non_finite_rank0.jsonl').mkdir()
    runner = train(norm_cfg, tmp_path, sick=[9])
    assert runner.message_hub.get_info('skipped_steps') == 2


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.2.0'),
    reason='torch 2.1 has no norms on the meta device',
)
@pytest.mark.parametrize('fused', [True, False])
def test_only_optimisers_that_are_not_fused_wait_for_the_device(fused):
    """On the meta device, where there is nothing to read."""
    from cmae_mm.guards import FiniteStepsHook
    from cmae_mm.guards.finite import spoil_sick_losses

    with torch.device('meta'):
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]['fused'] = fused
    for param in model.parameters():
        param.grad = torch.empty_like(param)
    wrapper = SimpleNamespace(optimizer=optimizer, should_update=lambda: True)
    hub = SimpleNamespace(get_info=lambda name, default: default)
    runner = SimpleNamespace(
        model=model, optim_wrapper=wrapper, message_hub=hub, iter=0
    )
    hook = FiniteStepsHook()
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    losses = spoil_sick_losses(model, (), dict(loss=torch.ones((), device='meta')))
    if not fused:
        with pytest.raises(RuntimeError, match='item'):
            hook._before_step(optimizer, (), {})
        return
    hook._before_step(optimizer, (), {})
    hook._after_step(optimizer, (), {})
    hook.after_train_iter(runner, 0, outputs=losses)
    assert len(hook._steps) == 1


@pytest.mark.slow
def test_gloo_ranks_skip_together(norm_cfg, tmp_path):
    """Rank 1's pictures are sick; its loss is its own (MAE), the step everybody's."""
    cfg = {**norm_cfg, 'contrastive_weight': 0}
    given = tmp_path / 'given.pt'
    torch.save(cfg, given)
    torchrun = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    subprocess.run(
        [sys.executable, *torchrun, __file__, given, tmp_path], check=True, timeout=300
    )
    ranks = [torch.load(tmp_path / f'{r}.pt', weights_only=True) for r in range(2)]
    assert ranks[0]['changed'] == ranks[1]['changed'] == [True, False]
    assert ranks[0]['agreed'] == ranks[1]['agreed'] == 1
    for name, value in ranks[0]['weights'].items():
        assert value.isfinite().all()
        assert torch.equal(value, ranks[1]['weights'][name])
    (healthy,), (sick,) = read(tmp_path, 0), read(tmp_path, 1)
    assert isinstance(healthy['losses']['loss_reconstruction'], float)
    assert sick['losses']['loss_reconstruction'] == 'nan'
    assert '9.jpg' in sick['files']


def run_rank(given, folder):
    """Two steps under DDP; then a step with gradients that differ between ranks."""
    import torch.distributed as dist

    dist.init_process_group('gloo')
    cfg, recorder = torch.load(given, weights_only=True), Recorder()
    options = dict(launcher='pytorch', epochs=1, interval=1)
    runner = train(cfg, folder, [recorder], sick=[9], **options)

    from cmae_mm.guards import FiniteStepsHook

    rank, model = dist.get_rank(), nn.Linear(2, 2)
    runner.model = model
    runner.optim_wrapper.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hook = FiniteStepsHook()
    hook.before_train(runner)
    model.weight.grad = torch.full((2, 2), NAN if rank == 0 else 1.0)
    runner.optim_wrapper.optimizer.step()
    found = dict(
        changed=recorder.changed(),
        weights=recorder.states[-1],
        agreed=int(hook._sick),
    )
    torch.save(found, Path(folder, f'{rank}.pt'))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == '__main__':
    run_rank(*sys.argv[1:])
