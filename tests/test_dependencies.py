import pytest

from cmae_mm import dependencies


@pytest.fixture
def versions(monkeypatch):
    """Pretend that modules have other versions; None means missing."""
    real = dependencies.module_version

    def pretend(**fake):
        monkeypatch.setattr(
            dependencies,
            'module_version',
            lambda name: fake[name] if name in fake else real(name),
        )

    return pretend


def test_what_is_installed_here_is_good_enough():
    dependencies.check_dependencies()


def test_versions_are_read_without_importing():
    import mmengine
    import torch

    assert dependencies.module_version('mmengine') == mmengine.__version__
    assert (
        dependencies.module_version('torch').split('+')[0]
        == (torch.__version__.split('+')[0])
    )
    assert dependencies.module_version('no_such_module') is None


def test_missing_and_old_libraries_are_named_with_the_remedy(versions):
    versions(mmpretrain=None, mmengine='0.9.1')
    with pytest.raises(ImportError) as error:
        dependencies.check_dependencies()
    text = str(error.value)
    assert 'mmpretrain is missing' in text
    assert 'pip install mmpretrain==1.2.0' in text
    assert 'mmengine 0.9.1 is too old (needed: 0.10.4 or newer)' in text
    assert 'make setup' in text


def test_missing_transfer_libraries_only_warn(versions):
    versions(mmdet=None)
    with pytest.warns(UserWarning, match='mmdet is missing.*configs/coco'):
        dependencies.check_dependencies()


def test_too_new_transformers_are_named(versions, monkeypatch):
    versions(transformers='4.55.0')
    monkeypatch.setattr('importlib.metadata.version', lambda name: '4.55.0')
    with pytest.raises(ImportError, match='transformers<4.51'):
        dependencies.check_dependencies()
