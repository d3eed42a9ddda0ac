import subprocess
import sys

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

OURS = [
    (MODELS, 'CMAE'),
    (MODELS, 'CMAEViT'),
    (MODELS, 'FeatureDecoder'),
    (MODELS, 'ContrastiveHead'),
    (TRANSFORMS, 'PixelShift'),
    (HOOKS, 'PlainCheckpointHook'),
    (HOOKS, 'CheckPretrainedHook'),
    (OPTIM_WRAPPER_CONSTRUCTORS, 'LayerDecayOptimWrapperConstructor'),
    (LOOPS, 'KNNTestLoop'),
    (METRICS, 'KNNAccuracy'),
]


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'mmdet'])
@pytest.mark.parametrize(('registry', 'name'), OURS, ids=[n for _, n in OURS])
def test_our_types_are_found_from_every_library(scope, registry, name):
    init_default_scope(scope)
    assert registry.get(f'cmae_mm.{name}').__name__ == name


def test_importing_the_core_imports_neither_mmseg_nor_mmdet():
    code = (
        'import sys, cmae_mm, cmae_mm.models, cmae_mm.datasets, cmae_mm.engine, '
        'cmae_mm.evaluation; print([m for m in ("mmseg", "mmdet") if m in sys.modules])'
    )
    out = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip().splitlines()[-1] == '[]'
