"""Several processes on the parts of a batch must equal one on the whole.

The file is a test, and also the script that each of the processes runs.
"""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from torch import nn

RUNTIME = Path(__file__).parents[2] / 'configs/_base_/pretrain_runtime.py'


class FirstHalf(nn.Module):
    """The first patches are visible; a draw for two halves has another order."""

    def forward(self, batch):
        from cmae_mm.models.masking import Masking

        places = torch.arange(16).expand(batch, 16)
        return Masking(places[:, :8], places[:, 8:])


def train(cfg, state, batches):
    """Two steps of MMEngine's training; mean losses, and all weights behind them.

    In a process group the model is wrapped as our configs say.
    """
    from mmengine.optim import OptimWrapper
    from mmengine.registry import MODEL_WRAPPERS, MODELS, init_default_scope

    import cmae_mm  # noqa: F401

    init_default_scope('mmpretrain')
    model = MODELS.build(copy.deepcopy(cfg))
    model.load_state_dict(state)
    model.backbone.masking = FirstHalf()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    wrapper_cfg = Config.fromfile(RUNTIME).model_wrapper_cfg
    # Nothing may stay without a gradient: DDP would wait for it.
    wrapped = (
        MODEL_WRAPPERS.build(wrapper_cfg, default_args=dict(module=model))
        if dist.is_initialized()
        else model
    )
    losses = []
    for views in batches:
        logs = wrapped.train_step(dict(inputs=views, data_samples=None), wrapper)
        losses.append(logs['loss'].detach())
    losses = torch.stack(losses)
    if dist.is_initialized():
        dist.all_reduce(losses)
        losses /= dist.get_world_size()
    return losses, model.state_dict()


def run_rank(given: str, result: str) -> None:
    """One of the gloo ranks; rank 0 writes what came out."""
    dist.init_process_group('gloo')
    cfg, state, batches = torch.load(given, weights_only=True)
    rank, world = dist.get_rank(), dist.get_world_size()
    mine = [[view.chunk(world)[rank] for view in views] for views in batches]
    found = train(cfg, state, mine)
    if rank == 0:
        torch.save(found, result)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize('world', [2, 4])
def test_gloo_processes_equal_the_joined_batch(build, tiny_cfg, tmp_path, world):
    """Losses, weights and momentum copies: each query meets the keys of all ranks."""
    state = build(tiny_cfg).state_dict()
    batches = [[torch.randn(8, 3, 16, 16) for _ in range(2)] for _ in range(2)]
    given, result = tmp_path / 'given.pt', tmp_path / 'result.pt'
    torch.save((tiny_cfg, state, batches), given)
    torchrun = ['-m', 'torch.distributed.run', '--standalone']
    subprocess.run(
        [
            sys.executable,
            *torchrun,
            f'--nproc-per-node={world}',
            __file__,
            given,
            result,
        ],
        check=True,
        timeout=300,
    )
    losses, weights = torch.load(result, weights_only=True)

    expected_losses, expected = train(tiny_cfg, state, batches)
    torch.testing.assert_close(losses, expected_losses)
    assert not torch.equal(
        expected['target_backbone.cls_token'], state['target_backbone.cls_token']
    )
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6, msg=name)


if __name__ == '__main__':
    run_rank(*sys.argv[1:])
