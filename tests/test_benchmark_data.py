"""The benchmark of the data pipelines, at a tiny size: it works, whatever it finds."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOLS = Path(__file__).parents[1] / 'tools'


@pytest.fixture
def benchmark_data(monkeypatch):
    """The module of tools/benchmark_data.py."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import benchmark_data

    yield benchmark_data
    sys.modules.pop('benchmark_data')


def test_every_pipeline_gets_through(benchmark_data, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for i in range(2):
        img = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'{i}.JPEG'), img)
    out = tmp_path / 'out.json'
    benchmark_data.main([str(tmp_path), '--rounds', '1', '--json', str(out)])
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found['pictures'] == 'photos'
    report = found['pipelines']
    assert list(report) == ['stock', 'reference', 'fast', 'fast-gpu']
    assert report['stock']['ratio'] == 1
    for name, entry in report.items():
        assert f'{name}: {entry["images_per_s"]:.0f} images/s' in printed
        # The steps are most of what was timed, and no step is counted twice.
        total = 1000 / entry['images_per_s']
        assert 0.5 * total < sum(entry['ms'].values()) <= 1.01 * total


def test_an_empty_folder_explains_itself(benchmark_data, tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no .jpeg, .jpg, .png'):
        benchmark_data.find_files(tmp_path, 3)


def test_made_pictures_are_as_large_as_those_of_imagenet(benchmark_data, tmp_path):
    files = benchmark_data.make_pictures(tmp_path, 3)
    assert files == benchmark_data.find_files(tmp_path, 9)
    for file in files:
        assert 100_000 < file.stat().st_size < 120_000
        assert cv2.imread(str(file)).shape == (375, 500, 3)
