import pytest
import torch
from mmengine.runner import load_checkpoint
from mmpretrain.models import VisionTransformer

from cmae_mm.bridge import READERS, WRITERS, ConversionError, UsageError, convert, vit

ENDING = {'cmae-mm': '.pth', 'timm': '.pth', 'hf': '', 'safetensors': '.safetensors'}
NEEDS = {'timm': 'timm', 'hf': 'transformers', 'safetensors': 'safetensors'}


@pytest.mark.parametrize('source', READERS)
@pytest.mark.parametrize('target', WRITERS)
def test_every_format_becomes_every_other(tmp_path, make_source, source, target):
    for kind in (source, target):
        pytest.importorskip(NEEDS.get(kind, 'torch'))
    place = tmp_path / f'out{ENDING[target]}'
    done = convert(make_source(source), place, source, target, heads=2)
    assert done.difference < 1e-5 and done.licence
    assert done.parts['backbone'] == 30
    if target != 'cmae-mm':
        assert done.parts.keys() == {'backbone'}
    assert {f.name for f in tmp_path.iterdir()} == {
        place.name,
        make_source(source).name,
    }


def test_safetensors_holds_the_state_dict_of_the_backbone(tmp_path, make_source):
    safetensors = pytest.importorskip('safetensors.torch')
    source, place = make_source('cmae-mm'), tmp_path / 'x.safetensors'
    convert(source, place, 'cmae-mm', 'safetensors', heads=2)
    model = VisionTransformer(
        dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32),
        img_size=16,
        patch_size=4,
    )
    model.load_state_dict(safetensors.load_file(place), strict=True)
    again = convert(place, tmp_path / 'again.pth', 'cmae-mm', 'cmae-mm')
    assert again.size.heads == 2  # stands in the file


def test_a_licence_goes_along(tmp_path, make_source):
    first, second = tmp_path / 'a.pth', tmp_path / 'b.pth'
    convert(make_source('mae'), first, 'mae', 'cmae-mm', heads=2)
    done = convert(first, second, 'cmae-mm', 'cmae-mm')
    assert 'CC BY-NC 4.0' in done.licence


def test_images_need_be_neither_square_nor_rgb(tmp_path, mae_weights):
    weights = {
        **mae_weights,
        'pos_embed': torch.randn(1, 7, 16),
        'decoder_pos_embed': torch.randn(1, 7, 8),
        'patch_embed.proj.weight': torch.randn(16, 5, 4, 4),
        'decoder_pred.weight': torch.randn(80, 8),
        'decoder_pred.bias': torch.randn(80),
    }
    source, kept = tmp_path / 'mae.pth', tmp_path / 'ours.pth'
    torch.save(weights, source)
    options = dict(heads=2, grid=(2, 3))
    done = convert(source, kept, 'mae', 'cmae-mm', **options)
    assert done.size.image == (8, 12) and done.difference < 1e-5
    for target, needed in (('timm', 'timm'), ('hf', 'transformers')):
        pytest.importorskip(needed)
        place = tmp_path / (target + ENDING[target])
        assert convert(kept, place, 'cmae-mm', target).difference < 1e-5
    back = convert(tmp_path / 'hf', tmp_path / 'back.pth', 'hf', 'cmae-mm')
    assert back.size == done.size  # from config.json


def test_features_that_differ_leave_nothing_behind(tmp_path, make_source):
    place = tmp_path / 'new' / 'out.pth'
    weights = torch.load(make_source('timm'), weights_only=True)
    weights['norm.bias'][3] = float('nan')
    torch.save(weights, tmp_path / 'nan.pth')
    with pytest.raises(ConversionError, match='came out different: by nan'):
        convert(tmp_path / 'nan.pth', place, 'mae', 'cmae-mm', heads=2)
    assert not any(place.parent.iterdir())


def test_a_difference_is_seen(tmp_path, make_source, monkeypatch):
    from cmae_mm.bridge import ours

    features_of = ours.features_of
    monkeypatch.setattr(
        ours,
        'features_of',
        lambda *args: lambda images: features_of(*args)(images) + 2e-4,
    )
    with pytest.raises(ConversionError, match=r'by 2\.\de-04, allowed are 1e-04'):
        convert(make_source('mae'), tmp_path / 'out.pth', 'mae', 'cmae-mm', heads=2)
    assert not (tmp_path / 'out.pth').exists()


def test_arguments_that_do_not_fit_are_refused(tmp_path, make_source):
    mae, out = make_source('mae'), tmp_path / 'out.pth'
    for match, args, kwargs in [
        ('--from dino is not known', (mae, out, 'dino', 'timm'), {}),
        ('--to onnx is not known', (mae, out, 'mae', 'onnx'), {}),
        ('--channels is for', (mae, out, 'mae', 'timm'), dict(channels='bgr')),
        ('There is no', (tmp_path / 'no.pth', out, 'mae', 'timm'), {}),
        ('is a folder', (tmp_path, out, 'mae', 'timm'), {}),
        ('writes a file .pth', (mae, tmp_path / 'out.bin', 'mae', 'cmae-mm'), {}),
        ('writes a folder', (mae, out, 'mae', 'hf'), {}),
        ('is there already', (mae, mae, 'mae', 'cmae-mm'), {}),
        ('is the source', (mae, mae, 'mae', 'cmae-mm'), dict(force=True)),
    ]:
        before = mae.read_bytes()
        with pytest.raises(UsageError, match=match):
            convert(*args, **kwargs)
        assert not out.exists() and mae.read_bytes() == before


def test_a_folder_is_not_written_over_the_source_in_it(tmp_path, make_source):
    pytest.importorskip('safetensors')
    source = make_source('cmae-mm')
    folder = tmp_path / 'mine'
    first = folder / 'model.safetensors'
    convert(source, first, 'cmae-mm', 'safetensors', heads=2)
    before = first.read_bytes()
    with pytest.raises(UsageError, match='is the source itself, or its folder'):
        convert(first, folder, 'cmae-mm', 'hf', force=True)
    assert first.read_bytes() == before
    assert [file.name for file in folder.iterdir()] == [first.name]


@pytest.mark.parametrize(
    ('meta', 'match'),
    [
        (['x'], "has a list under 'meta'"),
        (dict(bridge='x'), "has a str under 'bridge'"),
        (dict(bridge=dict(heads='2')), "said to be '2', which is no whole number"),
        (dict(bridge=dict(heads=2, grid='4x4')), "are not '4x4'"),
        (dict(bridge=dict(heads=2, layer_norm_eps='x')), "eps .* said to be 'x'"),
    ],
)
def test_what_a_file_says_of_itself_may_be_wrong(tmp_path, make_source, meta, match):
    checkpoint = torch.load(make_source('cmae-mm'), weights_only=True)
    file = tmp_path / 'odd.pth'
    torch.save({**checkpoint, 'meta': meta}, file)
    with pytest.raises(ConversionError, match=match):
        convert(file, tmp_path / 'out.pth', 'cmae-mm', 'cmae-mm')


def test_heads_that_nobody_said_are_noted(tmp_path, make_source, monkeypatch):
    monkeypatch.setitem(vit.STANDARD_HEADS, 16, 4)  # the toy has 2: a wrong guess
    out = tmp_path / 'out.pth'
    done = convert(make_source('mae'), out, 'mae', 'cmae-mm')
    assert done.difference < 1e-5, 'this is why the note is needed'
    (note,) = [note for note in done.notes if 'heads' in note]
    assert note == (
        '4 heads assumed from the width; the comparison cannot see it; --heads if not'
    )
    done = convert(make_source('mae'), out, 'mae', 'cmae-mm', heads=2, force=True)
    assert not any('heads' in note for note in done.notes)


@pytest.mark.parametrize('kind', ['mae', 'timm', 'cmae-released'])
def test_files_of_others_have_one_last_norm(tmp_path, make_source, kind):
    """Nobody there tells what a second one would do."""
    pytest.importorskip(NEEDS.get(kind, 'torch'))
    checkpoint = torch.load(make_source(kind), weights_only=True)
    weights = checkpoint.get('model', checkpoint.get('state_dict', checkpoint))
    start = 'backbone.' if kind == 'cmae-released' else ''
    for end in ('weight', 'bias'):
        weights[f'{start}fc_norm.{end}'] = torch.ones(16)
    torch.save(weights, tmp_path / 'both.pth')
    with pytest.raises(ConversionError, match='one of them, and the two cannot'):
        convert(tmp_path / 'both.pth', tmp_path / 'x.pth', kind, 'cmae-mm', heads=2)


def test_force_replaces_a_file(tmp_path, make_source, tiny_cfg, build):
    out = tmp_path / 'out.pth'
    out.write_text('old')
    convert(make_source('mae'), out, 'mae', 'cmae-mm', heads=2, force=True)
    load_checkpoint(build(tiny_cfg), str(out))
