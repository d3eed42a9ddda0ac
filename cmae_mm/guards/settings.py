"""Settings that nobody would read, or that contradict each other.

MMEngine takes what it knows out of a config and leaves the rest: a misspelt
``optim_wraper`` changes nothing, without a word. Here every name of a config is
compared with those that its reader knows.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from mmengine.config import Config

from .readers import (
    CLOSED,
    DATA_LOADER,
    MULTIPLIERS,
    MULTIPLIERS_OF_ONE,
    PLACES,
    TAKEN_OUT,
    TOP_LEVEL,
)
from .signatures import arguments, find_types, words_of
from .spelling import nearest


class Place(NamedTuple):
    """Something inside of a config.

    Attributes:
        path (str): As ``--cfg-options`` has it, such as ``train_cfg.max_epochs``.
        value (object): What stands there.
        scope (str): Library in which types without a prefix are looked for.
    """

    path: str
    value: object
    scope: str

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition('.')[-1]


def check_config(cfg: Config | dict) -> list[str]:
    """Find the settings of a config that nobody would read or that cannot be.

    Nothing is built, and no data are needed. A misspelt argument of a class is found
    by its likeness to a right one; what resembles none is left to the constructor,
    which refuses it before training, too.

    Args:
        cfg (Config | dict): As it goes to the runner. Of one read from a file, names
            that the file defines for its own use are told from those that
            ``--cfg-options`` added.

    Returns:
        list[str]: One sentence per complaint, beginning with the name; none if all
        is well.
    """
    settings = cfg.to_dict() if isinstance(cfg, Config) else cfg
    scope = settings.get('default_scope') or 'mmengine'
    read = {name: settings[name] for name in settings if name in TOP_LEVEL}
    places = [*_walk(read, '', scope)]
    multipliers = _multipliers(read.get('optim_wrapper'), scope)
    complaints = [*_check_own_names(settings, _as_in_the_file(cfg), places)]
    for place in places:
        if isinstance(place.value, dict):
            complaints += _check_keys(place, place.value, multipliers)
            complaints += _check_workers(place.path, place.value)
    return complaints


def own_names(cfg: Config | dict) -> list[str]:
    """Names at the top of a config that only its own files can read.

    Args:
        cfg (Config | dict): As it goes to the runner.

    Returns:
        list[str]: Such as ``data_root`` or ``train_pipeline``, in their order.
    """
    return [name for name in cfg.keys() if name not in TOP_LEVEL]


def _walk(value: object, path: str, scope: str) -> Iterator[Place]:
    """Everything inside of dicts and lists."""
    items: list = []
    if isinstance(value, dict):
        items = [*value.items()]
    elif isinstance(value, (list, tuple)):
        items = [*enumerate(value)]
    for key, child in items:
        inner = child.get('_scope_', scope) if isinstance(child, dict) else scope
        child_path = f'{path}.{key}' if path else str(key)
        yield Place(child_path, child, inner)
        yield from _walk(child, child_path, inner)


def _as_in_the_file(cfg: Config | dict) -> dict | None:
    """What the file of a config says, without later changes; None if there is none."""
    if not isinstance(cfg, Config) or not os.path.isfile(cfg.filename or ''):
        return None
    return Config.fromfile(cfg.filename, import_custom_modules=False).to_dict()


def _check_own_names(
    settings: dict, file: dict | None, places: list[Place]
) -> Iterator[str]:
    """Names at the top that the runner does not know: helper, slip or mistake."""
    for name in own_names(settings):
        meant = nearest(name, TOP_LEVEL)
        if meant:
            yield (
                f'{name}: did you mean {" or ".join(meant)}? (If it is a helper of '
                'your config, give it a name less alike.)'
            )
        elif file is not None and name not in file:
            hint = _places_called(name, places)
            yield f'{name}: no config file has it, and nothing reads it.{hint}'
        elif file is not None and settings[name] != file[name]:
            yield from _check_change(name, file[name], places)


def _places_called(name: str, places: list[Place]) -> str:
    """Where a name that was set at the top may belong."""
    meant = nearest(name, {place.name for place in places})
    paths = [place.path for place in places if place.name in meant]
    return f' Did you mean {" or ".join(paths[:3])}?' if paths else ''


def _check_change(name: str, before: object, places: list[Place]) -> Iterator[str]:
    """A helper changed after the files have used its value."""
    # A number may stand elsewhere by chance.
    telling = isinstance(before, (str, dict, list, tuple)) and bool(before)
    paths = [
        place.path
        for place in places
        if place.value == before and (telling or place.name == name)
    ]
    if paths:
        yield (
            f'{name}: changed after the config files had used it, which changes '
            f'nothing. Set {", ".join(paths[:5])} instead.'
        )


def _check_keys(
    place: Place, value: dict, multipliers: frozenset[str] | None
) -> Iterator[str]:
    """Keys of one dict, if it is known who reads it."""
    closed = multipliers if place.path == MULTIPLIERS else CLOSED.get(place.path)
    known = _known_keys(place, value) if closed is None else closed
    if known is None:
        yield from _check_for_a_type(place, value)
        return
    for key in sorted(value.keys() - known, key=str):
        meant = nearest(str(key), known)
        if meant:
            yield f'{place.path}.{key}: did you mean {" or ".join(meant)}?'
        elif closed is not None:
            yield f'{place.path}.{key}: nothing reads it.'


def _known_keys(place: Place, value: dict) -> frozenset[str] | None:
    """Keys that an open dict is known to take; None if nothing is known of it."""
    if 'type' in value:
        types = _types(value['type'], place.scope)
        return arguments(*types) | TAKEN_OUT if types else None
    if _is_loader(place.path):
        return DATA_LOADER
    if place.path.startswith(f'{MULTIPLIERS}.custom_keys.'):
        return MULTIPLIERS_OF_ONE
    return PLACES.get(place.path)


def _types(kind: object, scope: str) -> tuple[Callable, ...]:
    """What a ``type`` stands for: a name, or the class itself."""
    if isinstance(kind, str):
        return find_types(kind, scope)
    return (kind,) if callable(kind) else ()


def _is_loader(path: str) -> bool:
    return path.endswith('dataloader')


def _check_for_a_type(place: Place, value: dict) -> Iterator[str]:
    """A dict nobody knows may be one whose ``type`` is misspelt."""
    for key, name in value.items():
        if isinstance(name, str) and key != 'type' and nearest(str(key), ['type']):
            if find_types(name, place.scope):
                yield f'{place.path}.{key}: did you mean type?'


def _multipliers(wrapper: object, scope: str) -> frozenset[str] | None:
    """Keys of paramwise_cfg, as the constructor of the optimiser names them."""
    if not isinstance(wrapper, dict):
        return None
    kind = wrapper.get('constructor', 'DefaultOptimWrapperConstructor')
    types = _types(kind, scope)
    return words_of(types[0]) if types else None


def _check_workers(path: str, value: dict) -> Iterator[str]:
    """Workers that are to persist, but are not there."""
    if not _is_loader(path):
        return
    if value.get('persistent_workers') and not value.get('num_workers'):
        yield (
            f'{path}: persistent_workers=True needs num_workers of 1 or more. Without '
            f'workers, set {path}.persistent_workers=False.'
        )
