import ast
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.registry import (
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    TRANSFORMS,
    init_default_scope,
)

import cmae_mm

OURS = [
    (MODELS, 'CMAE'),
    (MODELS, 'CMAEViT'),
    (MODELS, 'FeatureDecoder'),
    (MODELS, 'ContrastiveHead'),
    (TRANSFORMS, 'PixelShift'),
    (HOOKS, 'PlainCheckpointHook'),
    (HOOKS, 'DurableCheckpointHook'),
    (HOOKS, 'CheckPretrainedHook'),
    (HOOKS, 'StopOnSignalHook'),
    (OPTIM_WRAPPER_CONSTRUCTORS, 'LayerDecayOptimWrapperConstructor'),
    (LOOPS, 'KNNTestLoop'),
    (METRICS, 'KNNAccuracy'),
]


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'mmdet'])
@pytest.mark.parametrize(('registry', 'name'), OURS, ids=[n for _, n in OURS])
def test_our_types_are_found_from_every_library(scope, registry, name):
    init_default_scope(scope)
    assert registry.get(f'cmae_mm.{name}').__name__ == name


def test_importing_the_package_imports_neither_mmseg_nor_mmdet():
    code = 'import sys, cmae_mm; print({"mmseg", "mmdet"} & set(sys.modules))'
    out = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip().splitlines()[-1] == 'set()'


def test_no_file_of_the_package_imports_mmseg_or_mmdet():
    """mmpretrain.models imports mmdet if it is there; we never do."""
    package = Path(cmae_mm.__file__).parent
    files = [f for f in package.rglob('*.py') if '.mim' not in f.parts]
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in getattr(node, 'names', [])]
            names.append(getattr(node, 'module', None) or '')
            roots = {str(name).split('.')[0] for name in names}
            assert not roots & {'mmseg', 'mmdet'}, file
