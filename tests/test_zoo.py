"""mim and mmpretrain find every config."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import mmpretrain
import pytest
import torch
from modelindex.load_model_index import load

from cmae_mm import zoo

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(
    str(file.relative_to(ROOT))
    for file in ROOT.glob('configs/*/*.py')
    if file.parent.name != '_base_'
)


@pytest.fixture(scope='module')
def index():
    """model-index.yml with all that it imports."""
    return load(str(ROOT / 'model-index.yml'))


@pytest.fixture
def hub():
    """mmpretrain's hub with our models in it."""
    zoo.register_models()
    return mmpretrain.apis.ModelHub


def library_of(config):
    """The library that a config's header names."""
    return re.search(r'mim train (\w+)', (ROOT / config).read_text()).group(1)


def test_every_config_stands_in_the_index_once(index):
    assert sorted(model.config for model in index.models) == CONFIGS
    names = [model.name for model in index.models]
    assert len(set(names)) == len(names)
    for model in index.models:
        assert not model.check_errors


def test_names_tell_the_config(index):
    for model in index.models:
        name = model.name.replace('_cmae-pre', '').replace('cmae_ablation-', '')
        assert name == Path(model.config).stem
        # The baseline is the one thing that is not CMAE.
        assert 'cmae' in model.name or model.name.startswith('mae_')


def test_epochs_and_batch_are_those_of_the_file_names(index):
    for model in index.models:
        metadata = {**collection(index, model).metadata.data}
        metadata.update(model.metadata.data if model.metadata else {})
        stem = Path(model.config).stem
        if epochs := re.search(r'(\d+)e_', stem):
            assert metadata['Epochs'] == int(epochs.group(1))
        if batch := re.search(r'_(\d+)xb(\d+)', stem):
            gpus, each = map(int, batch.groups())
            assert metadata['Batch Size'] == gpus * each


def collection(index, model):
    """The collection of a model, whose README must exist."""
    (found,) = (c for c in index.collections if c.name == model.in_collection)
    assert (ROOT / found.readme).parent == (ROOT / model.config).parent
    assert (ROOT / found.readme).is_file()
    return found


def test_figures_of_full_size_are_marked_as_those_of_others(index):
    """Nothing has been trained on ImageNet, ADE20K and COCO yet."""
    marked = 0
    for model in index.models:
        for result in model.results or ():
            if result.dataset in ('ImageNet-1k', 'ADE20K', 'COCO'):
                for metric in result.metrics or ():
                    assert re.search(r'\(.*(paper|authors).*\)$', metric), metric
                    marked += 1
    assert marked > 10


def test_every_config_stands_in_the_readme_of_its_folder():
    for config in CONFIGS:
        readme = (ROOT / config).with_name('README.md').read_text()
        # a-{1,2} stands for a-1 and a-2
        readme = re.sub(
            r'([^\s`]*)\{([^}]*)\}([^\s`]*)',
            lambda m: ' '.join(m[1] + part + m[3] for part in m[2].split(',')),
            readme,
        )
        assert re.search(rf'(?<![\w-]){re.escape(Path(config).stem)}(?![\w-])', readme)


def test_mmpretrain_lists_what_it_can_build(index, hub):
    # FCMAE is the pre-training of ConvNeXt V2.
    listed = set(mmpretrain.list_models('*cmae*', exclude_patterns=['*fcmae*']))
    ours = {
        model.name
        for model in index.models
        if library_of(model.config) == 'mmpretrain' and 'cmae' in model.name
    }
    assert listed == ours
    assert hub.has('mae_vit-base-p16_32xb128-amp-coslr-300e_in1k')


def test_registering_again_changes_nothing(hub):
    before = mmpretrain.list_models()
    zoo.register_models()
    assert mmpretrain.list_models() == before


def test_get_model_builds_by_name(hub, tmp_path):
    cmae = mmpretrain.get_model('cmae_vit-nano-p8_bs32-8e_scenes')
    tokens = cmae.extract_feat(torch.zeros(1, 3, 64, 64))[-1]
    assert tokens.shape == (1, 1 + 64, 128)
    torch.save(dict(state_dict=cmae.state_dict()), tmp_path / 'cmae.pth')
    again = mmpretrain.get_model(
        'cmae_vit-nano-p8_bs32-8e_scenes', pretrained=str(tmp_path / 'cmae.pth')
    )
    assert torch.equal(again.extract_feat(torch.zeros(1, 3, 64, 64))[-1], tokens)
    probe = mmpretrain.get_model('vit-nano-p8_cmae-pre_linear-12e_scenes')
    assert probe(torch.zeros(1, 3, 64, 64)).shape == (1, 6)


def test_a_package_without_configs_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, '__file__', str(tmp_path / 'site/cmae_mm/zoo.py'))
    with pytest.raises(FileNotFoundError, match='without its configs.*make setup'):
        zoo.find_root()


def write_site(site):
    """A site-packages with what mim wants to see of our package."""
    package, info = site / 'cmae_mm', site / 'cmae_mm-1.dist-info'
    (package / '.mim').mkdir(parents=True)
    info.mkdir()
    for name in ('configs', 'model-index.yml'):
        (package / '.mim' / name).symlink_to(ROOT / name)
    (package / '__init__.py').touch()
    (info / 'METADATA').write_text('Name: cmae-mm\nVersion: 1\n')
    return site


@pytest.mark.slow
def test_mim_search_finds_them(tmp_path, index):
    """With the package where mim looks for it: in site-packages, by its metadata."""
    env = {'PATH': ''}
    installed = Path(sysconfig.get_path('purelib'), 'cmae_mm')
    if installed.resolve() != ROOT / 'cmae_mm':  # not the work of make setup
        env['PYTHONPATH'] = str(write_site(tmp_path / 'site'))

    def search(*options):
        command = [sys.executable, '-W', 'ignore', '-m', 'mim', 'search', 'cmae_mm']
        return subprocess.run(
            [*command, *options],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    out = search('--valid-config')
    for model in index.models:
        assert f"'{model.name}'" in out
    out = search('--model', 'cmae fine-tuning', '--field', 'epochs')
    assert out.count('config id') == 6
