"""The real runner in the benchmark: it works, whatever it finds."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

import benchmark_e2e  # noqa: E402
import benchmark_run  # noqa: E402
from benchmark_pictures import make_pictures  # noqa: E402

TINY = '--device cpu --arch tiny --batch 2 --iterations 2 --warm-up 1 --workers 0'


@pytest.fixture
def arguments(tmp_path):
    """The parsed command line of a process of its own."""
    make_pictures(tmp_path, 3)

    def parse(who, more=''):
        words = [str(tmp_path), *TINY.split(), '--who', who, *more.split()]
        return benchmark_e2e.parse_args(words)

    return parse


def config(arguments, who, more=''):
    """The config that this contender trains by."""
    return benchmark_e2e.our_config(arguments(who, more), Path('l.json'), epochs=3)


def names(cfg):
    """The steps of its pipeline."""
    return [step['type'] for step in cfg.train_dataloader.dataset.pipeline]


def test_default_is_the_config_on_other_pictures(arguments):
    cfg = config(arguments, 'default')
    assert names(cfg) == ['cmae_mm.FastMasterCrop', 'cmae_mm.TwoViews', 'PackInputs']
    assert cfg.train_cfg == dict(type='cmae_mm.EndlessEpochLoop', max_epochs=3)
    assert cfg.optim_wrapper.type == 'cmae_mm.AutocastOptimWrapper'
    hook = cfg.default_hooks.runtime_info.type
    assert hook == 'cmae_mm.DeferredRuntimeInfoHook'
    assert cfg.train_dataloader.dataset.ann_file == 'l.json'


def test_each_contender_lacks_what_it_is_named_after(arguments):
    cfg = config(arguments, 'reference')
    assert names(cfg)[1:3] == ['RandomResizedCrop', 'RandomFlip']
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=3)
    assert cfg.default_hooks.runtime_info.type == 'RuntimeInfoHook'
    assert names(config(arguments, 'reference-views')) == names(cfg)
    default = config(arguments, 'default')
    loop, reads, colour = (
        config(arguments, who) for who in ('stock-loop', 'stock-reads', 'device-colour')
    )
    assert loop.train_cfg.by_epoch and names(loop) == names(default)
    assert reads.default_hooks.runtime_info.type == 'RuntimeInfoHook'
    assert reads.train_cfg == default.train_cfg
    step, pack = colour.train_dataloader.dataset.pipeline[1:]
    assert step.colour_on == 'device' and 'colour' in pack.meta_keys


@pytest.mark.usefixtures('compiling')
def test_precision_and_compiling_are_options(arguments):
    cfg = config(arguments, 'default', '--dtype float32 --compile eager')
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert cfg.custom_hooks[-1] == dict(type='cmae_mm.CompileHook', backend='eager')


def test_a_config_without_reference_pipeline_explains_itself(arguments):
    with pytest.raises(SystemExit, match='has no reference_pipeline'):
        benchmark_e2e.reference_views({}, Path('mine.py'))


def test_pictures_come_over_and_over_until_an_epoch_is_full(arguments, tmp_path):
    listing = tmp_path / 'list.json'
    assert benchmark_e2e.write_listing(arguments('default'), listing) == 1
    files = [Path(entry['filename']).name for entry in json.loads(listing.read_text())]
    assert files == ['00000.jpg', '00001.jpg', '00002.jpg'] * 2
    args = arguments('default', '--per-epoch 2')
    assert benchmark_e2e.write_listing(args, listing) == 2
    assert len(json.loads(listing.read_text())) == 4


def test_defaults_follow_the_device():
    """Those of the command and of its processes, which see no GPU with `cpu`."""
    args = benchmark_e2e.parse_args(['--device', 'cuda'])
    assert (args.batch, args.workers, args.iterations) == (256, 8, 100)
    args = benchmark_e2e.parse_args(['--device', 'cpu', '--warm-up', '5'])
    assert (args.batch, args.workers, args.warm_up) == (8, 1, 5)


@pytest.mark.parametrize('words', ['--warm-up 0', '--against released'])
def test_what_cannot_be_measured_is_refused(words):
    with pytest.raises(SystemExit):
        benchmark_e2e.parse_args(words.split())


def test_clock_counts_the_time_between_steps(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(benchmark_run.time, 'perf_counter', lambda: now[0])
    clock = benchmark_run.Clock(warm_up=2, iterations=3, device='cpu')
    runner = SimpleNamespace(iter=0)
    for _ in range(7):  # waits for 1 second, steps for 3
        now[0] += 1
        clock.before_train_iter(runner, 0)
        now[0] += 3
        clock.after_train_iter(runner, 0)
        runner.iter += 1
    assert clock.seconds == 3 * 4
    assert clock.shares() == {'waiting': 0.25}


def test_clock_of_a_gpu_pairs_the_end_of_a_step_with_the_next_start(monkeypatch):
    """With events that tell the time of the host; on the GPU it is its own."""
    now = [0.0]

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.time = now[0]

        def elapsed_time(self, later):
            return 1000 * (later.time - self.time)

    monkeypatch.setattr(benchmark_run.time, 'perf_counter', lambda: now[0])
    monkeypatch.setattr(benchmark_run.torch.cuda, 'Event', Event)
    monkeypatch.setattr(benchmark_run.torch.cuda, 'synchronize', lambda: None)
    clock = benchmark_run.Clock(warm_up=1, iterations=2, device='cuda')
    runner = SimpleNamespace(iter=0)
    for _ in range(4):
        now[0] += 1
        clock.before_train_iter(runner, 0)
        now[0] += 4
        clock.after_train_iter(runner, 0)
        runner.iter += 1
    assert clock.shares() == {'waiting': 0.2, 'idle': 0.2}


@pytest.mark.slow
@pytest.mark.parametrize('who', ['reference', 'device-colour'])
def test_contenders_train(arguments, who):
    found = benchmark_run.train(arguments(who, '--per-epoch 2'))
    assert found['images_per_s'] > 0
    assert 0 < found['waiting'] < 1
    assert found['gflop_per_image'] > 0
    assert 0 < found['mfu'] < 2


@pytest.mark.slow
@pytest.mark.usefixtures('compiling')
def test_command_tells_all_it_promises(tmp_path, capsys, monkeypatch):
    """In a process of its own, on made pictures, compiled with the tracing part."""
    monkeypatch.setattr(benchmark_e2e, 'MADE', 2)
    out = tmp_path / 'e2e.json'
    words = [*TINY.split(), '--compile', 'aot_eager', '--json', str(out), '--against']
    benchmark_e2e.main(words)
    found = json.loads(out.read_text())
    assert found == json.loads(capsys.readouterr().out)
    assert found['runs'].keys() == {'default'}
    assert found['pictures'] == 'made'
    assert found['settings']['compile'] == 'aot_eager'


def test_a_contender_that_fails_says_why(tmp_path, monkeypatch):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho no such file >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(python))
    with pytest.raises(SystemExit, match='default failed:\nno such file'):
        benchmark_e2e.run_alone('default', [], 'cpu')
