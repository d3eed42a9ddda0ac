"""Which arguments a registered type takes."""

import ast
import functools
import inspect
import sys
from collections.abc import Callable

from mmengine.registry import Registry, root

REGISTRIES = [value for value in vars(root).values() if isinstance(value, Registry)]


@functools.cache
def find_types(name: str, scope: str) -> tuple[Callable, ...]:
    """Everything registered under a name, whatever its kind.

    A config does not say whether a ``type`` is a model, a transform or a hook. Few
    names are in several registries; there, all of them count.

    Args:
        name (str): The ``type`` of a config, with or without its scope.
        scope (str): Where to look first, the ``default_scope`` of the config.

    Returns:
        tuple[Callable, ...]: Classes, functions or partial functions; empty if
        nothing of that name can be found.
    """
    found = []
    for registry in REGISTRIES:
        found.append(registry.module_dict.get(name))
        try:
            found.append(registry.get(name if '.' in name else f'{scope}.{name}'))
        except (ImportError, RuntimeError, ValueError):
            continue  # a library that is not installed, or no name at all
    return tuple(dict.fromkeys(entry for entry in found if callable(entry)))


def arguments(*entries: Callable) -> frozenset[str]:
    """Names of the arguments of classes and functions.

    What a class takes as ``**kwargs`` is looked for in its base classes; of a partial
    function, also in what it wraps.

    Args:
        *entries (Callable): Such as those of :func:`find_types`.

    Returns:
        frozenset[str]: All their names; there may be more if the code hands
        ``**kwargs`` to something else.
    """
    return frozenset().union(*map(_arguments_of_one, entries)) - {'self'}


@functools.cache
def _arguments_of_one(entry: Callable) -> frozenset[str]:
    if isinstance(entry, functools.partial):
        return arguments(
            *filter(callable, [entry.func, *entry.args, *entry.keywords.values()])
        )
    if not inspect.isclass(entry):
        return frozenset(_parameters(entry))
    names: set[str] = set()
    for base in entry.__mro__[:-1]:
        if '__init__' in vars(base):
            parameters = _parameters(base.__init__)
            names.update(parameters)
            kinds = {parameter.kind for parameter in parameters.values()}
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                break
    return frozenset(names)


def _parameters(function: Callable) -> dict[str, inspect.Parameter]:
    """Parameters by name; none if the function is not written in Python."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}


@functools.cache
def words_of(entry: type) -> frozenset[str] | None:
    """Quoted names in the modules of a class and its bases.

    A class that is handed a dict takes its entries out by name: what is not quoted
    there is read by nobody.

    Args:
        entry (type): A class.

    Returns:
        frozenset[str] or None: All strings that could be keys; None if there is no
        source to look into.
    """
    words: set[str] = set()
    for base in entry.__mro__[:-1]:
        try:
            source = inspect.getsource(sys.modules[base.__module__])
        except (OSError, TypeError):
            return None
        words.update(
            node.value
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
    return frozenset(filter(str.isidentifier, words))
