"""The arithmetic of a plan, against steps that are counted one by one."""

import argparse
import shlex
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from PIL import Image

from cmae_mm.planning.measure import OutOfMemory, StepCost
from cmae_mm.planning.plan import (
    Schedule,
    Speed,
    Wish,
    choose_batch,
    count_files,
    count_parts,
)
from cmae_mm.planning.proposal import PASSES, propose_arch
from cmae_mm.planning.report import Plan, duration, start_command
from cmae_mm.planning.speed import measure_device
from cmae_mm.pretraining.recipes import load_recipe

MIB = 2**20


def schedule(images=1000, gpus=1, hours=1.0, batch=100, rate=10.0, wanted=None):
    wish = Wish(images, gpus, hours)
    return Schedule(wish, batch, Speed(rate, 'a test'), wanted)


@pytest.mark.parametrize('gpus', [1, 4])
@pytest.mark.parametrize('images', [1000, 1003])
def test_epochs_and_hours_are_those_of_a_clock(images, gpus):
    """Step by step, with the loader that a run has."""
    plan = schedule(images, gpus, hours=0.7, batch=64)
    share = -(-images // gpus)
    loader = Runner.build_dataloader(
        dict(
            batch_size=64 // gpus,
            drop_last=True,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=[0] * share,
        )
    )
    clock, epochs = 0.0, 0
    while clock + len(loader) * 64 / 10 <= 0.7 * 3600:
        clock += len(loader) * 64 / 10
        epochs += 1
    assert plan.fitting == plan.epochs == epochs
    assert plan.steps == epochs * len(loader)
    assert plan.hours == pytest.approx(clock / 3600)
    assert plan.fits and not plan.remedies()


@pytest.mark.parametrize('gpus', [1, 3])
def test_each_remedy_is_enough_and_not_much_more(gpus):
    plan = schedule(gpus=gpus, batch=99, wanted=50, hours=1)
    assert not plan.fits
    hours, gpus, images, epochs = (
        line.split(' in place')[0].split(': ')[1] for line in plan.remedies()
    )

    def fits(**changed):
        named = dict(gpus=plan.wish.gpus, batch=99, wanted=50, hours=1.0)
        return schedule(**{**named, **changed}).fits

    assert fits(hours=float(hours)) and not fits(hours=float(hours) - 0.02)
    times = int(gpus) / plan.wish.gpus
    assert fits(rate=10 * times)
    assert not fits(rate=10 * (times - 1 / plan.wish.gpus))
    assert fits(images=int(images)) and not fits(images=int(images) + 99 + 1)
    assert fits(wanted=int(epochs)) and not fits(wanted=int(epochs) + 1)


def test_less_than_an_epoch_does_not_fit():
    plan = schedule(hours=0.001)
    assert not plan.fits and plan.epochs == 1
    assert not any('epochs' in line for line in plan.remedies())


@pytest.mark.parametrize(
    'numbers', [dict(images=0), dict(gpus=0), dict(hours=0), dict(epochs=0)]
)
def test_wishes_that_cannot_be_are_refused(numbers):
    with pytest.raises(ValueError, match='^Got .*0 '):
        Wish(**{**dict(images=9, gpus=1, hours=1.0), **numbers})


@pytest.mark.parametrize(
    'images, gpus, batch',
    [
        (1281167, 32, 4096),
        (1281167, 7, 4088),
        (20000, 1, 1248),
        (300, 8, 128),
        (9, 2, 8),
    ],
)
def test_the_batch_of_a_recipe_leaves_steps_and_can_be_dealt(images, gpus, batch):
    found = choose_batch(Wish(images, gpus, 1), recipe=4096)
    assert found == batch and found % gpus == 0


@pytest.mark.parametrize('batch', [1, 101, 33])
def test_batches_that_cannot_be_are_refused(batch):
    with pytest.raises(ValueError, match=f'batch of {batch}'):
        choose_batch(Wish(100, 2, 1, batch=batch), 64)


def test_more_gpus_than_images_are_refused():
    with pytest.raises(ValueError, match='3 images cannot be dealt to 8 GPUs'):
        choose_batch(Wish(3, 8, 1), 64)


@pytest.mark.parametrize('share, fits, parts', [(64, 64, 1), (64, 63, 2), (96, 40, 3)])
def test_a_share_is_cut_into_as_few_parts_as_will_do(share, fits, parts):
    assert count_parts(share, fits) == parts


def test_a_share_that_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match='13 images of each GPU'):
        count_parts(13, 8)


@pytest.mark.parametrize(
    'written, kept, files', [(10, 3, 4), (3, 3, 3), (10, -1, 10), (4, 3, 4)]
)
def test_one_more_file_lies_there_while_the_newest_is_written(written, kept, files):
    assert count_files(written, kept) == files


def fake_measure(fixed=100 * MIB, each=10 * MIB, rate=40.0, asked=None):
    def measure(cfg, images, steps=3):
        if asked is not None:
            asked.append(images)
        return StepCost(images / rate, fixed + each * images, 50 * MIB, 'cpu')

    return measure


RECIPE = Config(
    dict(
        model=dict(
            type='cmae_mm.CMAE', contrastive_head=dict(type='cmae_mm.ContrastiveHead')
        ),
        train_cfg=dict(type='cmae_mm.EndlessEpochLoop', max_epochs=5),
        param_scheduler=[],
        optim_wrapper=dict(optimizer=dict(lr=1e-3)),
        auto_scale_lr=dict(base_batch_size=256),
        default_hooks=dict(checkpoint=dict(interval=2, max_keep_ckpts=2)),
    )
)


def test_what_does_not_fit_is_cut_into_parts():
    """100 + 10 n MiB in 80 % of 1000 MiB: 70 images, so 64 of 128."""
    asked = []
    found = measure_device(
        RECIPE, 128, fake_measure(asked=asked), free=lambda device: 1000 * MIB
    )
    assert found.parts == 2 and asked == [2, 8, 64]
    assert found.peak_bytes == 740 * MIB
    assert found.images_per_second == pytest.approx(40)


def test_a_slow_machine_is_asked_for_few_images():
    asked = []
    found = measure_device(
        RECIPE, 128, fake_measure(rate=1, asked=asked), free=lambda device: None
    )
    assert asked == [2, 8] and found.measured_at == 8 and found.parts == 1
    assert found.peak_bytes == 1380 * MIB  # on the line


def test_micro_batches_keep_the_negatives_and_accumulation_does_not():
    plan = Plan('m', RECIPE, schedule(gpus=2, batch=64), 4, 50 * MIB, None)
    rows = dict(plan.rows())
    assert plan.at_once == 8
    assert rows['negatives'].startswith('63 per image')
    assert rows['negatives'].endswith('but leave 15')
    assert 'micro_batches=4' in rows['parts']
    assert plan.rate == pytest.approx(1e-3 / 4)
    assert rows['memory per GPU'] == 'not measured here'


def test_the_disk_holds_what_the_hook_keeps():
    plan = Plan('m', RECIPE, schedule(batch=64, wanted=5), 1, 50 * MIB, 0)
    assert plan.files == 3 and plan.disk == 150 * MIB  # after 2, 4 and 5 epochs


def read_options(command):
    """--cfg-options, as mim reads them."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args(command[command.index('--cfg-options') :]).cfg_options


def test_the_command_trains_what_is_planned(request):
    """Parsed as mim does, it gives the config that was planned."""
    config = request.config.rootpath / 'configs/pretrain'
    file = config / 'cmae_vit-base-p16_32xb128-amp-coslr-300e_in1k.py'
    cfg = Config.fromfile(file)
    cfg.param_scheduler[1].T_max = 260  # from the end of the warm-up, as end has it
    long = schedule(images=10**6, gpus=8, batch=4096, rate=1e6, wanted=150)
    command = start_command(Plan(str(file), cfg, long, 2, 1, None)).split()
    assert command[:4] == ['mim', 'train', 'mmpretrain', str(file)]
    cfg.merge_from_dict(read_options(command))
    assert cfg.train_dataloader.batch_size == 512
    assert cfg.train_cfg.micro_batches == 2 and cfg.train_cfg.max_epochs == 150
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(2.4e-3)
    warm_up, cosine = cfg.param_scheduler
    assert warm_up.end == cosine.begin == 20 and cosine.end == 150
    assert cosine.T_max == 130 == cosine.end - cosine.begin


def test_several_gpus_train_a_recipe_on_the_images_that_were_given(tmp_path):
    """At any depth, wherever the command is typed."""
    (tmp_path / 'photos/deep').mkdir(parents=True)
    for name in ('a.png', 'deep/b.png'):
        Image.new('RGB', (8, 8)).save(tmp_path / 'photos' / name)
    cfg = load_recipe('vit-base')
    plan = Plan('vit-base', cfg, schedule(gpus=8, batch=4096, wanted=300), 1, 1, None)
    command = shlex.split(start_command(plan, str(tmp_path / 'photos')))
    assert Path(command[3]).is_absolute()
    cfg = Config.fromfile(command[3])
    cfg.merge_from_dict(read_options(command))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 2
    assert dataset[1]['inputs'][0].shape == (3, 224, 224)


def test_other_images_of_a_config_are_its_own():
    cfg = load_recipe('vit-base')
    cfg.train_dataloader.dataset.type = 'cmae_mm.UnlabelledImages'
    plan = Plan('my own.py', cfg, schedule(gpus=2, batch=64), 1, 1, None)
    command = start_command(plan)
    assert 'data_root' not in command and "mmpretrain 'my own.py' --" in command


def test_one_gpu_starts_with_cmae_pretrain():
    plan = Plan('vit-tiny', RECIPE, schedule(batch=64, wanted=5), 2, 1, None)
    assert start_command(plan, 'my photos') == (
        "cmae pretrain 'my photos' --out OUT --arch vit-tiny --epochs 5 --batch 64 "
        '--cfg-options train_cfg.type=cmae_mm.MicroBatchTrainLoop '
        '--cfg-options train_cfg.micro_batches=2'
    )


@pytest.mark.parametrize(
    'hours, text',
    [(0.001, '4 s'), (0.5, '30 min'), (3.2, '3 h 12 min'), (96, '4.0 days')],
)
def test_durations_are_for_people(hours, text):
    assert duration(hours) == text


@pytest.mark.parametrize(
    'images, hours, arch',
    [(400, 1, 'vit-nano'), (4000, 1000, 'vit-tiny'), (4000, 1, 'vit-nano')],
)
def test_the_rule_takes_the_largest_that_gets_its_passes(images, hours, arch):
    """By images x epochs: at 40 images per second, an hour has 144,000."""
    assert propose_arch(Wish(images, 1, hours), measure=fake_measure())[0] == arch


def test_the_largest_of_the_rule_is_taken_where_all_is_plenty():
    wish = Wish(10**6, 8, 1000)
    assert propose_arch(wish, measure=fake_measure(rate=1e4))[0] == [*PASSES][-1]


def test_a_network_too_large_for_the_memory_is_not_proposed():
    def measure(cfg, images, steps):
        if cfg.model.backbone.get('arch') == 'deit-s':
            raise OutOfMemory('full')
        return StepCost(images / 1e4, 0, 0, 'cpu')

    arch, why = propose_arch(Wish(10**6, 8, 1000), measure=measure)
    assert arch == 'vit-tiny' and 'vit-small does not fit' in why
