"""Workers leave alone what existed before the training."""

import gc
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from cmae_mm.engine import FreezeHook


class Collected(Dataset):
    """How many objects the collector of a worker looks at, and how many it does not."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return torch.tensor([len(gc.get_objects()), gc.get_freeze_count()])


@pytest.fixture
def hook():
    gc.unfreeze()  # what a training that broke off has left
    yield FreezeHook()
    gc.unfreeze()


def in_worker():
    (counts,) = DataLoader(Collected(), num_workers=1)
    return counts.flatten().tolist()


def test_collectors_of_workers_look_at_little(hook):
    looked_at, frozen = in_worker()
    assert looked_at > 50_000 and frozen == 0
    hook.before_train(None)
    looked_at, frozen = in_worker()
    assert looked_at < 10_000 and frozen > 50_000
    hook.after_train(None)
    assert gc.get_freeze_count() == 0


def test_garbage_is_not_kept(hook):
    class Thing:
        pass

    thing = Thing()
    thing.itself = thing
    del thing
    hook.before_train(None)
    gc.unfreeze()
    assert not any(type(o).__name__ == 'Thing' for o in gc.get_objects())


def test_workers_of_a_run_start_after_it(tmp_path, hook):
    """As the configs of pre-training have it; the first batch shows it."""
    base = Path(__file__).parents[2] / 'configs/_base_/pretrain_runtime.py'
    freeze = Config.fromfile(base).default_hooks.freeze_objects

    class Model(torch.nn.Linear):
        frozen = None

        def train_step(self, data, optim_wrapper):
            self.frozen = int(data[0, 1])
            return {}

    runner = Runner(
        Model(1, 1),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=Collected(),
            num_workers=1,
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=1,
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(freeze_objects=freeze),
    )
    runner.train()
    assert runner.model.frozen > 50_000
    assert gc.get_freeze_count() == 0
