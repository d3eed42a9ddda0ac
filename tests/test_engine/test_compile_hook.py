import copy
import logging
from types import SimpleNamespace

import pytest
import torch

from cmae_mm.engine import CompileHook


@pytest.mark.usefixtures('compiling')
def test_compiled_blocks_compute_the_same_under_the_same_names(build, tiny_cfg, views):
    """With the tracing part of torch.compile; the code generator is torch's own."""
    plain = build(tiny_cfg)
    compiled = copy.deepcopy(plain)
    runner = SimpleNamespace(model=compiled, logger=logging.getLogger('test'))
    CompileHook(backend='aot_eager', fullgraph=True).before_train(runner)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    losses = []
    for model in (plain, compiled):
        torch.manual_seed(1)
        parts = model.loss(views, [])
        (parts['loss_reconstruction'] + parts['loss_contrastive']).backward()
        losses.append(parts)
    for name in ('loss_reconstruction', 'loss_contrastive'):
        torch.testing.assert_close(losses[0][name], losses[1][name])
    named = dict(plain.named_parameters())
    for name, param in compiled.named_parameters():
        if param.grad is not None:
            torch.testing.assert_close(
                param.grad, named[name].grad, rtol=1e-4, atol=1e-6
            )
    # Encoder, target and both decoders; no block is left out.
    assert (
        len([m for m in compiled.modules() if m._compiled_call_impl]) == 2 + 2 + 1 + 1
    )


def test_a_torch_that_cannot_says_so(monkeypatch):
    monkeypatch.setattr(torch, '__version__', '2.1.2')
    with pytest.raises(RuntimeError, match='leave cmae_mm.CompileHook out'):
        CompileHook().before_train(SimpleNamespace())
