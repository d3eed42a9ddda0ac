"""The benchmark works; how fast anything is, no test says."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / 'tools'))

import benchmark  # noqa: E402
import benchmark_models  # noqa: E402
from benchmark_parity import check_parity  # noqa: E402
from benchmark_timing import count_flops, summary, time_in_turns  # noqa: E402


def test_contenders_take_turns():
    order = []
    steps = {name: lambda name=name: order.append(name) for name in 'ab'}
    taken = time_in_turns(steps, 'cpu', rounds=2, warm_up=1)
    assert order == ['a', 'b'] * 3
    assert {name: len(seconds) for name, seconds in taken.items()} == {'a': 2, 'b': 2}


def test_summary_is_median_and_distance_of_the_quarters():
    found = summary([0.001, 0.002, 0.003, 0.004, 0.005])
    assert found == {'median_ms': 3.0, 'quartiles_ms': 3.0}


def test_flops_are_those_of_a_product_and_its_gradients():
    a = torch.randn(3, 4, requires_grad=True)
    b = torch.randn(4, 5, requires_grad=True)
    assert count_flops(lambda: (a @ b).sum()) == 3 * 2 * 3 * 4 * 5


def test_flops_of_attention_are_counted():
    tensors = [torch.randn(1, 2, 7, 4, requires_grad=True) for _ in range(3)]
    attention = torch.nn.functional.scaled_dot_product_attention
    # Two products forward, four backward.
    assert count_flops(lambda: attention(*tensors).sum()) == 6 * 2 * 2 * 7 * 7 * 4


@pytest.fixture
def pair():
    """Ours and the stock parts, of toy size."""
    cfg = benchmark_models.load_config('tiny', mask_ratio=0.65, block_size=1)
    return (
        benchmark_models.build_ours(cfg, 'cpu', None),
        benchmark_models.build_stock(cfg, 'cpu', None),
    )


@pytest.fixture
def views():
    """Two views of four images."""
    return [torch.randn(4, 3, 224, 224) for _ in range(2)]


def test_stock_parts_compute_the_same(pair, views):
    """Losses, gradients, and all weights after two steps, in float64."""
    found = check_parity(*pair, views)
    assert found['losses'] < 1e-9
    assert found['gradients'] < 1e-6


def test_another_computation_is_not_timed(pair, views):
    ours, stock = pair
    stock.model.contrastive_head.temperature = 0.1
    with pytest.raises(SystemExit, match='does not compute the same'):
        check_parity(ours, stock, views)


@pytest.mark.slow
def test_step_tells_all_it_promises(monkeypatch, capsys, tmp_path):
    out = tmp_path / 'step.json'
    words = 'step --arch tiny --batch 4 --rounds 2 --device cpu --memory --json'
    monkeypatch.setattr(sys, 'argv', [benchmark.__file__, *words.split(), str(out)])
    benchmark.main()
    found = json.loads(out.read_text())
    assert found == json.loads(capsys.readouterr().out)
    assert set(found['step']) == {'cmae_mm', 'stock mmpretrain'}
    assert found['speed_up'] > 0
    assert set(found['memory_mib']) == {'ours', 'stock'}
    assert all(value > 0 for value in found['memory_mib'].values())
    assert 0 < found['mfu'] < 2
    assert found['parity_as_timed']['loss'] < 1e-5
    assert found['parity_as_timed']['gradient'] < 1e-3
    assert '--arch tiny' in found['machine']['command']
