"""Unreadable images in training: named, replaced in the open, and not too many."""

import csv
import multiprocessing
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.model import BaseModel
from mmengine.registry import TRANSFORMS
from mmengine.runner import Runner

from cmae_mm.datasets.refused import Refused
from cmae_mm.guards import quarantine
from cmae_mm.guards.quarantine import Quarantine, QuarantineHook, TooManyBadImages


class Model(BaseModel):
    """Remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs, data_samples, mode='tensor'):
        names = [Path(sample.img_path).stem for sample in data_samples]
        self.seen.append((names, torch.stack(list(inputs)).float()))
        return dict(loss=self.weight.sum() * 0)

    @property
    def names(self):
        return [name for names, _ in self.seen for name in names]


def fill(folder, good=10, bad=2):
    """Pictures 0 to 9, each of another brightness, and some that are none."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(good):
        img = np.full((20, 20, 3), 20 * number, np.uint8)
        img[::2, :5] += 9
        cv2.imwrite(str(folder / f'{number}.png'), img)
    for number in range(bad):
        (folder / f'bad{number}.png').write_bytes(b'hello' * number)
    return folder


def images(folder, first=None):
    first = first or dict(type='cmae_mm.FastMasterCrop', scale=16)
    pack = dict(type='PackInputs', meta_keys=('sample_idx', 'img_path'))
    return dict(
        type='cmae_mm.UnlabelledImages', data_root=str(folder), pipeline=[first, pack]
    )


def train(tmp_path, dataset, max_bad=5, workers=0, run='run', epochs=3, **hook):
    loader = dict(
        batch_size=4,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type='cmae_mm.SeededSampler'),
        collate_fn=dict(type='default_collate'),
        dataset=dataset,
    )
    runner = Runner(
        Model(),
        str(tmp_path / run),
        train_dataloader=loader,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        custom_hooks=[dict(type='cmae_mm.QuarantineHook', max_bad=max_bad, **hook)],
        default_hooks=dict(checkpoint=None, logger=None),
        randomness=dict(seed=0),
        default_scope='mmpretrain',
        experiment_name=f'{tmp_path.name}-{run}-{workers}',
        log_level='WARNING',
    )
    return runner.train(), tmp_path / run


def read(folder):
    text = (folder / 'quarantine.csv').read_bytes().decode('utf-8', 'surrogateescape')
    return list(csv.DictReader(text.splitlines()))


def test_refused_images_are_named_and_replaced(tmp_path):
    folder = fill(tmp_path / 'data')
    model, run = train(tmp_path, images(folder))
    assert [len(names) for names, _ in model.seen] == [4] * 9, 'full batches'
    rows = read(run)
    assert [row['epoch'] for row in rows] == ['1', '1', '2', '2', '3', '3']
    for epoch in range(3):
        names = model.names[12 * epoch : 12 * epoch + 12]
        replaced = [
            Path(r['stand_in']).stem for r in rows if int(r['epoch']) == epoch + 1
        ]
        assert sorted(names) == sorted([*map(str, range(10)), *replaced])
    first = min(rows, key=lambda row: row['path'])
    assert first['path'] == str(folder / 'bad0.png')
    assert (first['kind'], first['reason']) == ('empty', 'it is empty')
    assert first['bytes'] == '0' and {row['bytes'] for row in rows} == {'0', '5'}
    age = datetime.now().astimezone() - datetime.fromisoformat(first['time'])
    assert timedelta(0) <= age < timedelta(hours=1)
    assert len({row['stand_in'] for row in rows}) > 2, 'not always the same'


def test_stand_ins_depend_on_seed_epoch_and_index_alone(tmp_path):
    folder = fill(tmp_path / 'data')
    expected, _ = train(tmp_path, images(folder))
    for workers in (1, 2):
        model, _ = train(tmp_path, images(folder), workers=workers, run=str(workers))
        assert model.names == expected.names
        for (_, ours), (_, theirs) in zip(model.seen, expected.seen, strict=True):
            assert torch.equal(ours, theirs), 'also how they are cropped'


def test_a_stand_in_is_cropped_as_the_refused_image_would_have_been(tmp_path):
    """A copy of a picture in its place, at the same index, gives the same pixels."""
    folder = fill(tmp_path / 'data', bad=1)
    model, run = train(tmp_path, images(folder), epochs=1)
    (row,) = read(run)
    (folder / 'bad0.png').write_bytes(Path(row['stand_in']).read_bytes())
    whole, _ = train(tmp_path, images(folder), epochs=1, run='whole')
    for (_, ours), (_, theirs) in zip(model.seen, whole.seen, strict=True):
        assert torch.equal(ours, theirs)


def test_a_refused_stand_in_gets_a_stand_in(tmp_path):
    folder = fill(tmp_path / 'data', good=2, bad=10)
    model, run = train(tmp_path, images(folder), max_bad=10)
    assert set(model.names) == {'0', '1'} and len(model.names) == 36
    rows = read(run)
    assert any('bad' in row['stand_in'] for row in rows)
    for row, follower in zip(rows, rows[1:], strict=False):
        if 'bad' in row['stand_in']:
            assert follower['path'] == row['stand_in'], 'a chain, line by line'


@pytest.mark.parametrize('workers', [0, 2])
def test_the_limit_stops_the_run(tmp_path, workers):
    folder = fill(tmp_path / 'data')
    with pytest.raises(TooManyBadImages) as error:
        train(tmp_path, images(folder), max_bad=1, workers=workers)
    message = str(error.value)
    assert '2 of 12 images could not be read, more than max_bad allows (1)' in message
    for word in ('bad', 'quarantine.csv', 'cmae scan', 'max_bad'):
        assert word in message.splitlines()[-1], 'the last line says all'


@pytest.mark.parametrize(('max_bad', 'stops'), [(0.09, False), (0.08, True), (0, True)])
def test_the_limit_may_be_a_share_rounded_up(tmp_path, max_bad, stops):
    folder = fill(tmp_path / 'data', bad=2 if max_bad else 1)
    if stops:
        with pytest.raises(TooManyBadImages):
            train(tmp_path, images(folder), max_bad=max_bad)
    else:  # 0.09 of 12 is more than one
        train(tmp_path, images(folder), max_bad=max_bad)


def test_a_folder_of_bad_images_is_not_searched_for_ever(tmp_path):
    folder = fill(tmp_path / 'data', good=0, bad=3)
    with pytest.raises(TooManyBadImages, match='None of the 3 images'):
        train(tmp_path, images(folder), max_bad=50)


def test_data_sets_inside_others_are_guarded(tmp_path):
    parts = [fill(tmp_path / 'a', bad=1), fill(tmp_path / 'b', bad=1)]
    repeated = dict(type='RepeatDataset', times=2, dataset=images(parts[1]))
    dataset = dict(type='ConcatDataset', datasets=[images(parts[0]), repeated])
    _, run = train(tmp_path, dataset, epochs=1)
    rows = read(run)
    assert len(rows) == 3
    for row in rows:
        assert Path(row['path']).parent == Path(row['stand_in']).parent


@TRANSFORMS.register_module()
class ReturnsNothing(BaseTransform):
    def transform(self, results):
        return None


def test_no_step_can_make_mmengine_swap_images(tmp_path):
    folder = fill(tmp_path / 'data', bad=0)
    with pytest.raises(RuntimeError, match='returned nothing for .*png'):
        train(tmp_path, images(folder, dict(type='ReturnsNothing')))


def test_the_log_names_each_image_once(tmp_path):
    folder = fill(tmp_path / 'data')
    _, run = train(tmp_path, images(folder), interval=1)
    (log,) = run.glob('*/*.log')
    lines = log.read_text().splitlines()
    for name in ('bad0.png', 'bad1.png'):
        (line,) = (line for line in lines if f'{name} is left out: it is' in line)
        assert 'In its place came' in line
    assert '2 images left out so far; the run stops beyond 5' in log.read_text()


def test_with_another_sampler_the_index_decides(tmp_path):
    """No epoch is known there, so it is the same stand-in in each."""
    folder = fill(tmp_path / 'data', bad=1)
    dataset = images(folder, dict(type='cmae_mm.LoadImage'))
    runner = Runner(
        Model(),
        str(tmp_path / 'run'),
        train_dataloader=dict(
            batch_size=11,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
            dataset=dataset,
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        custom_hooks=[dict(type='cmae_mm.QuarantineHook', max_bad=1)],
        default_hooks=dict(checkpoint=None, logger=None),
        default_scope='mmpretrain',
        experiment_name=tmp_path.name,
        log_level='ERROR',
    )
    runner.train()
    rows = read(tmp_path / 'run')
    assert len(rows) == 3 and {row['epoch'] for row in rows} == {''}
    assert len({row['stand_in'] for row in rows}) == 1


def write_many(file, writer, count):
    book = Quarantine(file, limit=10**6, total=1)
    for number in range(count):
        book.add(f'{writer} {number}', Refused('it is "quoted"\n, twice'), 'x' * 300, 1)


@pytest.mark.parametrize('locks', [True, False])
def test_lines_of_several_processes_do_not_mix(tmp_path, locks, monkeypatch):
    if not locks:  # then append mode alone must do, as it does on a local disk
        monkeypatch.setattr(quarantine, 'fcntl', None)
    file = tmp_path / 'quarantine.csv'
    Quarantine(file, 9, 9).add('first', Refused('it is'), 'x', None)
    context = multiprocessing.get_context('fork')
    workers = [
        context.Process(target=write_many, args=(file, writer, 40))
        for writer in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with file.open(newline='') as text:
        rows = list(csv.DictReader(text))
    assert {row['path'] for row in rows} == {
        'first',
        *(f'{writer} {number}' for writer in range(4) for number in range(40)),
    }
    assert all(row['stand_in'] == 'x' * 300 for row in rows[1:])


def test_processes_count_what_others_wrote(tmp_path):
    file = tmp_path / 'quarantine.csv'
    first, second = (Quarantine(file, limit=2, total=9) for _ in range(2))
    first.add('a', Refused('it is'), 'x', 1)
    second.add('b', Refused('it is'), 'x', 1)
    first.add('a', Refused('it is'), 'x', 2)  # no other image
    with pytest.raises(TooManyBadImages, match='3 of 9'):
        first.add('c', Refused('it is'), 'x', 2)


def test_earlier_runs_do_not_count_and_stay(tmp_path):
    file = tmp_path / 'quarantine.csv'
    Quarantine(file, limit=1, total=9).add('a', Refused('it is'), 'x', 1)
    book = Quarantine(file, limit=1, total=9)
    assert book.rows() == []
    book.add('b', Refused('it is'), 'x', 1)
    assert [row['path'] for row in book.rows()] == ['b']
    assert [row['path'] for row in read(tmp_path)] == ['a', 'b']


def test_names_keep_their_bytes(tmp_path):
    name = 'no UTF-8 \udcff,\n.jpg'
    book = Quarantine(tmp_path / 'quarantine.csv', limit=0, total=9)
    with pytest.raises(TooManyBadImages) as error:
        book.add(name, Refused('it is'), '雪.jpg', None)
    str(error.value).encode('utf-8')  # any log can take it
    (row,) = book.rows()
    assert row['path'] == name and row['stand_in'] == '雪.jpg'


@pytest.mark.parametrize('max_bad', [-1, 1.0, -0.1])
def test_impossible_limits_explain_themselves(max_bad):
    with pytest.raises(ValueError, match='max_bad='):
        QuarantineHook(max_bad=max_bad)
