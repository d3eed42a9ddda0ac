"""Figures against the training step itself, and gradients against a full backward."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper

from cmae_mm.models.masking import Masking
from cmae_mm.monitor.learning import gradient_figures, learning_figures

EVEN = torch.arange(0, 16, 2).expand(3, 8)
MASKING = Masking(EVEN, EVEN + 1)


class Fixed(torch.nn.Module):
    def forward(self, batch):
        return MASKING


@pytest.fixture
def model(build, tiny_cfg):
    """With BatchNorm, and a target that stays where it is."""
    for neck in (tiny_cfg['projector'], tiny_cfg['contrastive_head']['predictor']):
        neck['norm_cfg'] = dict(type='BN1d')
    model = build({**tiny_cfg, 'ema_decay': 1.0, 'contrastive_weight': 0.3})
    model.backbone.masking = Fixed()
    with torch.no_grad():  # not the same as the online branch
        for parameter in model.target_backbone.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def test_figures_are_those_of_the_training_step(model, views):
    trained = copy.deepcopy(model).train()
    losses = trained.loss(views, [])
    figures = learning_figures(model.eval(), *views, MASKING)
    for name, value in losses.items():
        assert figures[name] == pytest.approx(value.item(), rel=1e-5), name


def test_gradient_shares_are_those_of_full_backwards(model, views):
    figures = learning_figures(copy.deepcopy(model).eval(), *views, MASKING)
    gradients = {}
    for name in ('loss_reconstruction', 'loss_contrastive'):
        trained = copy.deepcopy(model).train()
        trained.loss(views, [])[name].backward()
        parts = [
            torch.zeros_like(p) if p.grad is None else p.grad
            for p in trained.backbone.parameters()
            if p.requires_grad
        ]
        gradients[name] = torch.cat([part.flatten() for part in parts]).double()
    norms = {name: float(gradient.norm()) for name, gradient in gradients.items()}
    for name, norm in norms.items():
        share = figures[name.replace('loss_', 'gradient_share_')]
        assert share == pytest.approx(norm / sum(norms.values()), rel=1e-4)
    one, other = gradients.values()
    cosine = float(one @ other) / (norms['loss_reconstruction'] * float(other.norm()))
    assert figures['gradient_cosine'] == pytest.approx(cosine, abs=1e-4)


def test_nothing_of_the_model_changes(model, views):
    OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = copy.deepcopy(model.state_dict())
    assert 'projector.bn0.running_mean' in before
    learning_figures(model.eval(), *views, MASKING)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_similarities_of_two_branches_that_agree(model, views):
    figures = learning_figures(model.eval(), views[0], views[0], MASKING)
    assert -1 <= figures['similarity_hardest'] <= 1
    assert -1 <= figures['similarity_positive'] <= 1


def test_mae_has_one_loss_and_no_shares(build, tiny_cfg, views):
    model = build({**tiny_cfg, 'contrastive_weight': 0}).eval()
    figures = learning_figures(model, views[0], None, MASKING)
    assert set(figures) == {'loss_reconstruction'}


def test_shares_of_known_gradients():
    x, y = (torch.ones(2, requires_grad=True) for _ in range(2))
    losses = dict(loss_a=3 * x[0], loss_b=4 * x[1], loss_c=3 * y[0])
    figures = gradient_figures(losses, [x, y])
    assert figures == pytest.approx(
        dict(gradient_share_a=0.3, gradient_share_b=0.4, gradient_share_c=0.3)
    )
    pair = gradient_figures(dict(loss_a=x[0], loss_b=-2 * x[0]), [x])
    assert pair['gradient_cosine'] == pytest.approx(-1)
    frozen = gradient_figures(losses, [])
    assert frozen == {}
