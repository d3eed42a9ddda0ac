import os
import pickle
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from cmae_mm.safe_loading import load_checkpoint_file


class Bomb:
    """Leaves a folder behind when a pickle of it is loaded."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_code_in_a_file_is_not_run(tmp_path):
    marker = tmp_path / 'it-ran'
    torch.save(dict(state_dict=Bomb(marker)), tmp_path / 'bad.pth')
    with pytest.raises(RuntimeError, match='would run code'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'bad.pth'))
    assert not marker.exists()
    with open(tmp_path / 'bad.pth', 'wb') as file:
        pickle.dump(Bomb(marker), file)
    with pytest.raises(RuntimeError):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'bad.pth'))
    assert not marker.exists()


@pytest.mark.parametrize('new', [True, False])
def test_a_refused_file_is_told_by_the_names_it_wanted(tmp_path, new):
    marker = tmp_path / 'it-ran'
    content = dict(a=torch.ones(2), b=Bomb(marker))
    torch.save(content, tmp_path / 'bad.pth', _use_new_zipfile_serialization=new)
    with pytest.raises(RuntimeError, match=r'asks for posix.mkdir\..*--trust'):
        load_checkpoint_file(str(tmp_path / 'bad.pth'))
    assert not marker.exists()


def test_a_stock_file_says_how_to_write_a_better_one(tmp_path):
    torch.save(dict(log=HistoryBuffer([1.0], [1])), tmp_path / 'stock.pth')
    with pytest.raises(
        RuntimeError, match='HistoryBuffer.*--trust.*cmae_mm.PlainCheckpointHook'
    ):
        load_checkpoint_file(str(tmp_path / 'stock.pth'))


@given(st.data())
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_bytes_come_are_loaded_right_or_refused(tmp_path, data):
    """Cut, overwritten, lengthened, or nothing of the kind."""
    path, content = tmp_path / 'a.pth', dict(a=torch.arange(50), b='text', c=[1.5])
    torch.save(content, path)
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(start + 64, len(whole))))
    middle = data.draw(st.binary(max_size=64))
    tail = data.draw(st.sampled_from([whole[end:], b'']))
    path.write_bytes(whole[:start] + middle + tail)
    try:
        loaded = load_checkpoint_file(str(path))
    except RuntimeError as error:
        assert 'a.pth' in str(error)
    else:
        assert torch.equal(loaded.pop('a'), content.pop('a')) and loaded == content


def test_missing_and_broken_files_explain_themselves(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        load_checkpoint_file(str(tmp_path / 'nothing.pth'))
    torch.save(dict(a=torch.ones(1000)), tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[:1000])
    (tmp_path / 'empty.pth').write_bytes(b'')
    (tmp_path / 'text.pth').write_text('hello')
    for name in ('cut.pth', 'empty.pth', 'text.pth'):
        with pytest.raises(RuntimeError, match=name) as error:
            load_checkpoint_file(str(tmp_path / name))
        assert 'weights_only' not in str(error.value)  # torch's own advice is not ours


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Of a web server on this machine that shows a folder, which comes with it."""
    folder = tmp_path / 'www'
    folder.mkdir()
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'cache'))
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}', folder
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Says nothing."""

    def log_message(self, *args):
        pass


def test_code_in_a_downloaded_file_is_not_run_either(address, tmp_path):
    url, folder = address
    marker = tmp_path / 'it-ran'
    torch.save(dict(state_dict=Bomb(marker)), folder / 'bad.pth')
    with pytest.raises(RuntimeError, match='would run code'):
        CheckpointLoader.load_checkpoint(f'{url}/bad.pth')
    assert not marker.exists()
    torch.save(dict(state_dict=dict(a=torch.ones(2))), folder / 'good.pth')
    loaded = CheckpointLoader.load_checkpoint(f'{url}/good.pth')
    assert torch.equal(loaded['state_dict']['a'], torch.ones(2))


@pytest.mark.parametrize('place', ['s3://a/b.pth', 'x:petrel://a/b.pth', 'pavi://a'])
def test_cloud_storage_is_refused(place):
    with pytest.raises(RuntimeError, match='Copy the file to a disk'):
        CheckpointLoader.load_checkpoint(place)
