"""Tests of the generated data set ``scenes``."""

import json
from colorsys import rgb_to_hsv

import numpy as np
import pytest
from PIL import Image

from cmae_mm.datasets.scenes import (
    CLASSES,
    MIN_SIZE,
    PALETTE,
    SINGLE_LAYOUT,
    draw_scene,
    generate_scenes,
    mask_to_polygons,
    measure_shortcuts,
    textures,
)

TINY = {'num_train': 30, 'num_val': 6, 'size': 48, 'seed': 3}


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes')
    return root, generate_scenes(root, workers=1, **TINY)


def decode(polygons, height, width):
    mask_api = pytest.importorskip('pycocotools.mask')
    polygons = [[float(value) for value in polygon] for polygon in polygons]
    rles = mask_api.frPyObjects(polygons, height, width)
    return mask_api.decode(mask_api.merge(rles)).astype(bool)


def load_coco(root, split):
    path = root / 'scenes' / 'annotations' / f'instances_{split}.json'
    return json.loads(path.read_text())


def files_below(root):
    return {
        path.relative_to(root): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


class TestDrawScene:
    @pytest.mark.parametrize('size', [MIN_SIZE, 57, 96])
    def test_shapes_and_ranges(self, size):
        scene = draw_scene(np.random.default_rng(0), size)
        assert scene.image.shape == (size, size, 3)
        assert scene.image.dtype == np.uint8
        assert scene.label_map.shape == (size, size)
        assert scene.label_map.dtype == np.uint8
        assert all(i.mask.dtype == bool for i in scene.instances)

    def test_masks_are_disjoint_and_make_up_the_label_map(self):
        for seed in range(20):
            scene = draw_scene(np.random.default_rng(seed), 64)
            assert 1 <= len(scene.instances) <= 4
            total = np.zeros((64, 64), int)
            for instance in scene.instances:
                assert instance.mask.sum() >= 30
                total += instance.mask * instance.class_id
                assert (scene.label_map[instance.mask] == instance.class_id).all()
            assert np.array_equal(total, scene.label_map)

    @pytest.mark.parametrize('class_id', range(1, len(CLASSES) + 1))
    def test_single_object_of_the_asked_class(self, class_id):
        scene = draw_scene(np.random.default_rng(1), 64, [class_id], SINGLE_LAYOUT)
        assert [i.class_id for i in scene.instances] == [class_id]
        assert scene.label_map.astype(bool).mean() > 0.03

    def test_objects_stand_out_from_their_surroundings(self):
        # The picture has to show what the labels say: objects differ from the
        # background in colour, however the labels were made.
        gaps = []
        for seed in range(20):
            scene = draw_scene(np.random.default_rng(seed), 64, [2], SINGLE_LAYOUT)
            inside = scene.label_map > 0
            gap = scene.image[inside].mean(0) - scene.image[~inside].mean(0)
            gaps.append(np.linalg.norm(gap))
        assert np.median(gaps) > 30

    def test_objects_often_have_the_hue_of_their_class(self):
        inside, outside = [], []
        for class_id in range(1, len(CLASSES) + 1):
            for seed in range(12):
                rng = np.random.default_rng(seed)
                scene = draw_scene(rng, 64, [class_id], SINGLE_LAYOUT)
                shown = scene.label_map > 0
                for pixels, near in ((shown, inside), (~shown, outside)):
                    red, green, blue = np.median(scene.image[pixels], 0) / 255
                    gap = rgb_to_hsv(red, green, blue)[0] - class_id / len(CLASSES)
                    near.append(abs((gap + 0.5) % 1 - 0.5) < 0.12)
        assert 0.55 < np.mean(inside) < 0.95
        assert np.mean(outside) < 0.4

    def test_objects_mostly_have_the_surface_of_their_class(self, monkeypatch):
        monkeypatch.setattr(textures, 'draw_texture', lambda rng, *args: args[1:])
        rng = np.random.default_rng(0)
        for class_id in range(1, len(CLASSES) + 1):
            drawn = [textures.object_texture(rng, 64, class_id) for _ in range(200)]
            assert set(drawn) == {(), (class_id - 1,)}
            assert 0.8 < np.mean([bool(family) for family in drawn]) < 0.98
        assert textures.object_texture(rng, 64, 0) == ()

    def test_same_generator_same_scene(self):
        first, second = (draw_scene(np.random.default_rng(5), 48) for _ in range(2))
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.label_map, second.label_map)

    @pytest.mark.parametrize(
        ('arguments', 'message'),
        [
            ({'size': 31}, 'size'),
            ({'class_ids': []}, 'class_ids'),
            ({'class_ids': [0]}, 'class_ids'),
            ({'class_ids': [len(CLASSES) + 1]}, 'class_ids'),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            draw_scene(np.random.default_rng(0), **arguments)


class TestMaskToPolygons:
    def test_empty_mask(self):
        assert mask_to_polygons(np.zeros((4, 5), bool)) == []

    def test_rectangle_is_its_four_corners(self):
        mask = np.zeros((6, 8), bool)
        mask[1:4, 2:7] = True
        (polygon,) = mask_to_polygons(mask)
        corners = set(zip(polygon[::2], polygon[1::2], strict=True))
        assert len(polygon) == 8
        assert corners == {(2, 1), (7, 1), (7, 4), (2, 4)}

    def test_random_masks_survive(self):
        # Noise has holes, holes in holes and corner contacts of every kind.
        rng = np.random.default_rng(0)
        for _ in range(200):
            mask = rng.random(rng.integers(1, 14, 2)) < rng.uniform(0.2, 0.9)
            if mask.any():
                assert np.array_equal(decode(mask_to_polygons(mask), *mask.shape), mask)


class TestFiles:
    def test_every_class_folder_has_pictures_of_the_asked_size(self, dataset):
        root, _ = dataset
        for split, count in (('train', 5), ('val', 1)):
            folder = root / 'classification' / split
            assert {path.name for path in folder.iterdir()} == set(CLASSES)
            for name in CLASSES:
                paths = list((folder / name).glob('*.jpg'))
                assert len(paths) == count
                for path in paths:
                    with Image.open(path) as image:
                        assert image.size == (48, 48)
                        assert image.mode == 'RGB'

    @pytest.mark.parametrize(('split', 'count'), [('train', 30), ('val', 6)])
    def test_scenes_come_with_label_maps(self, dataset, split, count):
        root, _ = dataset
        images = sorted((root / 'scenes' / 'images' / split).iterdir())
        labels = sorted((root / 'scenes' / 'labels' / split).iterdir())
        assert [p.stem for p in images] == [p.stem for p in labels]
        assert len(images) == count
        for image_path, label_path in zip(images, labels, strict=True):
            with Image.open(image_path) as image, Image.open(label_path) as label:
                assert image.size == label.size == (48, 48)
                assert label.mode in ('L', 'P')
                assert np.asarray(label).max() <= len(CLASSES)

    @pytest.mark.parametrize('split', ['train', 'val'])
    def test_coco_agrees_with_the_label_maps(self, dataset, split):
        root, _ = dataset
        coco = load_coco(root, split)
        by_image = {image['id']: [] for image in coco['images']}
        for annotation in coco['annotations']:
            by_image[annotation['image_id']].append(annotation)
        for image in coco['images']:
            stem = image['file_name'].removesuffix('.jpg')
            path = root / 'scenes' / 'labels' / split / f'{stem}.png'
            expected = np.asarray(Image.open(path))
            drawn = np.zeros((image['height'], image['width']), np.uint8)
            for annotation in by_image[image['id']]:
                mask = decode(annotation['segmentation'], *drawn.shape)
                assert not drawn[mask].any(), 'visible masks overlap'
                drawn[mask] = annotation['category_id']
                self.check_box(annotation, mask)
            assert by_image[image['id']]
            assert np.array_equal(drawn, expected)

    @staticmethod
    def check_box(annotation, mask):
        x, y, width, height = annotation['bbox']
        assert annotation['iscrowd'] == 0
        assert annotation['area'] == mask.sum() >= 30
        window = mask[y : y + height, x : x + width]
        assert window.sum() == mask.sum()
        for edge in (window[0], window[-1], window[:, 0], window[:, -1]):
            assert edge.any(), 'box is not tight'

    def test_coco_api_reads_the_annotations(self, dataset, capsys):
        coco_api = pytest.importorskip('pycocotools.coco')
        root, meta = dataset
        path = root / 'scenes' / 'annotations' / 'instances_train.json'
        coco = coco_api.COCO(str(path))
        assert sorted(coco.getCatIds()) == list(range(1, len(CLASSES) + 1))
        assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
        for annotation in coco.loadAnns(coco.getAnnIds()):
            assert coco.annToMask(annotation).sum() == annotation['area']
        counted = meta['counts']['scenes']['train']['objects']
        for category, name in enumerate(CLASSES, 1):
            assert len(coco.getAnnIds(catIds=[category])) == counted[name]

    def test_meta(self, dataset):
        root, meta = dataset
        assert meta == json.loads((root / 'meta.json').read_text())
        assert meta['parameters'] == TINY
        assert meta['classes'] == list(CLASSES)
        assert len(meta['palette']) == len(PALETTE) == len(CLASSES) + 1
        assert meta['counts']['classification']['train'] == {
            'images': 30,
            'objects': dict.fromkeys(CLASSES, 5),
        }
        assert meta['counts']['scenes']['val']['images'] == 6


class TestReproducibility:
    def test_independent_of_workers(self, dataset, tmp_path):
        root, meta = dataset
        steps = []
        again = generate_scenes(
            tmp_path / 'two',
            workers=2,
            progress=lambda done, total: steps.append((done, total)),
            **TINY,
        )
        assert again == meta
        assert files_below(tmp_path / 'two') == files_below(root)
        assert steps[-1] == (72, 72)
        assert steps == sorted(steps)

    def test_other_seed_other_data(self, dataset, tmp_path):
        _, meta = dataset
        other = generate_scenes(tmp_path / 'other', workers=1, **{**TINY, 'seed': 4})
        assert other['fingerprint'] != meta['fingerprint']

    def test_train_and_val_differ(self, dataset):
        root, _ = dataset
        images = root / 'scenes' / 'images'
        first = (images / 'train' / '000000.jpg').read_bytes()
        assert first != (images / 'val' / '000000.jpg').read_bytes()


class TestExistingFolder:
    def test_finished_data_set_is_returned_without_work(self, dataset):
        root, meta = dataset
        before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}

        def no_work(done, total):
            raise AssertionError('pictures were drawn again')

        assert generate_scenes(root, progress=no_work, **TINY) == meta
        assert {p: p.stat().st_mtime_ns for p in root.rglob('*')} == before

    def test_other_parameters(self, dataset):
        root, _ = dataset
        with pytest.raises(ValueError, match="'seed': 3.*'seed': 9.*delete"):
            generate_scenes(root, **{**TINY, 'seed': 9})

    def test_other_data(self, tmp_path):
        (tmp_path / 'notes.txt').write_text('mine')
        with pytest.raises(ValueError, match='no meta.json.*delete'):
            generate_scenes(tmp_path, **TINY)
        assert [p.name for p in tmp_path.iterdir()] == ['notes.txt']

    @pytest.mark.parametrize('text', ['{', '[]', '{"version": "1.0"}'])
    def test_foreign_meta(self, tmp_path, text):
        (tmp_path / 'meta.json').write_text(text)
        with pytest.raises(ValueError, match='not written by this generator'):
            generate_scenes(tmp_path, **TINY)

    def test_file_in_place_of_the_folder(self, tmp_path):
        path = tmp_path / 'file'
        path.write_text('')
        with pytest.raises(ValueError, match='not a folder'):
            generate_scenes(path, **TINY)

    def test_interrupted_run_leaves_no_meta(self, tmp_path):
        def interrupt(done, total):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            generate_scenes(tmp_path, workers=1, progress=interrupt, **TINY)
        assert not (tmp_path / 'meta.json').exists()
        with pytest.raises(ValueError, match='interrupted'):
            generate_scenes(tmp_path, **TINY)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'size': MIN_SIZE - 1}, 'size must be at least 32'),
        ({'size': 64.0}, 'size must be an integer'),
        ({'num_train': len(CLASSES) - 1}, 'num_train must be at least 6'),
        ({'num_val': 0}, 'num_val must be at least 6'),
        ({'num_val': True}, 'num_val must be an integer'),
        ({'seed': -1}, 'seed must be at least 0'),
        ({'workers': 0}, 'workers must be at least 1'),
    ],
)
def test_bad_parameters_write_nothing(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        generate_scenes(tmp_path / 'out', **{**TINY, **change})
    assert not (tmp_path / 'out').exists()


class TestShortcuts:
    def test_accuracies(self, dataset):
        root, _ = dataset
        shortcuts = measure_shortcuts(root)
        assert shortcuts['chance'] == pytest.approx(1 / len(CLASSES))
        assert set(shortcuts) == {
            'chance',
            'pixel_knn_rgb',
            'pixel_knn_grey',
            'mean_colour_knn',
        }
        assert all(0 <= accuracy <= 1 for accuracy in shortcuts.values())

    def test_neighbours_find_a_picture_they_have_seen(self, dataset, tmp_path):
        # With val a copy of train the nearest picture is the picture itself.
        root, _ = dataset
        for split in ('train', 'val'):
            target = tmp_path / 'classification' / split
            target.parent.mkdir(exist_ok=True)
            target.symlink_to(root / 'classification' / 'train')
        shortcuts = measure_shortcuts(tmp_path, neighbours=1)
        assert shortcuts['pixel_knn_rgb'] == shortcuts['pixel_knn_grey'] == 1

    def test_no_pictures(self, tmp_path):
        with pytest.raises(ValueError, match='no classification pictures'):
            measure_shortcuts(tmp_path)

    def test_bad_arguments(self, dataset):
        with pytest.raises(ValueError, match='neighbours and size'):
            measure_shortcuts(dataset[0], neighbours=0)
