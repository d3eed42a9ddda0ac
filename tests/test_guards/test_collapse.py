"""The measures against plain ones; the alarm on collapsed and healthy features."""

import logging
import math

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from cmae_mm.engine import CompileHook
from cmae_mm.guards import CollapseHook
from cmae_mm.guards.collapse import effective_rank, relative_spread, similarities


def rows(*counts):
    """Unit vectors in 8 dimensions: ``counts[i]`` copies of the i-th axis."""
    return torch.cat([torch.eye(8)[i].expand(n, 8) for i, n in enumerate(counts)])


@pytest.mark.parametrize('counts, rank', [((6,), 1), ((3, 3), 2), ((2,) * 8, 8)])
def test_rank_counts_equally_frequent_directions(counts, rank):
    scale = torch.rand(sum(counts), 1) + 0.5  # lengths do not matter
    assert effective_rank(rows(*counts) * scale) == pytest.approx(rank, rel=1e-5)


def test_rank_of_uneven_directions_is_that_of_the_formula():
    """Nine and one copies: singular values 3 and 1."""
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(rows(9, 1)) == pytest.approx(math.exp(entropy), rel=1e-5)


def test_rank_is_that_of_the_eigenvalues():
    features = torch.randn(40, 12) @ torch.diag(torch.logspace(0, -3, 12))
    directions = features.double().numpy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = np.sqrt(np.linalg.eigvalsh(directions.T @ directions).clip(0))
    shares = values / values.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert effective_rank(features) == pytest.approx(expected, rel=1e-4)


def test_spread_is_one_for_all_directions_alike_and_zero_for_one():
    assert relative_spread(torch.randn(20000, 64)) == pytest.approx(1, abs=0.01)
    assert relative_spread(torch.randn(1, 64).expand(50, 64)) == pytest.approx(
        0, abs=1e-6
    )


def test_spread_is_that_of_plain_arithmetic():
    features = torch.randn(5, 3) + 1
    unit = [[v / math.hypot(*row) for v in row] for row in features.tolist()]
    deviations = []
    for column in zip(*unit, strict=True):
        mean = sum(column) / 5
        deviations.append(math.sqrt(sum((v - mean) ** 2 for v in column) / 5))
    expected = sum(deviations) / 3 * math.sqrt(3)
    assert relative_spread(features) == pytest.approx(expected, rel=1e-5)


def test_similarities_are_those_of_plain_loops():
    queries, keys = torch.randn(6, 4), torch.randn(6, 4)
    cosine = torch.nn.CosineSimilarity(dim=0)
    table = [[cosine(q, k).item() for k in keys] for q in queries]
    others = [[table[i][j] for j in range(6) if j != i] for i in range(6)]
    found = similarities(queries, keys)
    for name, expected in dict(
        positive=np.mean([table[i][i] for i in range(6)]),
        negative=np.mean(others),
        hardest=np.mean([max(row) for row in others]),
    ).items():
        assert found[f'similarity_{name}'] == pytest.approx(expected, rel=1e-4)


class Run:
    """What the hook sees of a training, with a training step that can be chosen."""

    def __init__(self, model, request, caplog, **options):
        self.model, self.iter = model, 0
        self.message_hub = MessageHub.get_instance(request.node.name)
        self.logger = logging.getLogger('collapse')
        self.caplog = caplog
        self.hook = CollapseHook(**{'interval': 1, **options})

    def step(self, train):
        self.hook.before_train_iter(self, self.iter)
        outputs = train(self.model)
        self.hook.after_train_iter(self, self.iter, outputs=outputs)
        self.iter += 1
        return outputs

    def last(self, name):
        return self.message_hub.get_scalar(f'train/{name}').current()

    def names(self):
        return {name.removeprefix('train/') for name in self.message_hub.log_scalars}

    def alarms(self, branch):
        messages = [record.getMessage() for record in self.caplog.records]
        return [text for text in messages if f'the {branch} branch' in text]


@pytest.fixture
def start(request, caplog):
    return lambda model, **options: Run(model, request, caplog, **options)


def listeners(model):
    return sum(len(module._forward_hooks) for module in model.modules())


ENCODER = {'spread_encoder', 'rank_encoder'}
ALL = ENCODER | {
    'spread_online',
    'rank_online',
    'spread_target',
    'rank_target',
    'similarity_positive',
    'similarity_negative',
    'similarity_hardest',
}


def byol(cfg):
    head = {**cfg['contrastive_head'], 'type': 'cmae_mm.PositivePairHead'}
    return {**cfg, 'contrastive_head': head}


def test_the_loss_says_the_same_of_the_positives(build, tiny_cfg, views, start):
    run = start(build(byol(tiny_cfg)))
    outputs = run.step(lambda model: model.loss(views, []))
    assert run.names() == ALL
    expected = outputs['similarity'].item()
    assert run.last('similarity_positive') == pytest.approx(expected, rel=1e-4)


def test_infonce_can_be_had_from_what_is_measured(build, tiny_cfg, views, start):
    """Of two images there is one other: both cosines give the loss of two queries."""
    run = start(build(tiny_cfg))
    pair = [view[:1].repeat(2, 1, 1, 1) for view in views]  # the same image twice
    run.model.backbone.masking = FirstHalf()
    loss = run.step(lambda model: model.loss(pair, []))['loss_contrastive'].item()
    assert loss == pytest.approx(math.log(2), rel=1e-4)
    assert run.last('similarity_positive') == pytest.approx(
        run.last('similarity_negative'), abs=1e-5
    )
    assert run.last('rank_target') == pytest.approx(1, abs=1e-3)


class FirstHalf(torch.nn.Module):
    """The first patches of every image are visible; no draw."""

    def forward(self, batch):
        from cmae_mm.models.masking import Masking

        places = torch.arange(16).expand(batch, 16)
        return Masking(places[:, :8], places[:, 8:])


def test_micro_batches_are_measured_as_one(build, tiny_cfg, start):
    views = [torch.randn(6, 3, 16, 16) for _ in range(2)]
    run = start(build({**tiny_cfg, 'ema_decay': 1.0}))
    run.model.backbone.masking = FirstHalf()
    run.step(lambda model: model.loss(views, []))

    def in_parts(model):
        model.hold_keys([views[1][:3], views[1][3:]])
        model.loss([view[:3] for view in views], [])
        model.loss([view[3:] for view in views], [])

    run.step(in_parts)
    for name in ALL:
        whole, parts = run.message_hub.get_scalar(f'train/{name}').data[0]
        assert parts == pytest.approx(whole, rel=1e-4), name


def test_mae_has_only_an_encoder_to_measure(build, tiny_cfg, views, start):
    run = start(build({**tiny_cfg, 'contrastive_weight': 0}))
    run.model.backbone.masking = FirstHalf()
    run.step(lambda model: model.loss(views, []))
    assert run.names() == ENCODER
    with torch.no_grad():
        latent, _ = run.model.backbone(views[0], FirstHalf()(3))
    features = latent[:, 1:].mean(dim=1)  # without the class token
    assert run.last('spread_encoder') == pytest.approx(relative_spread(features))


@pytest.mark.usefixtures('compiling')
def test_compiled_blocks_are_measured(build, tiny_cfg, views, start):
    run = start(build(tiny_cfg))
    CompileHook(backend='eager').before_train(run)
    run.step(lambda model: model.loss(views, []))
    assert run.names() == ALL


def test_it_listens_in_its_iterations_only_and_changes_nothing(
    build, tiny_cfg, views, start
):
    def train(model):
        torch.manual_seed(run.iter)
        counts.append(listeners(model))
        data = dict(inputs=views, data_samples=[])
        return model.train_step(data, wrapper)

    weights, losses, counts = [], [], []
    for interval in (2, 100):
        torch.manual_seed(0)
        run = start(build(tiny_cfg), interval=interval)
        wrapper = OptimWrapper(torch.optim.AdamW(run.model.parameters(), lr=0.01))
        losses.append([run.step(train)['loss'].item() for _ in range(4)])
        weights.append(run.model.state_dict())
    assert counts == [0, 3, 0, 3, 0, 0, 0, 0]
    assert listeners(run.model) == 0
    assert losses[0] == losses[1]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])


def test_collapsed_features_raise_the_alarm(build, tiny_cfg, views, start):
    """Every image gets the same key; the loss cannot see more than a plateau."""
    run = start(build({**tiny_cfg, 'ema_decay': 1.0}), patience=3)
    with torch.no_grad():
        run.model.target_projector.fc0.weight.zero_()
        run.model.target_projector.fc0.bias.normal_()
    for _ in range(2):
        run.step(lambda model: model.loss(views, []))
    assert run.alarms('target') == []  # it may pass
    run.step(lambda model: model.loss(views, []))
    (alarm,) = run.alarms('target')
    assert 'have collapsed' in alarm
    assert 'spread is 0.000' in alarm and '1.0 of 3 directions' in alarm
    for _ in range(3):
        run.step(lambda model: model.loss(views, []))
    assert len(run.alarms('target')) == 2  # again, while it lasts


@pytest.mark.parametrize(
    'scales, centre, alarms',
    [
        (1.0, 0.0, 0),  # everywhere
        (0.01, 1.0, 1),  # a narrow cone: no spread
        ([1.0] + [1e-4] * 31, 1e-3, 1),  # a line: some spread, no rank
    ],
    ids=['healthy', 'cone', 'line'],
)
def test_alarm_by_spread_or_by_rank(start, scales, centre, alarms):
    features = torch.randn(64, 32) * torch.tensor(scales) + centre
    run = start(None, patience=2)
    spread, rank = relative_spread(features), effective_rank(features)
    for _ in range(2):
        run.hook._judge(run, 'online', spread, rank, features.shape)
    assert len(run.alarms('online')) == alarms
    # One good measurement, and the count begins again.
    run.hook._judge(run, 'online', 0.9, 20.0, features.shape)
    run.hook._judge(run, 'online', spread, rank, features.shape)
    assert len(run.alarms('online')) == alarms


@pytest.mark.parametrize('images', [1, 3])
def test_what_cannot_be_measured_is_left_out(build, tiny_cfg, views, start, images):
    run = start(build(tiny_cfg))
    sick = [view[:images] * (1 if images == 1 else math.nan) for view in views]
    run.step(lambda model: model.loss(sick, []))
    assert run.names() == set()
