"""Training by epochs from one endless iterator."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, Dataset


class Numbers(Dataset):
    """Six numbers, and the epoch in which each was asked for."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([float(index), float(index.draw[1])]))


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs, mode='tensor'):
        self.seen.append(inputs)
        return dict(loss=self.weight.sum() * 0)


class Epochs(Hook):
    """What the other hooks see."""

    def __init__(self):
        self.called = []

    def before_train_epoch(self, runner):
        self.called.append(('before', runner.epoch, runner.iter))

    def after_train_epoch(self, runner):
        self.called.append(('after', runner.epoch, runner.iter))


def runner(tmp_path, workers=0, max_epochs=3, **loader):
    loader = dict(
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type='cmae_mm.SeededSampler'),
        collate_fn=dict(type='default_collate'),
        dataset=Numbers(),
        **{'batch_size': 2, **loader},
    )
    hook = Epochs()
    return hook, Runner(
        Model(),
        str(tmp_path),
        train_dataloader=loader,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(type='cmae_mm.EndlessEpochLoop', max_epochs=max_epochs),
        custom_hooks=[hook, dict(type='cmae_mm.PlainCheckpointHook')],
        randomness=dict(seed=0),
        default_scope='mmpretrain',
        experiment_name=f'endless-{tmp_path.name}-{workers}-{max_epochs}',
        log_level='ERROR',
    )


@pytest.mark.parametrize('workers', [0, 2])
def test_every_epoch_sees_every_picture_of_its_own(tmp_path, workers):
    hook, run = runner(tmp_path, workers)
    model = run.train()
    seen = torch.cat([batch for batch in model.seen]).view(3, 6, 2)
    for epoch in range(3):
        assert sorted(seen[epoch, :, 0].tolist()) == list(range(6))
        assert set(seen[epoch, :, 1].tolist()) == {float(epoch)}
    assert hook.called == [
        (when, epoch, 3 * (epoch + (when == 'after')))
        for epoch in range(3)
        for when in ('before', 'after')
    ]


def test_a_resumed_run_sees_what_the_first_would_have(tmp_path):
    _, whole = runner(tmp_path)
    expected = whole.train().seen[3:]
    _, first = runner(tmp_path / 'a', max_epochs=1)
    first.train()
    _, second = runner(tmp_path / 'b')
    second.resume(str(tmp_path / 'a' / 'epoch_1.pth'), resume_optimizer=False)
    seen = second.train().seen
    assert len(seen) == len(expected) == 6
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


@pytest.mark.parametrize(('drop_last', 'batches'), [(True, 1), (False, 2)])
def test_incomplete_batches_are_dropped_as_asked_for(tmp_path, drop_last, batches):
    _, run = runner(tmp_path, max_epochs=2, drop_last=drop_last, batch_size=4)
    sizes = [len(batch) for batch in run.train().seen]
    assert sizes == [4, 2][:batches] * 2


def test_batches_that_end_explain_themselves(tmp_path):
    stock = dict(type=BatchSampler, drop_last=True)
    _, run = runner(tmp_path, batch_sampler=stock)
    with pytest.raises(ValueError, match='Leave out batch_sampler'):
        run.train()
