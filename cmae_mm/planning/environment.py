"""Checks of the machine and its libraries; each imports what it needs by itself."""

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from cmae_mm.dependencies import (
    ALL_AT_ONCE,
    REQUIRED,
    TRANSFER,
    complaint,
    module_version,
    transformers_complaint,
)

from .finding import Finding, guarded

GIB = 2**30
# Distributions that exist in both families; onedl's have the prefix.
_FAMILIES = ('mmengine', 'mmcv', 'mmpretrain', 'mmsegmentation', 'mmdet')
# Module -> what it is for.
_EXTRAS = {
    'simplejpeg': 'faster JPEG',
    'tifffile': 'TIFF of many channels',
    'timm': 'weights of timm',
    'transformers': 'weights of Hugging Face',
    'safetensors': 'safetensors',
    'onnx': 'export to ONNX',
    'onnxruntime': 'the check of ONNX',
    'pyarrow': 'embeddings as Parquet',
}


def check_environment() -> Iterator[Finding]:
    """All checks that need no config, in their order."""
    yield from guarded('python', check_python)
    for name, need in {**REQUIRED, **TRANSFER}.items():
        yield from guarded(name, partial(check_library, name, need))
    for name, check in (
        ('families', check_families),
        ('transformers', check_transformers),
        ('extras', check_extras),
        ('device', check_device),
        ('cores', check_cores),
        ('memory', check_memory),
    ):
        yield from guarded(name, check)


def check_python() -> Iterator[Finding]:
    """Versions that the tests run on."""
    version = '.'.join(map(str, sys.version_info[:3]))
    known = (3, 10) <= sys.version_info[:2] <= (3, 12)
    advice = '' if known else '; tested are 3.10 to 3.12: take one of these'
    yield Finding('ok' if known else 'note', 'python', version + advice)


def check_library(name: str, need: tuple[str, str | None, str]) -> Iterator[Finding]:
    """There, of the right version, and importable."""
    lacking = 'note' if name in TRANSFER else 'wrong'
    remedy = f'Try: {need[2]}. {ALL_AT_ONCE}'
    try:
        missing = complaint(name, *need)
        if missing is None:
            importlib.import_module(name)
    except Exception as error:
        text = f'cannot be imported: {" ".join(str(error).split())}. {remedy}'
        yield Finding(lacking, name, text)
        return
    if missing:
        yield Finding(lacking, name, missing)
        return
    yield Finding('ok', name, f'{module_version(name)} ({need[0]} or newer is needed)')


def check_families(installed: set[str] | None = None) -> Iterator[Finding]:
    """The upstream OpenMMLab and onedl share their files: only one can be there.

    Args:
        installed (set[str], optional): Names of distributions, lower case; None
            looks.
    """
    if installed is None:
        found = importlib.metadata.distributions()
        installed = {(dist.metadata['Name'] or '').lower() for dist in found}
    upstream = [name for name in _FAMILIES if name in installed]
    onedl = [name for name in _FAMILIES if f'onedl-{name}' in installed]
    both = sorted({*upstream} & {*onedl})
    if both:
        text = (
            f'{", ".join(both)}: installed from upstream and from onedl, one over the '
            f'other. Uninstall both and install one: pip uninstall {both[0]} '
            f'onedl-{both[0]}'
        )
        yield Finding('wrong', 'families', text)
    elif upstream and onedl:
        text = (
            f'{", ".join(upstream)} from upstream, {", ".join(onedl)} from onedl; '
            'tested are environments of one family only'
        )
        yield Finding('note', 'families', text)
    else:
        yield Finding('ok', 'families', 'onedl' if onedl else 'upstream OpenMMLab')


def check_transformers() -> Iterator[Finding]:
    """Only what is wrong; whether it is there is among the extras."""
    too_new = transformers_complaint()
    if too_new:
        yield Finding('wrong', 'transformers', too_new)


def check_extras() -> Iterator[Finding]:
    """What is optional."""
    missing = [name for name in _EXTRAS if not importlib.util.find_spec(name)]
    if not missing:
        yield Finding('ok', 'extras', ', '.join(_EXTRAS))
        return
    wanted = ', '.join(f'{name} ({_EXTRAS[name]})' for name in missing)
    yield Finding('note', 'extras', f'not there: {wanted}. Install what you need')


def check_device() -> Iterator[Finding]:
    """Where a run would train."""
    import torch

    driver = _driver()
    if torch.cuda.is_available():
        names = [
            torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
        ]
        text = (
            f'{len(names)} x {names[0]}, driver {driver or "unknown"}, CUDA '
            f'{torch.version.cuda}'
        )
        yield Finding('ok', 'device', text)
    elif driver:
        text = (
            f'there is a driver {driver}, but torch {torch.__version__} sees no GPU. '
            'Install a torch that is built for CUDA, and look at CUDA_VISIBLE_DEVICES'
        )
        yield Finding('wrong', 'device', text)
    else:
        text = 'no GPU: runs train on the CPU, for which the small configs are made'
        yield Finding('note', 'device', text)


def _driver() -> str:
    """Version of NVIDIA's driver; empty without one."""
    if not shutil.which('nvidia-smi'):
        return ''
    query = ['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader']
    done = subprocess.run(query, capture_output=True, text=True, timeout=30)
    return done.stdout.split()[0] if done.stdout.split() and not done.returncode else ''


def check_cores() -> Iterator[Finding]:
    """Threads of torch against cores that this process may use."""
    import torch

    cores = os.cpu_count() or 1
    if hasattr(os, 'sched_getaffinity'):
        cores = len(os.sched_getaffinity(0))
    threads = torch.get_num_threads()
    asked = os.environ.get('OMP_NUM_THREADS', 'not set')
    text = f'{cores} cores, {threads} threads of torch (OMP_NUM_THREADS {asked})'
    if threads > cores:
        text += (
            f'. More threads than cores wait for each other: OMP_NUM_THREADS={cores}'
        )
    yield Finding('note' if threads > cores else 'ok', 'cores', text)


def check_memory() -> Iterator[Finding]:
    """What is free on the machine and, if there is one, on the GPU."""
    import torch

    from .batch import free_memory

    free = free_memory('cpu')
    if free is None:
        yield Finding('note', 'memory', 'this system does not tell what is free')
        return
    text = f'{free / GIB:.1f} GiB free'
    if torch.cuda.is_available():
        text += f', {free_memory("cuda") / GIB:.1f} GiB on the GPU'
    yield Finding('ok', 'memory', text)
