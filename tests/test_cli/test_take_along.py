"""``cmae convert``, ``cmae export`` and ``cmae embed``, as they are typed."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch


@pytest.fixture
def said_by(cmae):
    """Run a line; exit code, and what it printed."""

    def run(line):
        code, out, err = cmae(*line.split())
        return code, out + err

    return run


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / 'photos').mkdir()
    for i in range(3):
        picture = np.full((20, 20, 3), 50 * i, np.uint8)
        cv2.imwrite(str(tmp_path / f'photos/{i}.png'), picture)
    return tmp_path / 'photos'


def test_a_run_is_exported_and_converted_back(said_by, write_run, tiny_cfg):
    pytest.importorskip('timm')
    pytest.importorskip('safetensors')
    write_run(tiny_cfg)
    code, said = said_by('export run --to timm --out timm.safetensors')
    assert code == 0
    for words in (
        'ViT of width 16, depth 2, 2 heads',
        'note: build it with VisionTransformer(',
        'loaded strictly; largest difference of the features',
        'licence: of your own training',
        'written to timm.safetensors',
    ):
        assert words in said
    code, said = said_by(
        'convert timm.safetensors back.pth --from timm --to cmae-mm --heads 2'
    )
    assert code == 0 and 'written to back.pth' in said
    original = torch.load('run/epoch_1.pth', weights_only=True)['state_dict']
    back = torch.load('back.pth', weights_only=True)['state_dict']
    assert len(back) == 30 and all(torch.equal(back[k], original[k]) for k in back)
    code, said = said_by('export run --to timm --out timm.safetensors')
    assert code == 2 and 'Add --force' in said


def test_a_hybrid_is_told_where_it_can_go(said_by, write_run, hybrid_cfg):
    write_run(hybrid_cfg)
    code, said = said_by('export run --to hf --out hf')
    assert code == 1 and said.startswith('cmae: ') and 'onnx, safetensors' in said
    assert '\n' not in said


@pytest.mark.parametrize(
    'line, code, words',
    [
        ('export no.pth --to onnx --out x.onnx', 1, 'There is no no.pth'),
        ('export photos --to onnx --out x.onnx', 2, 'no checkpoint of a training'),
        ('export a.pth --to jax --out x', 2, "'jax' is not one of"),
        ('export a.pth --to onnx', 2, "Missing option '--out'"),
        ('export a.pth --to onnx --out x.onnx', 1, 'a.pth'),
        ('convert a.pth b.pth --from mae', 2, 'every other needs one'),
        ('convert no.pth b.pth --from mae --to hf', 2, 'There is no no.pth'),
        ('embed photos --checkpoint a.pth --out x.npz', 1, 'a.pth'),
        ('embed photos --checkpoint no.pth --out x.npz', 1, 'There is no no.pth'),
        (
            'embed photos --checkpoint run --out x.npz --device tpu9',
            2,
            'The device tpu9 cannot be used here',
        ),
        ('embed a.pth --checkpoint no --out x.npz', 1, 'a.pth is a file; a folder'),
        ('embed none --checkpoint no --out x.npz', 1, 'There is no folder none ('),
        ('embed photos --out x.npz', 2, "Missing option '--checkpoint'"),
    ],
)
def test_what_is_wrong_is_said(
    said_by, pictures, tmp_path, write_run, tiny_cfg, line, code, words
):
    write_run(tiny_cfg)
    (tmp_path / 'a.pth').write_text('no checkpoint')
    found, said = said_by(line)
    assert found == code and words in said
    assert not list(tmp_path.glob('x*'))


def test_embed_counts_what_it_cannot_read(said_by, write_run, tiny_cfg, pictures):
    write_run(tiny_cfg)
    (pictures / '1.png').write_bytes(b'damaged')
    line = 'embed photos --checkpoint run --out x.csv --workers 0 --device cpu'
    code, said = said_by(line)
    assert code == 0
    for words in (
        'ViT of width 16',
        'not read: 1.png: ',
        '1 not read; all of them: x.csv.refused.csv',
        '2 images, 16 numbers each',
        'per second on cpu). Written to x.csv',
        'Embedding photos: 100 %',
    ):
        assert words in said
    assert said_by(line)[0] == 2
    for file in pictures.iterdir():
        file.write_bytes(b'damaged')
    code, said = said_by(f'{line} --force')
    assert code == 1 and 'None of the images below photos' in said


def test_the_formats_are_those_of_the_bridge():
    from cmae_mm.bridge import READERS, WRITERS, export
    from cmae_mm.cli import convert
    from cmae_mm.cli import export as command

    assert convert.SOURCES == tuple(READERS) and convert.TARGETS == tuple(WRITERS)
    assert command.TARGETS == export.TARGETS


@pytest.mark.slow
def test_the_console_script(write_run, tiny_cfg, tmp_path):
    pytest.importorskip('safetensors')
    write_run(tiny_cfg)
    # The package alone is light.
    start = (
        'import sys, cmae_mm; '
        'heavy = {"mmpretrain", "mmcv", "cmae_mm.features"} & set(sys.modules); '
        'assert not heavy, heavy; from cmae_mm.cli import main; main()'
    )
    line = 'export run --to safetensors --out x.safetensors'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', start, *line.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'written to x.safetensors' in done.stdout
    assert (tmp_path / 'x.safetensors').is_file()
