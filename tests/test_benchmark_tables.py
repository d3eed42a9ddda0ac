"""What was measured, as tables; and the script for a machine with a GPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tools'))

import benchmark  # noqa: E402
import benchmark_e2e  # noqa: E402
import benchmark_tables  # noqa: E402

MACHINE = dict(command='python x', device='CPU', threads=2, torch='2', commit='abc')
TIMING = dict(median_ms=100.0, quartiles_ms=2.0)


def filled(tmp_path, name, result):
    """A page with one table."""
    (tmp_path / f'{name}.json').write_text(json.dumps(result))
    return benchmark_tables.fill(
        f'a\n<!-- {name} -->\nold\n<!-- /{name} -->\nb', tmp_path
    )


def test_page_is_what_the_files_say():
    page = benchmark_tables.PAGE
    assert benchmark_tables.fill(page.read_text(), page.with_suffix('')) == (
        page.read_text()
    )


def test_every_file_has_its_place_on_the_page():
    page = benchmark_tables.PAGE
    marks = {found[1] for found in benchmark_tables.MARKED.findall(page.read_text())}
    files = page.with_suffix('').glob('*.json')
    assert {file.stem for file in files} <= marks
    # Of the script for a GPU, all are.
    script = (ROOT / 'tools/benchmark_gpu.sh').read_text()
    assert set(re.findall(r'\$OUT/([\w-]+)\.json', script)) <= marks


def test_what_is_not_measured_says_so(tmp_path):
    page = '<!-- gpu-ablate -->\n<!-- /gpu-ablate --> <!-- x-data -->\n<!-- /x-data -->'
    found = benchmark_tables.fill(page, tmp_path)
    assert found.count('not measured yet') == len(benchmark_tables.CHANGES)
    assert '*Not measured yet.*' in found
    assert benchmark_tables.fill(found, tmp_path) == found


def test_step_stands_beside_its_peer(tmp_path):
    step = dict(TIMING, images_per_s=80.0, host_ms=3.0)
    names = ('forward + backward', 'optimiser', 'momentum')
    parts = {part: {'cmae_mm': TIMING, 'peer': TIMING} for part in names}
    parts['step'] = {'cmae_mm': step, 'peer': step}
    result = dict(
        machine=MACHINE,
        memory_mib={'ours': 1, 'released': 2},
        gflop_per_image=111.0,
        mfu=0.5,
        ceiling_gflop_per_s=1000,
        speed_up=1.25,
        shims=['this'],
        **parts,
    )
    page = filled(tmp_path, 'gpu-step-eager', result)
    assert page.startswith('a\n') and page.endswith('b') and 'old' not in page
    assert '| step, ms | 100.0 (2.0) | 100.0 (2.0) |' in page
    assert '| peak memory of three steps, MiB | 1 | 2 |' in page
    assert 'Faster by 1.25. 111.0 GFLOP per image; 50.0%' in page
    assert 'Replaced in the peer: this.' in page


def test_rows_of_the_ablation_hold_what_was_predicted_and_what_came(tmp_path):
    row = dict(step=TIMING, saved_ms=5.0, saved_quartiles_ms=1.0, gflop_per_image=2.0)
    part = {'whole': TIMING, 'momentum': dict(median_ms=300.0)}
    rows = {'momentum': dict(row, part=part, saved_mib=7)}
    result = dict(machine=MACHINE, whole=dict(row), rows=rows)
    page = filled(tmp_path, 'cpu-ablate', result)
    assert '| 2.0 | 5.0 (1.0) | 5.0% | 100.0 (2.0), 300.0 | 7 |' in page
    assert '| only with a GPU |' in page  # labels
    assert 'CPU, 2 threads, torch 2, commit abc.' in page


def test_runs_stand_below_each_other(tmp_path):
    run = dict(images_per_s=9.5, waiting=0.25, memory_mib=3, default_is_faster_by=1.0)
    runs = {
        'default': dict(run, mfu=0.5, idle=0.125),
        'released': dict(run, default_is_faster_by=2.5, shims=['that']),
    }
    settings = dict(batch=8, per_epoch=None)
    result = dict(machine=MACHINE, pictures='made', settings=settings, runs=runs)
    page = filled(tmp_path, 'cpu-e2e', result)
    assert '| 9.5 | - | 25.0% | 12.5% | 3 | 50.0% |' in page
    assert '| 9.5 | 2.5 | 25.0% | - | 3 | - |' in page
    assert 'Pictures: made; batch 8. Replaced in the released code: that.' in page


def test_pipelines_are_compared_with_the_first(tmp_path):
    entry = dict(images_per_s=100.2, ratio=1.0, worker_ms=20.0, worker_ratio=1.5)
    result = dict(machine=MACHINE, pictures='photos', pipelines={'stock': entry})
    page = filled(tmp_path, 'gpu-data', result)
    assert '| stock | 100 | 1.00 | 50 | 1.50 |' in page
    assert 'against stock' in page


@pytest.fixture
def script(tmp_path):
    """The script, with a Python that only writes down what it is asked to run."""
    fake = tmp_path / 'python'
    fake.write_text('#!/bin/sh\nshift 3\nprintf "%s\\n" "$*" >> "$OUT/asked"\n')
    fake.chmod(0o755)

    def run(*words, **env):
        env = {**os.environ, 'PYTHON': str(fake), 'OUT': str(tmp_path), **env}
        command = ['bash', str(ROOT / 'tools/benchmark_gpu.sh'), *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        asked = tmp_path / 'asked'
        return done, asked.read_text().splitlines() if asked.exists() else []

    return run


@pytest.mark.parametrize('reference', ['', '/some/CMAE'])
def test_script_asks_for_what_the_benchmark_understands(script, monkeypatch, reference):
    for word in ('step', 'data', 'e2e'):
        done, asked = script(word, REFERENCE=reference)
        assert done.returncode == 0, done.stderr
    kinds = [line.split()[0] for line in asked]
    assert kinds == ['step', 'step', 'ablate', 'data', 'e2e', 'e2e']
    for line in asked[:3]:
        monkeypatch.setattr(sys, 'argv', ['benchmark.py', *line.split()])
        args = benchmark.parse_args()
        assert (args.device, args.arch, args.batch) == ('cuda', 'b', 256)
        assert args.dtype == 'bfloat16'
        if line.startswith('step'):
            assert args.peer == ('released' if reference else 'stock')
    for line in asked[4:]:
        args = benchmark_e2e.parse_args(line.split()[1:])
        assert args.workers == 8 and args.compile == 'inductor'
    assert ('released' in asked[4]) == bool(reference)


def test_script_says_how_it_is_called(script):
    done, asked = script('all')
    assert done.returncode == 2 and not asked
    assert 'usage: tools/benchmark_gpu.sh {step|data|e2e}' in done.stderr
