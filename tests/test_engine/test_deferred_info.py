from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.logging import MessageHub

from cmae_mm.engine import DeferredRuntimeInfoHook


def run(hook, name, steps=25, interval=10):
    """The part of a training of 25 steps that the hook sees; the read-outs."""
    hub = MessageHub.get_instance(name)
    runner = SimpleNamespace(
        hooks=[LoggerHook(interval=interval)],
        message_hub=hub,
        epoch=0,
        iter=0,
        max_epochs=1,
        max_iters=steps,
        train_dataloader=SimpleNamespace(dataset=object(), __len__=None),
        optim_wrapper=SimpleNamespace(get_lr=lambda: {'lr': [0.1]}),
    )
    runner.train_dataloader = Loader(steps)
    hook.before_train(runner)
    lengths = []
    for step in range(steps):
        runner.iter = step
        hook.before_train_iter(runner, step)
        loss = torch.tensor(float(step), requires_grad=True) * 1
        outputs = {'loss': loss, 'acc': step / 2}
        hook.after_train_iter(runner, step, outputs=outputs)
        for kept in getattr(hook, 'waiting', []):
            assert not kept['loss'].requires_grad  # its graph is free to go
        found = hub.log_scalars.get('train/loss')
        lengths.append(0 if found is None else len(found.data[0]))
    return hub, lengths


class Loader:
    """A data loader, of which only the length matters."""

    dataset = object()

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


def test_history_is_that_of_the_stock_hook_but_read_when_logged():
    stock, every_step = run(RuntimeInfoHook(), 'stock')
    ours, now_and_then = run(DeferredRuntimeInfoHook(), 'deferred')
    for name in ('train/loss', 'train/acc', 'train/lr'):
        expected = stock.log_scalars[name].data
        for mine, other in zip(ours.log_scalars[name].data, expected, strict=True):
            assert mine.tolist() == pytest.approx(other.tolist())
    assert every_step == list(range(1, 26))
    assert sorted(set(now_and_then)) == [0, 10, 20, 25]
    assert now_and_then[9] == 10  # in time for the logger


def test_history_keeps_its_length():
    hub, _ = run(DeferredRuntimeInfoHook(history=12), 'short')
    for name in ('train/loss', 'train/lr'):
        assert len(hub.log_scalars[name].data[0]) == 12
    assert hub.log_scalars['train/loss'].data[0].tolist() == list(range(13, 25))
