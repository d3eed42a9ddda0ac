"""The benchmark of storage, at a tiny size: it works, whatever it finds."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOLS = Path(__file__).parents[1] / 'tools'


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the tool; returns the numbers that it keeps."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import benchmark_storage

    monkeypatch.setattr(benchmark_storage, 'SHARDS', 2)

    def run(*args):
        out = tmp_path / 'out.json'
        monkeypatch.setattr(sys, 'argv', ['x', *map(str, args), '--json', str(out)])
        benchmark_storage.main()
        return json.loads(out.read_text())

    yield run
    for name in ('benchmark_storage', 'benchmark_data'):
        sys.modules.pop(name)


def test_speed(run, tmp_path):
    pytest.importorskip('webdataset')
    for i in range(2):
        img = np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'{i}.JPEG'), img)
    report = run('speed', tmp_path, '--rounds', 1)
    kinds = ['folder', 'stored.zip', 'deflated.zip', 'plain.tar', 'webdataset']
    assert list(report) == kinds
    assert report['folder']['reading']['ratio'] == 1
    assert all(entry['reading']['ms'] > 0 for entry in report.values())
    assert all(report[kind]['views']['ms'] > 0 for kind in kinds[:-1])


@pytest.mark.skipif(not Path('/proc/self/smaps_rollup').exists(), reason='Linux only')
def test_memory(run, tmp_path):
    report = run('memory', tmp_path, '--entries', 900, '--workers', 0, 2)
    kinds = ('objects', 'folder', 'zip', 'tar', 'shards')
    names = [f'{k}, {n} workers' for k in kinds for n in (0, 2)]
    assert list(report) == names
    for name, entry in report.items():
        assert entry['start_s'] > 0 and entry['peak_mib'] >= 0
        assert entry['end']['all'] > 10
        assert (entry['end']['worker'] > 0) == ('2 workers' in name)
