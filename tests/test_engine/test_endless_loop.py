"""Training by epochs from one endless iterator."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import Dataset


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
        batch_size=2,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type='cmae_mm.SeededSampler'),
        collate_fn=dict(type='default_collate'),
        dataset=Numbers(),
        **loader,
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


@pytest.fixture(autouse=True)
def _forget_scopes():
    yield
    DefaultScope._instance_dict.clear()


ENDLESS = dict(batch_sampler=dict(type='cmae_mm.EndlessBatchSampler'))


@pytest.mark.parametrize('workers', [0, 2])
def test_every_epoch_sees_every_picture_of_its_own(tmp_path, workers):
    hook, run = runner(tmp_path, workers, **ENDLESS)
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
    _, whole = runner(tmp_path, **ENDLESS)
    expected = whole.train().seen[3:]
    _, first = runner(tmp_path / 'a', max_epochs=1, **ENDLESS)
    first.train()
    _, second = runner(tmp_path / 'b', **ENDLESS)
    second.resume(str(tmp_path / 'a' / 'epoch_1.pth'))
    seen = second.train().seen
    assert len(seen) == len(expected) == 6
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_batches_that_end_explain_themselves(tmp_path):
    _, run = runner(tmp_path, drop_last=True)
    with pytest.raises(ValueError, match='cmae_mm.EndlessBatchSampler'):
        run.train()
