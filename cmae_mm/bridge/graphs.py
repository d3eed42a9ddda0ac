"""Encoders as programs that run without this package: torch.export and ONNX."""

import inspect
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .encoder import Encoder
from .errors import ConversionError
from .extras import need

INPUT, OUTPUTS = 'images', ('vector', 'map')
NOTES_FILE = 'cmae_mm.json'  # inside of a program of torch
_LARGEST_ONNX = 2**31 - 2**20  # what one message of protobuf holds, less the graph
_OPSET = 18

# Images (N, C, H, W) -> vectors (N, D) and maps (N, D, rows, columns).
Run = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def write_program(encoder: Encoder, path: Path, meta: dict) -> Run:
    """Write a program of torch.export, and load it back.

    Args:
        encoder (Encoder): What to write.
        path (Path): File to write, ``.pt2``.
        meta (dict): Plain values to lie in it, as JSON in ``cmae_mm.json``.

    Returns:
        Callable: The loaded program.

    Raises:
        ConversionError: If this torch is too old.
    """
    if not hasattr(torch.export, 'Dim'):
        raise ConversionError(
            f'Programs whose batch may have any size need torch 2.2 or newer; this is '
            f'{torch.__version__}. Try: --to onnx'
        )
    with _quiet():
        batch = torch.export.Dim('batch')
        program = torch.export.export(
            encoder, (_example(encoder),), dynamic_shapes={INPUT: {0: batch}}
        )
        torch.export.save(program, path, extra_files={NOTES_FILE: json.dumps(meta)})
        return torch.export.load(path).module()


def write_onnx(encoder: Encoder, path: Path, meta: dict) -> Run:
    """Write ONNX, and open it with onnxruntime.

    Args:
        encoder (Encoder): What to write.
        path (Path): File to write, ``.onnx``.
        meta (dict): Plain values, each of which becomes a property of the model.

    Returns:
        Callable: Runs the written file on the CPU.

    Raises:
        ConversionError: If a library is missing, or the file would be too large.
    """
    onnx, runtime = need('onnx'), need('onnxruntime')
    size = sum(p.numel() * p.element_size() for p in encoder.parameters())
    if size > _LARGEST_ONNX:
        raise ConversionError(
            f'The weights take {size / 2**30:.1f} GiB, and a file of ONNX holds 2 GiB. '
            'Try: --to torch'
        )
    with _quiet():
        _trace_onnx(encoder, path)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {k: _as_text(v) for k, v in meta.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])

    def run(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = session.run(list(OUTPUTS), {INPUT: images.numpy()})
        return tuple(map(torch.from_numpy, found))

    return run


def _trace_onnx(encoder: Encoder, path: Path) -> None:
    """Let torch write the graph, in the way that this version of it has."""
    images = _example(encoder)
    options = dict(input_names=[INPUT], output_names=list(OUTPUTS))
    if 'dynamic_shapes' in inspect.signature(torch.onnx.export).parameters:
        need('onnxscript')
        torch.onnx.export(
            encoder,
            (images,),
            path,
            dynamo=True,
            external_data=False,
            opset_version=_OPSET,
            dynamic_shapes={INPUT: {0: torch.export.Dim('batch')}},
            verbose=False,
            **options,
        )
    else:
        axes = {name: {0: 'batch'} for name in (INPUT, *OUTPUTS)}
        torch.onnx.export(
            encoder,
            (images,),
            str(path),
            dynamic_axes=axes,
            opset_version=min(_OPSET, 17),
            **options,
        )


def _example(encoder: Encoder) -> torch.Tensor:
    """Two images: a batch of one would be taken for a constant."""
    return torch.zeros(2, encoder.size.channels, *encoder.size.image)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters tell of their own work away from the user."""
    loggers = [logging.getLogger(name) for name in ('torch.onnx', 'onnxscript')]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
