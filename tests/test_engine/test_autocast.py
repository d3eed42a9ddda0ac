import pytest
import torch
from mmengine.optim import build_optim_wrapper

CFG = dict(type='cmae_mm.AutocastOptimWrapper', optimizer=dict(type='SGD', lr=0.1))


def test_forward_is_bfloat16_on_the_cpu_and_weights_stay_float32():
    model = torch.nn.Linear(3, 2)
    wrapper = build_optim_wrapper(model, CFG)
    with wrapper.optim_context(model):
        out = model(torch.randn(4, 3))
    assert out.dtype == torch.bfloat16
    before = model.weight.clone()
    wrapper.update_params(out.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)
    assert model(torch.randn(4, 3)).dtype == torch.float32


def test_other_dtypes_explain_themselves():
    with pytest.raises(ValueError, match="dtype='bf16' is neither"):
        build_optim_wrapper(torch.nn.Linear(3, 2), {**CFG, 'dtype': 'bf16'})


def test_a_step_of_cmae_in_bfloat16_is_close_to_one_in_float32(build, tiny_cfg, views):
    losses, gradients = [], []
    for autocast in (False, True):
        torch.manual_seed(0)
        model = build(tiny_cfg)
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            torch.manual_seed(1)
            parts = model.loss(views, [])
        loss = parts['loss_reconstruction'] + parts['loss_contrastive']
        loss.backward()
        losses.append(loss.detach())
        gradients.append(
            torch.cat(
                [p.grad.flatten() for p in model.parameters() if p.grad is not None]
            )
        )
    assert parts['loss_contrastive'].dtype == torch.float32
    torch.testing.assert_close(*losses, rtol=2e-2, atol=0)
    distance = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert distance < 5e-2
