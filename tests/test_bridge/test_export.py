"""Every export is run by its own library, and compared with the checkpoint's model."""

import json

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.utils import digit_version

from cmae_mm.bridge import ConversionError, UsageError
from cmae_mm.bridge import export as export_module
from cmae_mm.bridge.export import export

ENDING = dict(
    onnx='.onnx', torch='.pt2', safetensors='.safetensors', timm='.pth', hf=''
)


@pytest.fixture
def exported(write_run, tiny_cfg, tmp_path):
    """Export to a format; path, what was done, images, and features of the CMAE."""

    def run(target, cfg=None, **kwargs):
        cfg = cfg or tiny_cfg
        source, out = write_run(cfg), tmp_path / f'out{ENDING[target]}'
        done = export(source, out, target, **kwargs)
        model = MODELS.build(cfg).eval()
        model.load_state_dict(torch.load(source, weights_only=True)['state_dict'])
        side = cfg['backbone']['img_size']
        images = torch.randn(5, 3, side, side)
        with torch.no_grad():
            samples = model(images, mode='predict')
            tokens = model.extract_feat(images)[-1]
        vector = torch.stack([sample.feature for sample in samples])
        places = tokens[:, -16:].transpose(1, 2).reshape(5, 16, 4, 4)
        return out, done, images, vector, places

    return run


def close(a, b):
    torch.testing.assert_close(torch.as_tensor(a), b, atol=1e-5, rtol=1e-5)


def test_timm(exported):
    timm = pytest.importorskip('timm')
    out, done, images, vector, _ = exported('timm')
    (build,) = [note for note in done.notes if note.startswith('build it')]
    model = eval(
        build.removeprefix('build it with '), vars(timm.models.vision_transformer)
    ).eval()
    model.load_state_dict(torch.load(out, weights_only=True))
    with torch.no_grad():
        close(model.forward_features(images)[:, 1:].mean(1), vector)
    assert any('[100.0, 110.0, 120.0]' in note for note in done.notes)


def test_hugging_face(exported):
    transformers = pytest.importorskip('transformers')
    out, done, images, vector, _ = exported('hf')
    model = transformers.ViTModel.from_pretrained(out, add_pooling_layer=False).eval()
    with torch.no_grad():
        close(model(images).last_hidden_state[:, 1:].mean(1), vector)
    processor = transformers.ViTImageProcessor.from_pretrained(out)
    red = torch.zeros(3, 16, 16, dtype=torch.uint8)
    red[0] = 200
    pixels = processor(red, return_tensors='pt')['pixel_values'][0]
    close(pixels[:, 0, 0], torch.tensor([100 / 50, -110 / 51, -120 / 52]))


@pytest.mark.slow
@pytest.mark.parametrize('hybrid', [False, True])
def test_onnx_takes_any_batch(exported, hybrid, request):
    if hybrid and digit_version(torch.__version__) < digit_version('2.2.0'):
        pytest.skip('the exporter of torch 2.1 fails on the hybrid')
    pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    cfg = request.getfixturevalue('hybrid_cfg') if hybrid else None
    out, done, images, vector, places = exported('onnx', cfg)
    assert done.difference < 1e-5 and done.parts.keys() == {'backbone'}
    session = runtime.InferenceSession(str(out), providers=['CPUExecutionProvider'])
    for n in (1, 5):
        found = session.run(['vector', 'map'], {'images': images[:n].numpy()})
        close(found[0], vector[:n])
        close(found[1], places[:n])
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said['mean']) == [100.0, 110.0, 120.0]
    assert json.loads(said['std']) == [50.0, 51.0, 52.0] and said['order'] == 'rgb'
    assert len(said['sha256']) == 64 and 'your own training' in said['licence']
    assert sorted(f.name for f in out.parent.iterdir()) == ['out.onnx', 'run']


@pytest.mark.slow
@pytest.mark.parametrize('hybrid', [False, True])
def test_torch_takes_any_batch(exported, hybrid, request):
    if not hasattr(torch.export, 'Dim'):
        pytest.skip('torch is too old')
    cfg = request.getfixturevalue('hybrid_cfg') if hybrid else None
    out, done, images, vector, places = exported('torch', cfg)
    assert 'run with 1 and 3 images' in done.checked
    extra = {'cmae_mm.json': ''}
    program = torch.export.load(out, extra_files=extra).module()
    for n in (1, 5):
        found = program(images[:n])
        close(found[0], vector[:n])
        close(found[1], places[:n])
    assert json.loads(extra['cmae_mm.json'])['mean'] == [100.0, 110.0, 120.0]


def test_safetensors_hold_a_hybrid(exported, hybrid_cfg):
    safetensors = pytest.importorskip('safetensors.torch')
    out, done, images, vector, _ = exported('safetensors', hybrid_cfg)
    backbone = MODELS.build(hybrid_cfg['backbone'])
    backbone.load_state_dict(safetensors.load_file(out), strict=True)
    backbone.eval()
    with torch.no_grad():
        close(backbone(images, masking=None)[-1].mean(1), vector)


@pytest.mark.parametrize('target', ['timm', 'hf'])
def test_a_hybrid_has_no_place_there(write_run, hybrid_cfg, tmp_path, target):
    pytest.importorskip({'hf': 'transformers'}.get(target, target))
    with pytest.raises(ConversionError, match='hybrid.*has no class.*onnx'):
        export(write_run(hybrid_cfg), tmp_path / f'out{ENDING[target]}', target)
    assert [f.name for f in tmp_path.iterdir()] == ['run']


@pytest.mark.parametrize('wrong', [lambda x: x + 2e-4, lambda x: x * float('nan')])
def test_a_difference_leaves_nothing(write_run, tiny_cfg, tmp_path, monkeypatch, wrong):
    def write(encoder, path, meta):
        path.write_text('')
        return lambda images: (encoder(images)[0], wrong(encoder(images)[1]))

    monkeypatch.setitem(export_module.GRAPHS, 'torch', ('.pt2', write))
    with pytest.raises(ConversionError, match='came out different'):
        export(write_run(tiny_cfg), tmp_path / 'new' / 'out.pt2', 'torch')
    assert not any((tmp_path / 'new').iterdir())


def test_what_does_not_run_leaves_nothing(write_run, tiny_cfg, tmp_path, monkeypatch):
    def write(encoder, path, meta):
        path.write_text('')
        return lambda images: (images.view(3, -1), images[:, 9, 9])

    monkeypatch.setitem(export_module.GRAPHS, 'torch', ('.pt2', write))
    with pytest.raises(ConversionError, match='does not run with 1 images: .*newer'):
        export(write_run(tiny_cfg), tmp_path / 'new' / 'out.pt2', 'torch')
    assert not any((tmp_path / 'new').iterdir())


def test_a_missing_library_is_named_with_its_extra(
    write_run, tiny_cfg, tmp_path, monkeypatch
):
    import sys

    for module in ('onnx', 'onnxruntime'):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConversionError, match=r'needs onnx.*cmae-mm\[export\]'):
        export(write_run(tiny_cfg), tmp_path / 'out.onnx', 'onnx')
    assert [f.name for f in tmp_path.iterdir()] == ['run']


def test_weights_too_large_for_onnx_are_refused_before_anything_is_written(
    write_run, tiny_cfg, tmp_path, monkeypatch
):
    pytest.importorskip('onnxruntime')
    monkeypatch.setattr('cmae_mm.bridge.graphs._LARGEST_ONNX', 1000)
    with pytest.raises(ConversionError, match='holds 2 GiB. Try: --to torch'):
        export(write_run(tiny_cfg), tmp_path / 'out.onnx', 'onnx')


def test_an_old_torch_is_told_what_is_needed(
    write_run, tiny_cfg, tmp_path, monkeypatch
):
    monkeypatch.delattr(torch.export, 'Dim', raising=False)
    with pytest.raises(ConversionError, match='torch 2.2 or newer.*--to onnx'):
        export(write_run(tiny_cfg), tmp_path / 'out.pt2', 'torch')


def test_arguments_that_do_not_fit_are_refused(write_run, tiny_cfg, tmp_path):
    source = write_run(tiny_cfg)
    old = tmp_path / 'old.onnx'
    old.write_text('old')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'hf').mkdir()
    (tmp_path / 'hf/config.json').write_text('{}')
    for match, args in [
        ('--to jax is not known', (source, 'x.jax', 'jax')),
        ('writes a file .onnx', (source, 'x.pt2', 'onnx')),
        ('is there already', (source, old, 'onnx')),
        ('holds no checkpoint', (tmp_path / 'empty', 'x.onnx', 'onnx')),
        ('Hugging Face. Convert it once', (tmp_path / 'hf', 'x.onnx', 'onnx')),
    ]:
        with pytest.raises(UsageError, match=match):
            export(*args)
    with pytest.raises(FileNotFoundError, match='There is no'):
        export(tmp_path / 'no.pth', 'x.onnx', 'onnx')
    assert old.read_text() == 'old'
