"""The benchmark works; how fast anything is, no test says."""

import copy
import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / 'tools'))

import benchmark  # noqa: E402
import benchmark_models  # noqa: E402
from benchmark_ablate import CHANGES, applies, compare_turns  # noqa: E402
from benchmark_machine import shown  # noqa: E402
from benchmark_parity import check_parity, compare_traces, trace  # noqa: E402
from benchmark_timing import count_flops, summary, time_in_turns  # noqa: E402


def test_contenders_take_turns():
    order = []
    steps = {name: lambda name=name: order.append(name) for name in 'ab'}
    taken = time_in_turns(steps, 'cpu', rounds=2, warm_up=1)
    assert order == ['a', 'b'] * 3
    assert {name: len(seconds) for name, seconds in taken.items()} == {'a': 2, 'b': 2}


def test_contexts_are_around_the_turns_of_their_own():
    inside = []

    @contextmanager
    def context():
        inside.append('in')
        yield
        inside.append('out')

    steps = {name: lambda name=name: inside.append(name) for name in 'ab'}
    time_in_turns(steps, 'cpu', rounds=1, warm_up=0, inside={'b': context})
    assert inside == ['a', 'in', 'b', 'out']


def test_savings_are_taken_turn_by_turn():
    found = compare_turns([1.0, 2.0, 3.0], [1.5, 2.5, 3.4])
    assert found == {'saved_ms': 500.0, 'saved_quartiles_ms': 100.0}


def test_commands_are_shown_without_the_places_of_a_machine(tmp_path):
    words = ['e2e', str(tmp_path), '--reference', 'here/CMAE', '--json', 'o', '--batch']
    assert shown(words) == ['e2e', 'PHOTOS', '--reference', 'CHECKOUT', '--batch']


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
    cfg = benchmark_models.load_config('tiny', 0.65, block_size=1, img_size=64)
    return (
        benchmark_models.build_ours(cfg, 'cpu', None),
        benchmark_models.build_stock(cfg, 'cpu', None),
    )


@pytest.fixture
def views():
    """Two views of four images."""
    return [torch.randn(4, 3, 64, 64) for _ in range(2)]


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


def command_line(monkeypatch, words):
    """What the benchmark would do with these words."""
    monkeypatch.setattr(sys, 'argv', [benchmark.__file__, *words.split()])
    return benchmark.parse_args()


@pytest.mark.parametrize(
    'name', [name for name, change in CHANGES.items() if change.gate == 'float64']
)
def test_taken_back_changes_nothing(pair, views, monkeypatch, name):
    """Losses, gradients, and all weights after two steps, in float64.

    But it does compute another way: other numbers of FLOPs, or other calls.
    """
    ours, _ = pair
    start = copy.deepcopy(ours.model.state_dict())
    expected = trace(ours, views)
    ours.model.load_state_dict(start)
    args = command_line(monkeypatch, 'ablate --arch tiny --device cpu')
    plain = CHANGES[name].build(ours, args)
    assert compare_traces(expected, trace(plain, views), name)['weights'] < 1e-6
    counts = []
    for contender in (ours, plain):
        with contender.inside(), torch.profiler.profile() as profile:
            contender.step(views)
        counts.append({event.key: event.count for event in profile.key_averages()})
    assert counts[0] != counts[1]


def test_contexts_leave_nothing_behind(pair, views, monkeypatch):
    ours, _ = pair
    before = {name: dict(vars(m)) for name, m in ours.model.named_modules()}
    args = command_line(monkeypatch, 'ablate --arch tiny --device cpu')
    for name in ('attention', 'indices', 'target', 'masked-pixels', 'momentum'):
        with CHANGES[name].build(ours, args).inside():
            ours.step(views)
    for name, module in ours.model.named_modules():
        assert vars(module).keys() == before[name].keys()


def test_rows_that_have_nothing_to_show_are_left_out(monkeypatch):
    args = command_line(monkeypatch, 'ablate --device cpu')
    left_out = {name for name in CHANGES if not applies(name, args)}
    assert left_out == {'cpu-attention', 'labels', 'bfloat16', 'compile'}
    args = command_line(monkeypatch, 'ablate --device cpu --dtype bfloat16')
    left_out = {name for name in CHANGES if not applies(name, args)}
    assert left_out == {'attention', 'labels', 'compile'}
    args = command_line(monkeypatch, 'ablate --device cuda --dtype bfloat16')
    assert [n for n in CHANGES if not applies(n, args)] == ['cpu-attention']


def run(monkeypatch, capsys, out, words):
    """What a command writes, which is also what it prints."""
    words = [*words.split(), '--arch', 'tiny', '--device', 'cpu', '--rounds', '2']
    words += ['--json', str(out)]
    monkeypatch.setattr(sys, 'argv', [benchmark.__file__, *words])
    capsys.readouterr()
    benchmark.main()
    found = json.loads(out.read_text())
    assert found == json.loads(capsys.readouterr().out)
    assert '--arch tiny' in found['machine']['command']
    return found


@pytest.mark.slow
def test_step_tells_all_it_promises(monkeypatch, capsys, tmp_path):
    out = tmp_path / 'step.json'
    found = run(monkeypatch, capsys, out, 'step --batch 4 --memory')
    assert set(found['step']) == {'cmae_mm', 'stock mmpretrain'}
    assert found['speed_up'] > 0
    assert set(found['memory_mib']) == {'ours', 'stock'}
    assert all(value > 0 for value in found['memory_mib'].values())
    assert 0 < found['mfu'] < 2
    assert found['parity_as_timed']['loss'] < 1e-5
    assert found['parity_as_timed']['gradient'] < 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures('compiling')
def test_ablation_has_every_row(monkeypatch, capsys, tmp_path):
    words = 'ablate --batch 4 --dtype bfloat16 --compile aot_eager'
    found = run(monkeypatch, capsys, tmp_path / 'new' / 'ablate.json', words)
    assert found['rows'].keys() == CHANGES.keys() - {'attention', 'labels'}
    for name, row in found['rows'].items():
        assert row['step']['median_ms'] > 0
        assert row['gate'] or name == 'micro-batches'
    # The FLOPs are exact: more where more is computed, nowhere else.
    flops = {n: row.get('gflop_per_image') for n, row in found['rows'].items()}
    for name in ('visible-embedding', 'masked-pixels', 'pooled-features'):
        assert flops[name] > found['whole']['gflop_per_image']
    assert flops['indices'] == found['whole']['gflop_per_image']
    assert found['rows']['momentum']['part'].keys() == {'whole', 'momentum'}


@pytest.mark.slow
@pytest.mark.usefixtures('compiling')
def test_sweep_has_every_setting(monkeypatch, capsys, tmp_path):
    words = 'sweep --batches 2 3 --image-sizes 64 --mask-ratios 0.5 --compile aot_eager'
    found = run(monkeypatch, capsys, tmp_path / 'sweep.json', words)
    assert set(found) == {
        'machine',
        '64 px, mask 0.5, batch 2',
        '64 px, mask 0.5, batch 3',
    }
