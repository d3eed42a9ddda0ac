"""The blocks of docs/take-along.md, run one after the other."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.utils import digit_version

from cmae_mm import cli

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / 'docs/take-along.md'
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@pytest.mark.slow
def test_the_document(tmp_path, monkeypatch, write_run, tiny_cfg):
    for library in ('timm', 'transformers', 'onnx', 'onnxruntime', 'pyarrow'):
        pytest.importorskip(library)
    if digit_version(torch.__version__) < digit_version('2.2.0'):
        pytest.skip('the page also exports to torch.export, which torch 2.1 cannot')
    arch = dict(embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512)
    tiny_cfg['backbone'].update(img_size=64, patch_size=8, arch=arch)
    resize = dict(type='Resize', scale=64, backend='pillow', interpolation='bicubic')
    pipeline = [dict(type='cmae_mm.LoadImage'), resize, dict(type='PackInputs')]
    write_run(
        tiny_cfg,
        'work_dirs/my_run/epoch_8.pth',
        test_dataloader=dict(dataset=dict(pipeline=pipeline)),
        model=dict(
            data_preprocessor=dict(
                type='cmae_mm.TwoViewPreprocessor', mean=MEAN, std=STD, to_rgb=True
            ),
            **tiny_cfg,
        ),
    )
    for i in range(4):
        place = tmp_path / 'photos' / ('cat' if i < 2 else 'dog')
        place.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(i).integers(0, 255, (80, 90, 3), np.uint8)
        cv2.imwrite(str(place / f'{i}.png'), cv2.blur(picture, (9, 9)))
    monkeypatch.chdir(tmp_path)

    scope, compared = {}, 0
    blocks = re.findall(r'```(python|shell)\n(.*?)```', DOCUMENT.read_text(), re.S)
    for kind, block in blocks:
        if kind == 'shell':
            for line in block.strip().splitlines():
                with pytest.raises(SystemExit) as stop:
                    cli.main(line.split()[1:])
                assert not stop.value.code, line
            continue
        scope.pop('vector', None)
        exec(block, scope)
        if 'vector' in scope:
            found = torch.as_tensor(scope['vector'])
            wanted = scope['features'].vector
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
            compared += 1
    assert compared == 5 and len(scope['vectors']) == 4
    assert scope['nearest'][0] == 0 and len(scope['made_with']) == 64
