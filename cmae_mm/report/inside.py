"""A look inside the trained model: what it sees in a few pictures."""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import nn

from cmae_mm.engine.random_state import random_state, set_random_state
from cmae_mm.models import CMAE
from cmae_mm.pictures import reconstruct

from .blocks import Panel, panel, sentence, text
from .encoding import data_url, shrink, thumbnail
from .maps import heat_map, nearest_neighbours, pca_maps, principal
from .plots import COLOURS, draw_points
from .records import Run
from .samples import Samples, choose_samples
from .trained import Encoded, encode, load_config, load_trained

_SHOWN = 6  # pictures of a panel
_WIDTH = 160  # pixels of a picture in a panel
_NEIGHBOURS = 5
_THUMB, _COLUMNS = 64, 16  # pixels of a thumbnail, and how many side by side


def look_inside(
    run: Run, checkpoint: Path | None = None, data: Path | None = None
) -> tuple[str, str]:
    """Maps, places and neighbours of pictures, as a run's newest weights see them.

    Args:
        run (Run): The run.
        checkpoint (Path, optional): Its weights. Defaults to the newest whole ones.
        data (Path, optional): A folder of pictures. Defaults to the run's own.

    Returns:
        tuple[str, str]: A lead, and HTML. What cannot be made is a sentence in it.
    """
    try:
        model, file = load_trained(run, checkpoint)
        side = tuple(int(edge) for edge in model.backbone.img_size)
        samples = choose_samples(load_config(run), side, data)
        encoded = encode(model, samples.images)
    except Exception as error:  # a report without this part is better than none
        return '', sentence(f'There is no look inside: {_reason(error)}')
    lead = (
        f'The weights of {file.name} look at {len(samples.labels)} of the '
        f'{samples.total:,} pictures of {samples.origin}.'
    )
    parts = [
        _attempt('The reconstructions are', _reconstructions, model, samples),
        _attempt('The maps are', _maps, samples, encoded),
        _attempt('The map of the pictures is', _embedding, samples, encoded),
        _attempt('The neighbours are', _neighbours, samples, encoded),
    ]
    return lead, f'<div class="pair">{parts[0]}{parts[1]}</div>' + ''.join(parts[2:])


def _attempt(what: str, make: Callable[..., str], *args) -> str:
    """HTML, or a sentence on why there is none."""
    try:
        return make(*args)
    except Exception as error:
        return sentence(f'{what} left out: {_reason(error)}')


def _reason(error: Exception) -> str:
    """The first line of an error, as the end of a sentence."""
    print_log(''.join(traceback.format_exception(error)), 'current', logging.DEBUG)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:400].rstrip('.') + '.'


def _block(content: Panel) -> str:
    """A panel under a heading of its own."""
    return (
        f'<div><h3>{text(content.title)}</h3>'
        f'<p class="lead">{text(content.caption)}</p>{panel(content)}</div>'
    )


def _spread(count: int) -> list[int]:
    """Pictures from all over the list."""
    middle = (np.arange(_SHOWN) + 0.5) * count / _SHOWN
    return sorted({int(i) for i in middle})


def _reconstructions(model: nn.Module, samples: Samples) -> str:
    """Input, what is visible of it, and what the model makes of that."""
    if not isinstance(model, CMAE):
        return sentence('There are no reconstructions: this model rebuilds nothing.')
    chosen = _spread(len(samples.labels))
    images = samples.images[chosen]
    before = random_state(cuda=False)
    torch.manual_seed(0)
    try:
        made = reconstruct(model, [images, images])
    finally:
        set_random_state(before)
    names = ('input', 'masked', 'reconstruction')
    return _block(
        Panel(
            'Reconstructions',
            'From the visible patches alone. Where the loss is on normalised patches, '
            'brightness and contrast of a masked patch are the true ones, and only its '
            'pattern is a prediction.',
            ['input', 'visible patches', 'reconstruction'],
            [[shrink(shown[name], _WIDTH) for name in names] for shown in made],
        )
    )


def _maps(samples: Samples, encoded: Encoded) -> str:
    """Attention and principal components, patch by patch."""
    chosen = _spread(len(samples.labels))
    colours = pca_maps(encoded.patches[chosen], encoded.grid)
    rows = []
    for place, index in enumerate(chosen):
        image = shrink(samples.picture(index), _WIDTH)
        heat = heat_map(encoded.attention[index].reshape(encoded.grid), image)
        rows.append([image, heat, colours[place]])
    who = 'the class token' if encoded.from_class_token else 'the mean patch'
    return _block(
        Panel(
            'Attention and features',
            f'Where {who} looks in the last block (mean of the heads, bright is much), '
            'and the three main components of the patch features as red, green and '
            'blue: patches of one colour are alike to the model, in all pictures.',
            ['input', 'attention', 'features (PCA)'],
            rows,
        )
    )


def _embedding(samples: Samples, encoded: Encoded) -> str:
    """Every picture as a point; like ones should be close."""
    places, share = principal(encoded.features, 2)
    names = [samples.name(i) for i in range(len(samples.labels))]
    drawing = draw_points(
        places.numpy(), samples.labels, names, f'Map of {len(names)} pictures'
    )
    shown = np.stack([thumbnail(samples.picture(i), _THUMB) for i in range(len(names))])
    sheet = _sprite(shown)
    height, width = sheet.shape[:2]
    return (
        '<h3>Map of the pictures</h3><p class="lead">'
        f'Their mean patch features on the two main components, which hold '
        f'{100 * share:.0f} % of the variance; near means alike to the model. Touch a '
        'point, or use the arrow keys, to see the picture.</p>'
        f'<div class="embedding"><div class="field">{drawing}</div>'
        f'<div class="look" data-side="{_THUMB}" data-columns="{_COLUMNS}">'
        f'<svg viewBox="0 0 {_THUMB} {_THUMB}" aria-hidden="true" hidden="hidden">'
        f'<image href="{data_url(sheet, quality=70)}" width="{width}" '
        f'height="{height}"/></svg><p aria-live="polite">No picture chosen.</p></div>'
        f'</div>{_classes(samples)}'
    )


def _sprite(thumbs: np.ndarray) -> np.ndarray:
    """(N, side, side, 3) -> one sheet with ``_COLUMNS`` side by side."""
    rows = -(-len(thumbs) // _COLUMNS)
    sheet = np.zeros((rows * _COLUMNS, *thumbs.shape[1:]), np.uint8)
    sheet[: len(thumbs)] = thumbs
    sheet = sheet.reshape(rows, _COLUMNS, _THUMB, _THUMB, 3).transpose(0, 2, 1, 3, 4)
    return sheet.reshape(rows * _THUMB, _COLUMNS * _THUMB, 3)


def _classes(samples: Samples) -> str:
    """Which colour is which class."""
    present = sorted({label for label in samples.labels if label is not None})
    if not present:
        return sentence('These pictures have no labels, so there is one colour only.')
    if len(present) > COLOURS:
        return sentence(
            f'{len(present)} classes share {COLOURS} colours; a point tells its own.'
        )
    names = {label: samples.name(samples.labels.index(label)) for label in present}
    return (
        '<div class="classes">'
        + ''.join(
            f'<span class="series-{label % COLOURS}"><i class="key series-'
            f'{label % COLOURS}"></i><span>{text(name)}</span></span>'
            for label, name in names.items()
        )
        + '</div>'
    )


def _neighbours(samples: Samples, encoded: Encoded) -> str:
    """Pictures, and those that the model takes for most alike."""
    if len(samples.labels) < 2:
        return sentence('There are no neighbours: there is one picture only.')
    queries = _spread(len(samples.labels))
    cosines, found = nearest_neighbours(encoded.features, queries, _NEIGHBOURS)
    rows, notes = [], []
    for query, alike, near in zip(queries, cosines, found, strict=True):
        shown = [query, *near.tolist()]
        rows.append([shrink(samples.picture(i), _WIDTH * 3 // 4) for i in shown])
        words = ['', *(f'{cosine:.2f}' for cosine in alike.tolist())]
        named = [
            samples.name(i) if samples.labels[i] is not None else '' for i in shown
        ]
        notes.append(
            [' '.join(pair).strip() for pair in zip(words, named, strict=True)]
        )
    columns = ['query', *(f'{i + 1}' for i in range(found.shape[1]))]
    return _block(
        Panel(
            'Nearest neighbours',
            'The pictures with the most similar mean patch features, the cosine below '
            'each. Whether they show like things, or only like colours, tells what '
            'was learnt.',
            columns,
            rows,
            notes,
        )
    )
