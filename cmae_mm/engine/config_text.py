"""Settings out of the text of a config, without running it."""

import ast
from typing import Any


def read_settings(text: str, *names: str) -> dict[str, Any]:
    """Read top-level settings of a config as MMEngine writes it.

    The text lies in every checkpoint ('cfg' in its 'meta') and in every folder of a
    run. It is only parsed: MMEngine would execute it.

    Args:
        text (str): Assignments of numbers, strings, lists and dicts.
        *names (str): The settings wanted.

    Returns:
        dict[str, Any]: Those that are there and hold nothing else.
    """
    try:
        lines = ast.parse(text).body
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        return {}
    found = {}
    for line in lines:
        if not isinstance(line, ast.Assign) or not isinstance(
            line.targets[0], ast.Name
        ):
            continue
        name = line.targets[0].id
        if name in names:
            try:
                found[name] = _value(line.value)
            except (RecursionError, TypeError, ValueError):
                found.pop(name, None)
    return found


def _value(node: ast.expr) -> Any:
    """What an expression stands for, if it is plain."""
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        items = [_value(item) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.Dict):
        return {
            ast.literal_eval(key): _value(value)
            for key, value in zip(node.keys, node.values, strict=True)
        }
    if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'dict':
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError('**something is not plain.')
        # dict({'a b': 1}), as keys are written that are no names.
        start = _value(node.args[0]) if node.args else {}
        return dict(start, **{word.arg: _value(word.value) for word in node.keywords})
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):  # str of a float
        return float(node.id)
    return ast.literal_eval(node)
