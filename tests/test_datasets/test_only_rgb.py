import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS

from cmae_mm.datasets import OnlyRGB, only_rgb

GREY = [
    dict(type='NumpyToPIL'),
    dict(type='torchvision/RandomGrayscale', p=1.0),
    dict(type='PILToNumpy'),
]


def image(channels, dtype=np.uint8):
    shape = (6, 7, channels) if channels else (6, 7)
    return (np.arange(np.prod(shape)) % 200).reshape(shape).astype(dtype)


@pytest.fixture
def told(monkeypatch):
    messages = []
    monkeypatch.setattr(only_rgb, 'print_log', lambda msg, **_: messages.append(msg))
    return messages


def test_rgb_is_treated_as_without_it(told):
    expected = dict(img=image(3))
    for step in GREY:
        expected = TRANSFORMS.build(step)(expected)
    results = OnlyRGB(GREY)(dict(img=image(3)))
    assert np.array_equal(results['img'], expected['img'])
    assert not np.array_equal(results['img'], image(3))
    assert told == []


@pytest.mark.parametrize(
    ('channels', 'dtype', 'words'),
    [
        (0, np.uint8, '1 channel(s) of uint8'),
        (1, np.uint8, '1 channel(s) of uint8'),
        (4, np.uint8, '4 channel(s) of uint8'),
        (3, np.float32, '3 channel(s) of float32'),
        (12, np.float32, '12 channel(s) of float32'),
    ],
)
def test_others_pass_unchanged_and_are_told_of_once(channels, dtype, words, told):
    step = OnlyRGB(GREY)
    for _ in range(3):
        results = step(dict(img=image(channels, dtype)))
        assert np.array_equal(results['img'], image(channels, dtype))
        assert results['img'].dtype == dtype
    assert len(told) == 1
    assert words in told[0]
    assert '(NumpyToPIL, torchvision/RandomGrayscale, PILToNumpy)' in told[0]


@pytest.mark.parametrize(('worker', 'count'), [(0, 1), (1, 0)])
def test_only_the_first_worker_tells(worker, count, told, monkeypatch):
    info = type('Info', (), {'id': worker})
    monkeypatch.setattr(only_rgb, 'get_worker_info', lambda: info)
    OnlyRGB(GREY)(dict(img=image(1)))
    assert len(told) == count


def test_message_reaches_the_log_of_the_run(capfd):
    from mmengine.logging import MMLogger

    MMLogger.get_instance('test_only_rgb')
    OnlyRGB(GREY)(dict(img=image(1)))
    captured = capfd.readouterr()
    assert 'left out' in captured.out + captured.err
