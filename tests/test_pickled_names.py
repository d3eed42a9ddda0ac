"""Names are read off a pickle as its reader would look them up."""

import io
import pickle
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer

from cmae_mm.pickled_names import unsafe_names


class Recorder(pickle.Unpickler):
    """Pickle's own reader, which notes what it is asked for."""

    def __init__(self, file):
        super().__init__(file)
        self.names = set()

    def find_class(self, module, name):
        self.names.add(f'{module}.{name}')
        return super().find_class(module, name)


OBJECTS = [
    Namespace(a=1),
    Path('a'),
    np.arange(3),
    HistoryBuffer([1.0], [1]),
    [HistoryBuffer([1.0], [1])] * 2 + [Path('b'), Path('a')],
    {'module': 'name', 'set': {1, 2}, 'none': [None, 1.5, b'x']},
]


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('value', OBJECTS, ids=range(len(OBJECTS)))
def test_as_the_reader_of_pickle_finds_them(tmp_path, value, protocol):
    data = pickle.dumps(value, protocol)
    reader = Recorder(io.BytesIO(data))
    reader.load()
    (tmp_path / 'a.pkl').write_bytes(data)
    # Protocols below 3 write the names of Python 2.
    wanted = {name.replace('__builtin__', 'builtins') for name in reader.names}
    plain = {'_codecs.encode', 'builtins.set', 'builtins.bytes'}
    assert set(unsafe_names(tmp_path / 'a.pkl')) - plain == wanted - plain


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint'),
    reason='torch is too old to tell',
)
@pytest.mark.parametrize('new', [True, False])
@pytest.mark.parametrize('value', OBJECTS[:5], ids=range(5))
def test_as_torch_finds_them(tmp_path, value, new):
    """In both formats; torch itself looks into the new one only."""
    content = dict(a=torch.ones(3), b=torch.nn.Parameter(torch.ones(1).half()), c=value)
    torch.save(content, tmp_path / 'a.pth')
    expected = torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / 'a.pth')
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=new)
    found = unsafe_names(tmp_path / 'a.pth')
    assert found == sorted(name for name in expected if name != '_codecs.encode')


@pytest.mark.parametrize(
    'value',
    [
        dict(
            a=torch.ones(2, dtype=torch.bfloat16), b=torch.nn.Parameter(torch.ones(1))
        ),
        dict(a=torch.ones(2).bool(), b=torch.float64, c=torch.Size([1]), d={1, 2}),
        torch.nn.Linear(2, 2).state_dict(),
    ],
    ids=['tensors', 'types', 'state dict'],
)
@pytest.mark.parametrize('new', [True, False])
def test_tensors_and_plain_types_want_nothing(tmp_path, value, new):
    torch.save(value, tmp_path / 'a.pth', _use_new_zipfile_serialization=new)
    assert unsafe_names(tmp_path / 'a.pth') == []


def test_a_name_that_only_running_would_tell_is_a_question_mark(tmp_path):
    # The name is an element of a tuple, not a string before it.
    (tmp_path / 'a.pkl').write_bytes(b'\x80\x04\x8c\x02os)\x93.')
    assert unsafe_names(tmp_path / 'a.pkl') == ['?']


def test_names_cannot_write_to_the_terminal(tmp_path):
    (tmp_path / 'a.pkl').write_bytes(b'cos\nsys\x1b[31mtem\n.')
    assert unsafe_names(tmp_path / 'a.pkl') == [r'os.sys\x1b[31mtem']


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_will_do(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / 'any'
    path.write_bytes(data)
    assert all(isinstance(name, str) for name in unsafe_names(path))
