"""Which code a pickle would call, read off without calling any of it."""

import io
import pickletools
import re
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# What torch.save needs for tensors and plain types, and torch.load reads safely.
_PLAIN = re.compile(
    r'torch\.\w*Storage|torch\.storage\.(Typed|Untyped)Storage'
    r'|torch\.(bool|q?u?int\d+\w*|b?float\d+\w*|complex\d+)'
    r'|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter)'
    r'|torch\._tensor\._rebuild_from_type_v2|torch\.(Size|device|Tensor)'
    r'|torch\.nn\.parameter\.Parameter|torch\.torch_version\.TorchVersion'
    r'|torch\.serialization\._get_layout|builtins\.(set|int|str|float)'
    r'|collections\.(OrderedDict|Counter)|_codecs\.encode|builtins\.bytearray'
)
_PICKLES = 4  # that torch before 1.6 wrote one after the other, with the content last


def unsafe_names(path: Path) -> list[str]:
    """Names of functions and classes that unpickling a file would look up.

    Args:
        path (Path): A file of torch.save, old or new, or any pickle.

    Returns:
        list[str]: ``module.name``, sorted, control characters escaped, without those
        of tensors and plain types. ``'?'`` stands for a name put together in a way
        that only running it tells. Of a damaged file: what was found until the
        damage. Empty for what is no pickle.
    """
    names: set[str] = set()
    try:
        for file in _pickles(path):
            names.update(_names(file))
    except Exception:  # what damaged bytes make the readers raise has no limit
        pass
    return sorted(
        name.encode('unicode_escape').decode()
        for name in names
        if not _PLAIN.fullmatch(name)
    )


def _pickles(path: Path) -> Iterator[BinaryIO]:
    """Every pickle in a file, in order."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for record in archive.namelist():
                if record.endswith('.pkl'):
                    yield io.BytesIO(archive.read(record))
    else:
        with path.open('rb') as file:
            for _ in range(_PICKLES):
                yield file


def _names(file: BinaryIO) -> Iterator[str]:
    """Names asked for by one pickle, of any protocol."""
    memo: dict[int, str | None] = {}
    last: deque[str | None] = deque([None, None], maxlen=2)  # put on the stack
    for code, argument, _ in pickletools.genops(file):
        if code.name in ('GLOBAL', 'INST'):
            name = argument.replace(' ', '.', 1)
            # As Python 2 called it, and torch still does in its files.
            yield re.sub(r'^__builtin__\.', 'builtins.', name)
        elif code.name == 'STACK_GLOBAL':
            yield '.'.join(last) if None not in last else '?'
        elif code.name in ('EXT1', 'EXT2', 'EXT4'):
            yield '?'
        if code.name == 'MEMOIZE':
            memo[len(memo)] = last[-1]
        elif code.name.endswith('PUT'):
            memo[int(argument)] = last[-1]
        elif code.name.endswith('GET'):
            last.append(memo.get(int(argument)))
        else:
            last.append(argument if isinstance(argument, str) else None)
