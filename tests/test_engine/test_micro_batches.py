import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.utils.data import Dataset

from cmae_mm.engine.micro_batches import MicroBatchTrainLoop, split_batch
from cmae_mm.models.masking import Masking


class FirstHalf(nn.Module):
    """The first patches of every image are visible; no draw."""

    def forward(self, batch):
        places = torch.arange(16).expand(batch, 16)
        return Masking(places[:, :8], places[:, 8:])


class Pairs(Dataset):
    """Two views of noise for each of eight images."""

    def __init__(self):
        generator = torch.Generator().manual_seed(3)
        shape = (8, 2, 3, 16, 16)
        self.views = torch.randint(0, 256, shape, generator=generator).byte()

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return dict(inputs=list(self.views[index]), data_samples=DataSample())


def train(cfg, state, tmp_path, micro_batches, batch_size=8, drop_last=True):
    """A few steps of the real runner; the model behind them."""
    loop = dict(max_epochs=3)
    if micro_batches > 1:
        loop.update(type='cmae_mm.MicroBatchTrainLoop', micro_batches=micro_batches)
    else:
        loop.update(by_epoch=True)
    runner = Runner(
        model=copy.deepcopy(cfg),
        work_dir=str(tmp_path / f'{micro_batches}'),
        train_dataloader=dict(
            batch_size=batch_size,
            num_workers=0,
            drop_last=drop_last,
            dataset=Pairs(),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=loop,
        default_scope='mmpretrain',
        experiment_name=f'{tmp_path.name}-{micro_batches}',
        randomness=dict(seed=0),
        cfg=Config(dict(custom_imports=dict(imports=['cmae_mm']))),
    )
    runner.model.load_state_dict(state)
    runner.model.backbone.masking = FirstHalf()
    runner.load_or_resume = lambda: None
    runner._init_model_weights = lambda: None
    runner.train()
    return runner.model, runner.message_hub


@pytest.mark.parametrize('micro_batches', [2, 4])
def test_equal_to_one_large_batch(build, tiny_cfg, tmp_path, micro_batches):
    """Weights, target and logged losses after three steps.

    Without a draw of masks, which for a large batch has another order, and with
    LayerNorm where BatchNorm would see a part only.
    """
    state = build(tiny_cfg).state_dict()
    whole, whole_hub = train(tiny_cfg, state, tmp_path, 1)
    parts, parts_hub = train(tiny_cfg, state, tmp_path, micro_batches)
    assert not torch.equal(whole.backbone.cls_token, state['backbone.cls_token'])
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(
            parts.state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name
        )
    for key in ('train/loss_contrastive', 'train/loss_reconstruction'):
        logged, expected = (
            hub.get_scalar(key).data[0] for hub in (parts_hub, whole_hub)
        )
        assert logged.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_batch_is_cut_in_order():
    batch = dict(
        inputs=[torch.arange(6), torch.arange(6) + 10], data_samples=list('abcdef')
    )
    first, second = split_batch(batch, 2)
    assert first['inputs'][1].tolist() == [10, 11, 12]
    assert second['data_samples'] == ['d', 'e', 'f']


def test_a_single_view_is_cut_between_images():
    batch = dict(inputs=torch.randn(6, 3, 4, 4), data_samples=list('abcdef'))
    parts = split_batch(batch, 2)
    assert torch.equal(torch.cat([p['inputs'] for p in parts]), batch['inputs'])
    assert parts[0]['inputs'].shape == (3, 3, 4, 4)


def test_short_last_batches_are_refused(build, tiny_cfg, tmp_path):
    with pytest.raises(ValueError, match='drop_last=True'):
        train(tiny_cfg, build(tiny_cfg).state_dict(), tmp_path, 2, drop_last=False)


def test_uneven_parts_are_refused(build, tiny_cfg, tmp_path):
    with pytest.raises(ValueError, match='micro_batches=3 does not cut a batch of 8'):
        train(tiny_cfg, build(tiny_cfg).state_dict(), tmp_path, 3)


def test_target_that_sees_masks_explains_itself(build, tiny_cfg):
    model = build({**tiny_cfg, 'target_sees_all': False})
    with pytest.raises(ValueError, match='target_sees_all=False'):
        model.hold_keys([torch.randn(2, 3, 16, 16)])


def test_a_sharded_model_is_refused():
    loop = MicroBatchTrainLoop.__new__(MicroBatchTrainLoop)
    sharded = FullyShardedDataParallel.__new__(FullyShardedDataParallel)
    loop._runner = SimpleNamespace(model=sharded)
    with pytest.raises(ValueError, match='FSDP'):
        loop.run()
