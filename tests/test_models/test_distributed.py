"""Two processes on two halves of a batch must equal one on the whole.

The file is a test, and also the script that each of the two processes runs.
"""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn


class FirstHalf(nn.Module):
    """The first patches are visible; a draw for two halves has another order."""

    def forward(self, batch):
        from cmae_mm.models.masking import Masking

        places = torch.arange(16).expand(batch, 16)
        return Masking(places[:, :8], places[:, 8:])


def step(cfg, state, views):
    """Contrastive loss and online gradients of one step."""
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope('mmpretrain')
    import cmae_mm  # noqa: F401

    model = MODELS.build(copy.deepcopy(cfg))
    model.load_state_dict(state)
    model.backbone.masking = FirstHalf()
    loss = model.loss(views, [])['loss_contrastive']
    loss.backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), grads


def run_rank(given: str, result: str) -> None:
    """One of two gloo ranks; rank 0 writes the averages over both."""
    dist.init_process_group('gloo')
    cfg, state, views = torch.load(given, weights_only=True)
    loss, grads = step(cfg, state, [v.chunk(2)[dist.get_rank()] for v in views])
    for tensor in [loss, *grads.values()]:
        dist.all_reduce(tensor)
        tensor /= 2
    if dist.get_rank() == 0:
        torch.save((loss, grads), result)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_gloo_processes_equal_the_joined_batch(build, tiny_cfg, tmp_path):
    """Every query is compared with the keys of both ranks."""
    state = build(tiny_cfg).state_dict()
    views = [torch.randn(6, 3, 16, 16), torch.randn(6, 3, 16, 16)]
    given, result = tmp_path / 'given.pt', tmp_path / 'result.pt'
    torch.save((tiny_cfg, state, views), given)
    torchrun = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    subprocess.run(
        [sys.executable, *torchrun, __file__, given, result], check=True, timeout=300
    )
    loss, grads = torch.load(result, weights_only=True)

    expected_loss, expected_grads = step(tiny_cfg, state, views)
    torch.testing.assert_close(loss, expected_loss)
    assert grads.keys() == expected_grads.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(
            grad, expected_grads[name], rtol=1e-4, atol=1e-6, msg=name
        )


if __name__ == '__main__':
    run_rank(*map(Path, sys.argv[1:]))
