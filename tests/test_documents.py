"""What the documents name exists."""

import itertools
import re
import runpy
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
DOCUMENTS = ['README.md']
for pattern in ('docs/*.md', 'configs/*/README.md'):
    DOCUMENTS += sorted(str(f.relative_to(ROOT)) for f in ROOT.glob(pattern))
# The list of all pages, and the one that names files of other projects.
DOCUMENTS = [d for d in DOCUMENTS if d not in ('docs/index.md', 'docs/features.md')]
# Where a file without a folder is looked for.
FOLDERS = ('', 'configs/', 'configs/pretrain/', 'configs/ablation/')


def read(document):
    return (ROOT / document).read_text(encoding='utf-8')


def expand(pattern):
    """'a-{1,2}.py' -> 'a-1.py', 'a-2.py'."""
    parts = re.split(r'\{([^}]*)\}', pattern)
    choices = [p.split(',') if i % 2 else [p] for i, p in enumerate(parts)]
    return [''.join(choice) for choice in itertools.product(*choices)]


def configs_named(document):
    """For each config a document names, patterns included, the files that are meant."""
    names = re.findall(r'configs/[\w./*{},-]+', read(document))
    if document == 'docs/paper.md':
        names += re.findall(r'`([\w./*{},-]+\.py)`', read(document))
    for name in names:
        for pattern in expand(name.rstrip('.,')):
            files = [f for folder in FOLDERS for f in ROOT.glob(folder + pattern)]
            yield pattern, {f.relative_to(ROOT) for f in files}


@pytest.mark.parametrize('document', DOCUMENTS)
def test_configs_named_exist(document):
    missing = [pattern for pattern, files in configs_named(document) if not files]
    assert not missing


def test_every_config_of_the_paper_stands_beside_a_claim():
    named = set().union(*(files for _, files in configs_named('docs/paper.md')))
    for file in (ROOT / 'configs').glob('*/*.py'):
        file = file.relative_to(ROOT)
        if file.parent.name in ('pretrain', 'ablation'):
            assert file in named
        elif file.parent.name != '_base_':
            assert file in named or file.parent in named or file.match('cifar10/*')


def trainings(document):
    """Each ``mim train`` of a packaged config: the config, and the whole command."""
    text = read(document).replace('\\\n', ' ')
    for command in re.findall(r'^mim train .*$', text, re.M):
        for name in re.findall(r'([\w.-]+\.py)', command):
            yield from ((file, command) for file in ROOT.glob(f'configs/[!_]*/{name}'))


@pytest.mark.parametrize('document', DOCUMENTS)
def test_trainings_name_the_weights_they_start_from(document):
    """What a config of full size names itself is a file that no run writes."""
    for file, command in trainings(document):
        model = Config.fromfile(file, import_custom_modules=False).model
        if 'work_dirs/pretrain/' in str(model.backbone.get('init_cfg')):
            named = re.search(r'init_cfg\.checkpoint=|\$FROM', command)
            assert named, f'{document}: {command}'


def test_there_are_trainings_in_the_documents():
    assert len([*trainings('README.md')]) > 5 and [*trainings('docs/get-started.md')]


def test_links_lead_somewhere(capsys):
    tool = runpy.run_path(str(ROOT / 'tools/check_links.py'))
    assert tool['main']() == 0, capsys.readouterr().out


def test_every_room_of_the_package_is_on_the_map():
    rooms = {file.parent.name for file in ROOT.glob('cmae_mm/*/__init__.py')}
    assert rooms and rooms <= {*re.findall(r'`cmae_mm/(\w+)`', read('CONTRIBUTING.md'))}


@pytest.mark.parametrize('document', DOCUMENTS)
def test_types_named_exist(document):
    from cmae_mm import registry

    registries = [r for r in vars(registry).values() if hasattr(r, 'module_dict')]
    for name in set(re.findall(r'cmae_mm\.([A-Z]\w+)', read(document))):
        assert any(registry.get(f'cmae_mm.{name}') for registry in registries), name
