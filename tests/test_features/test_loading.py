from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS
from torch.utils.data import DataLoader, default_collate

import cmae_mm
from cmae_mm.bridge import ConversionError, convert
from cmae_mm.bridge.export import export
from cmae_mm.evaluation import extract_features

CONFIGS = Path(__file__).parents[2] / 'configs'


def write_pictures(folder, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        picture = np.random.default_rng(i).integers(0, 255, (20, 30 + i, 3), np.uint8)
        cv2.imwrite(str(folder / f'{i}.png'), picture)


@pytest.mark.parametrize('hybrid', [False, True])
def test_the_vectors_are_those_of_the_knn_evaluation(
    write_run, tmp_path, request, hybrid
):
    cfg = request.getfixturevalue('hybrid_cfg' if hybrid else 'tiny_cfg')
    side = cfg['backbone']['img_size']
    pipeline = [
        dict(type='cmae_mm.LoadImage'),
        dict(type='ResizeEdge', scale=side + 3, backend='pillow'),
        dict(type='CenterCrop', crop_size=side),
        dict(type='PackInputs'),
    ]
    for label in 'ab':
        write_pictures(tmp_path / 'data' / label)
    data = dict(
        type='CustomDataset', data_root=str(tmp_path / 'data'), pipeline=pipeline
    )
    file = write_run(cfg, test_dataloader=dict(dataset=data))
    net = cmae_mm.load(file)
    assert not net.notes and not net.training

    dataset = DATASETS.build(data)
    loader = DataLoader(dataset, batch_size=4, collate_fn=_collate)
    preprocessor = dict(
        type='SelfSupDataPreprocessor',
        mean=[100.0, 110.0, 120.0],
        std=[50.0, 51.0, 52.0],
        to_rgb=True,
    )
    model = MODELS.build(dict(data_preprocessor=preprocessor, **cfg))
    model.load_state_dict(torch.load(file, weights_only=True)['state_dict'])
    wanted, _ = extract_features(model, loader)

    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    features = net(net.transform(paths))
    torch.testing.assert_close(features.vector, wanted, atol=1e-5, rtol=1e-5)
    assert features.vector.shape == (6, 16) and features.map.shape == (6, 16, 4, 4)
    # Both outputs speak of the same patches.
    torch.testing.assert_close(features.map.mean(dim=(2, 3)), features.vector)


def _collate(samples):
    return dict(
        inputs=default_collate([s['inputs'] for s in samples]),
        data_samples=[s['data_samples'] for s in samples],
    )


def test_the_map_knows_rows_from_columns(write_run, tiny_cfg):
    tiny_cfg['backbone'].update(img_size=(16, 32))
    net = cmae_mm.load(write_run(tiny_cfg))
    image = net.transform(np.zeros((50, 90, 3), np.uint8))
    assert image.shape == (3, 16, 32)
    spot = image.clone()
    spot[:, 4:8, 24:28] += 3  # row 1, column 6
    change = (net(spot).map - net(image).map).abs().sum(dim=1)[0]
    assert change.shape == (4, 8) and change.argmax() == 1 * 8 + 6


@pytest.fixture
def run_file(write_run, tiny_cfg):
    return write_run(tiny_cfg)


@pytest.fixture
def vector():
    """What a file makes of the same image."""
    image = np.random.default_rng(0).integers(0, 255, (33, 40, 3), np.uint8)

    def of(path, **kwargs):
        net = cmae_mm.load(path, **kwargs)
        return net(net.transform(image)).vector

    return of


def test_what_we_write_loads_again_with_its_transform(run_file, tmp_path, vector):
    wanted = vector(run_file)
    assert torch.equal(vector(run_file.parent), wanted)  # folder of the run
    export(run_file, tmp_path / 'x.safetensors', 'safetensors')
    assert torch.equal(vector(tmp_path / 'x.safetensors'), wanted)
    convert(run_file, tmp_path / 'x.pth', 'cmae-mm', 'cmae-mm')
    assert torch.equal(vector(tmp_path / 'x.pth'), wanted)


def test_a_hybrid_goes_through_safetensors_and_pth(
    write_run, hybrid_cfg, tmp_path, vector
):
    file = write_run(hybrid_cfg)
    for name, target in (('x.safetensors', 'safetensors'), ('x.pth', 'cmae-mm')):
        convert(file, tmp_path / name, 'cmae-mm', target)
        assert torch.equal(vector(tmp_path / name), vector(file))


def test_the_config_beside_a_file_does_as_well(run_file, vector):
    wanted = vector(run_file)
    checkpoint = torch.load(run_file, weights_only=True)
    text = checkpoint['meta'].pop('cfg')
    torch.save(checkpoint, run_file)
    with pytest.raises(ConversionError, match='heads=N'):
        cmae_mm.load(run_file)
    for start, content in (('20260101', 'broken ('), ('20260102', text)):
        place = run_file.parent / start / 'vis_data'
        place.mkdir(parents=True)
        (place / 'config.py').write_text(content)
    assert torch.equal(vector(run_file), wanted)


def test_bare_weights_are_taken_with_a_note(run_file, tmp_path):
    weights = torch.load(run_file, weights_only=True)['state_dict']
    backbone = {k[9:]: v for k, v in weights.items() if k.startswith('backbone.')}
    torch.save(backbone, tmp_path / 'bare.pth')
    net = cmae_mm.load(tmp_path / 'bare.pth', heads=2)
    (note,) = net.notes
    assert 'those of ImageNet' in note
    assert net.transform(np.zeros((9, 9, 3), np.uint8)).shape == (3, 16, 16)


def test_a_fine_tuned_encoder_gives_what_its_classifier_gets(tmp_path, tiny_cfg):
    backbone = dict(
        type='VisionTransformer',
        arch=tiny_cfg['backbone']['arch'],
        img_size=16,
        patch_size=4,
        out_type='avg_featmap',
        final_norm=False,
    )
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=backbone,
            head=dict(type='LinearClsHead', num_classes=2, in_channels=16),
        )
    )
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    model.eval()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'tuned.pth')
    net = cmae_mm.load(tmp_path / 'tuned.pth', heads=2)
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        wanted = model.extract_feat(images)[-1]
    torch.testing.assert_close(net(images).vector, wanted)
    assert net(images).map.shape == (2, 16, 4, 4)


@pytest.fixture(params=['cifar10/vit-nano-p4_bs64-4e_cifar10', 'hybrid'])
def both_norms(request, tmp_path):
    """A classifier with a norm at every token and one behind the mean; its file."""
    if request.param == 'hybrid':
        backbone = request.getfixturevalue('hybrid_cfg')['backbone']
        del backbone['mask_ratio']
        backbone.update(type='cmae_mm.ConvViT', out_type='avg_featmap')
        cfg = Config(dict(model=dict(type='ImageClassifier', backbone=backbone)))
    else:
        cfg = Config.fromfile(CONFIGS / f'{request.param}.py')
        cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    file = tmp_path / 'epoch_4.pth'
    meta = dict(cfg=cfg.pretty_text)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), file)
    return model.eval(), file


def test_a_classifier_with_both_last_norms_gives_what_its_head_gets(
    both_norms, tmp_path
):
    model, file = both_norms
    names = dict(model.backbone.named_parameters())
    assert 'ln1.weight' in names and 'ln2.weight' in names
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wanted = model.extract_feat(images)[-1]
        net = cmae_mm.load(file)
        torch.testing.assert_close(net(images).vector, wanted)
        assert net(images).map.shape[:2] == wanted.shape

        export(file, tmp_path / 'x.safetensors', 'safetensors')
        again = cmae_mm.load(tmp_path / 'x.safetensors')
        torch.testing.assert_close(again(images).vector, wanted)


@pytest.mark.parametrize(
    'both_norms', ['scenes/vit-nano-p8_linear-12e_scenes'], indirect=True
)
@pytest.mark.parametrize(('target', 'name'), [('timm', 'x.pth'), ('hf', 'x')])
def test_both_last_norms_have_no_place_elsewhere(both_norms, tmp_path, target, name):
    with pytest.raises(ConversionError, match='cannot be made one.*torch, onnx'):
        export(both_norms[1], tmp_path / name, target)
    assert not (tmp_path / name).exists()


def test_images_of_another_size_or_shape(run_file):
    net = cmae_mm.load(run_file)
    assert net(torch.randn(2, 3, 24, 16)).map.shape == (2, 16, 6, 4)
    for shape in ((2, 4, 16, 16), (2, 3, 18, 16), (16, 16), (1, 3, 0, 16)):
        with pytest.raises(ValueError, match='multiples of the patch of 4'):
            net(torch.zeros(shape))


def test_a_trained_encoder_wants_no_gradient_unless_asked(run_file):
    net = cmae_mm.load(run_file)
    image = net.transform(np.zeros((9, 9, 3), np.uint8))
    assert not net(image).vector.requires_grad
    assert net.requires_grad_(True)(image).vector.requires_grad


def test_damaged_foreign_and_dangerous_files(run_file, tmp_path):
    whole = run_file.read_bytes()
    cut, code, sick = (tmp_path / f'{n}.pth' for n in ('cut', 'code', 'sick'))
    cut.write_bytes(whole[: len(whole) // 2])
    trap = tmp_path / 'trap'
    import pickle

    class Evil:
        def __reduce__(self):
            return open, (str(trap), 'w')

    code.write_bytes(pickle.dumps(Evil()))
    checkpoint = torch.load(run_file, weights_only=True)
    checkpoint['state_dict']['backbone.cls_token'][:] = float('nan')
    torch.save(checkpoint, sick)
    mae = tmp_path / 'mae.pth'
    torch.save({'patch_embed.proj.weight': torch.ones(16, 3, 4, 4), **_block()}, mae)
    for path, error, match in (
        (cut, ConversionError, 'damaged, cut off'),
        (code, ConversionError, 'not loaded'),
        (sick, ConversionError, 'not finite, such as cls_token'),
        (mae, ConversionError, 'cmae convert .*mae.pth OURS.pth --from timm'),
        (tmp_path / 'no.pth', FileNotFoundError, 'There is no'),
    ):
        with pytest.raises(error, match=match):
            cmae_mm.load(path)
    assert not trap.exists()


def _block():
    return {'blocks.0.norm1.weight': torch.ones(16)}


def test_the_package_has_no_other_lazy_names():
    with pytest.raises(AttributeError, match='no attribute'):
        _ = cmae_mm.no_such_name
