"""tools/convert_checkpoint.py, as it is typed."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def main(monkeypatch):
    """The tool's main, which takes its arguments as one list."""
    monkeypatch.syspath_prepend(str(TOOLS))
    yield importlib.import_module('convert_checkpoint').main
    sys.modules.pop('convert_checkpoint')


def test_it_says_what_it_did(main, tmp_path, make_source, capsys):
    out = tmp_path / 'backbone.safetensors'
    source = make_source('mae')
    pytest.importorskip('safetensors')
    command = [source, out, '--from', 'mae', '--to', 'safetensors', '--heads', '2']
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in command])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for line in (
        'ViT of width 16, depth 2, 2 heads, patch 4, for 16x16 images of 3 channels',
        'written: backbone (30 tensors)',
        'left out: pixel_decoder (20 tensors)',
        'loaded strictly; largest difference of the features on random images: ',
        'licence: facebookresearch/mae: CC BY-NC 4.0',
        f'written to {out}',
    ):
        assert line in said
    assert out.is_file()


@pytest.mark.parametrize(
    'status, words, arguments',
    [
        (2, 'Error: There is no', ['no.pth', 'x.pth', '--from', 'mae']),
        (2, "'torch' is not one of", ['mae.pth', 'x.pth', '--from', 'torch']),
        (2, 'Error: --channels', 'mae.pth x.pth --from mae --channels rgb'.split()),
        (
            1,
            'which are not -4x-4',
            'mae.pth x.pth --from mae --heads 2 --grid -4 -4'.split(),
        ),
        (1, 'cmae: The number of heads', ['mae.pth', 'x.pth', '--from', 'mae']),
        (1, 'cmae: bad.pth was not loaded', ['bad.pth', 'x.pth', '--from', 'timm']),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    main, tmp_path, monkeypatch, make_source, capsys, status, words, arguments
):
    make_source('mae')
    torch.save(dict(model=Path('a')), tmp_path / 'bad.pth')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main([*arguments, '--to', 'cmae-mm'])
    code, said = stop.value.code, capsys.readouterr()
    if isinstance(code, str):  # what Python prints, and exits with 1
        code, said_last = 1, code
    else:
        said_last = said.err.strip()
    assert code == status and words in said_last and not said.out
    if 'is not one of' not in words:
        assert '\n' not in said_last
    assert not (tmp_path / 'x.pth').exists()
