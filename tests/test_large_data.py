"""The commands and configs of docs/large-data.md work, on generated images."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / 'docs/large-data.md').read_text()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the configs of this repository, and ImageNet made small."""
    for split, count in (('train', 3), ('val', 1)):
        for n, label in enumerate(('n02', 'n01')):
            folder = tmp_path / 'data/imagenet' / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                rng = np.random.default_rng([n, i, count])
                img = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
                cv2.imwrite(str(folder / f'{label}_{i}.JPEG'), img)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language):
    return re.findall(rf'```{language}\n(.*?)```', DOCUMENT, re.S)


def load_config(archives=None):
    Path('archives.py').write_text(blocks('python')[0])
    cfg = Config.fromfile('archives.py')
    if archives:
        cfg.train_dataloader.dataset.archives = archives
    return cfg


def first_batch(cfg):
    loader = cfg.train_dataloader
    loader.update(batch_size=6, num_workers=0, persistent_workers=False)
    loader.pin_memory = False
    (batch,) = Runner.build_dataloader(loader, seed=0)
    return batch['inputs']


def as_folders():
    cfg = load_config()
    cfg.train_dataloader.dataset = dict(
        type='cmae_mm.UnlabelledImages',
        data_root='data/imagenet/train',
        pipeline=cfg.train_dataloader.dataset.pipeline,
    )
    return cfg


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_archives_made_by_the_commands(place):
    """They give the batch of the folders, and the labels for k-NN."""
    (commands,) = blocks('shell')
    subprocess.run(['bash', '-euc', commands], check=True)
    cfg = load_config()
    views = first_batch(cfg)
    assert views[0].shape == (6, 3, 224, 224)
    assert same(views, first_batch(as_folders()))
    for loader, count in ((cfg.test_cfg.bank_dataloader, 3), (cfg.test_dataloader, 1)):
        dataset = DATASETS.build(loader.dataset)
        assert dataset.metainfo['classes'] == ('n01', 'n02')
        assert dataset.get_gt_labels().tolist() == count * [0] + count * [1]
        assert dataset[0]['inputs'].shape == (3, 224, 224)


def test_shards_made_by_the_script(place):
    """Their order is that of the shards, so here, with one shard, of the folders."""
    pytest.importorskip('webdataset')
    name, script = 'write_shards.py', blocks('python')[1]
    assert script.startswith(f'# {name}\n')
    Path(name).write_text(script)
    subprocess.run([sys.executable, name], check=True, stdout=subprocess.PIPE)
    cfg = load_config('train-*.tar')
    assert same(first_batch(cfg), first_batch(as_folders()))
    cfg.train_dataloader.dataset.with_label = True
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset.get_gt_labels().tolist() == 3 * [0] + 3 * [1]


def test_streams_depend_on_the_number_of_workers(place):
    """What the document says of webdataset's own reader, and why it is left out."""
    webdataset = pytest.importorskip('webdataset')
    for shard in range(4):
        with webdataset.TarWriter(f'{shard}.tar') as writer:
            for n in range(shard + 2):
                writer.write(dict(__key__=f'{shard}-{n}', cls=n))
    shards = [f'{shard}.tar' for shard in range(4)]
    orders = []
    for workers in (1, 2):
        stream = webdataset.WebDataset(shards, shardshuffle=False).shuffle(9, seed=0)
        loader = torch.utils.data.DataLoader(
            stream, batch_size=None, num_workers=workers
        )
        orders.append([sample['__key__'] for sample in loader])
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]
