"""Pictures for MLflow, by a stand-in that stores and refuses files as MLflow does."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.registry import VISBACKENDS
from mmengine.visualization import MLflowVisBackend
from PIL import Image


@pytest.fixture
def artifacts(tmp_path, monkeypatch):
    """Where the stand-in of the package puts artifacts."""

    def log_image(image, artifact_file):
        file = tmp_path / 'artifacts' / artifact_file
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)  # takes the format from the ending

    nothing = ['set_tracking_uri', 'set_experiment', 'create_experiment']
    calls = {name: lambda *_, **__: None for name in nothing}
    mlflow = SimpleNamespace(
        get_experiment_by_name=lambda _: None, log_image=log_image, **calls
    )
    monkeypatch.setitem(sys.modules, 'mlflow', mlflow)
    return tmp_path / 'artifacts'


def test_a_picture_of_every_step_is_stored(artifacts: Path, tmp_path):
    backend = VISBACKENDS.build(
        dict(type='cmae_mm.MLflowBackend', save_dir=str(tmp_path / 'run'))
    )
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3), np.uint8)
    for step, picture in zip((0, 18), pictures, strict=True):
        backend.add_image('monitor_view_0', picture, step)
    files = sorted((artifacts / 'monitor_view_0').iterdir())
    assert [file.name for file in files] == ['00000000.png', '00000018.png']
    for file, picture in zip(files, pictures, strict=True):
        assert np.array_equal(np.array(Image.open(file)), picture)


def test_the_stock_backend_still_needs_it(artifacts, tmp_path):
    """If this fails, MMEngine has mended it, and ours can go."""
    stock = MLflowVisBackend(str(tmp_path / 'run'))
    with pytest.raises(ValueError, match='unknown file extension'):
        stock.add_image('monitor_view_0', np.zeros((8, 8, 3), np.uint8), 0)
