"""Images of all kinds: each decoded right, or refused with its reason."""

import contextlib
import io
import os
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from cmae_mm.datasets import FastMasterCrop, LoadImage
from cmae_mm.datasets.decoder import ImageDecoder
from cmae_mm.datasets.headers import read_header
from cmae_mm.datasets.refused import Refused

# 48x64, RGB: no two channels, rows or columns alike.
ROWS, COLUMNS = np.mgrid[:48, :64]
RGB = np.stack([COLUMNS * 4, ROWS * 5, (ROWS + COLUMNS) * 2], -1).astype(np.uint8)
PICTURE = Image.fromarray(RGB)
TURNED = PICTURE.transpose(Image.Transpose.ROTATE_180)
GREY = np.asarray(PICTURE.convert('L'))
DEEP = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
SHARE = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)


def save(img, kind, **options):
    """The bytes of a file; ``img`` is an RGB or grey array, or a picture."""
    out = io.BytesIO()
    picture = img if isinstance(img, Image.Image) else Image.fromarray(img)
    picture.save(out, kind, **options)
    return out.getvalue()


def with_alpha(mode):
    picture = PICTURE.convert(mode)
    picture.putalpha(Image.fromarray((COLUMNS * 4).astype(np.uint8)))
    return picture


def orientation(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def moving(kind, **options):
    return save(PICTURE, kind, save_all=True, append_images=[TURNED], **options)


def grey(img):
    return np.repeat(img[..., None], 3, -1)


PALETTE = PICTURE.quantize()
INDEXED = np.asarray(PALETTE.convert('RGB'))
# Written by Pillow (16-bit colour by OpenCV); what they show is known beforehand. Name:
# (bytes, RGB that must come out, mean difference that compression may make).
GOOD = {
    'jpeg': (save(RGB, 'JPEG', quality=95), RGB, 3),
    'jpeg_progressive': (save(RGB, 'JPEG', quality=95, progressive=True), RGB, 3),
    'jpeg_grey': (save(GREY, 'JPEG', quality=95), grey(GREY), 3),
    'jpeg_cmyk': (save(PICTURE.convert('CMYK'), 'JPEG', quality=95), RGB, 3),
    'jpeg_and_more': (save(RGB, 'JPEG', quality=95) + b'more' * 9, RGB, 3),
    'png': (save(RGB, 'PNG'), RGB, 0),
    'palette': (save(PALETTE, 'PNG'), INDEXED, 0),
    'palette_transparent': (save(PALETTE, 'PNG', transparency=3), INDEXED, 0),
    'LA': (save(with_alpha('LA'), 'PNG'), grey(GREY), 0),
    'RGBA': (save(with_alpha('RGBA'), 'PNG'), RGB, 0),
    '1-bit': (save(GREY > 99, 'PNG'), grey(255 * (GREY > 99)), 0),
    '16-bit_grey': (save(DEEP, 'PNG'), grey(DEEP / 257), 1),
    '16-bit_colour': (
        cv2.imencode('.png', RGB[..., ::-1].astype(np.uint16) * 257)[1].tobytes(),
        RGB,
        0,
    ),
    'png_moving': (moving('PNG'), RGB, 0),
    'tiff': (save(RGB, 'TIFF'), RGB, 0),
    'tiff_packed': (save(RGB, 'TIFF', compression='tiff_lzw'), RGB, 0),
    'tiff_pages': (moving('TIFF'), RGB, 0),
    'tiff_16-bit': (save(DEEP, 'TIFF'), grey(DEEP / 257), 1),
    'tiff_cmyk': (save(PICTURE.convert('CMYK'), 'TIFF'), RGB, 1),
    'webp': (save(RGB, 'WEBP', lossless=True), RGB, 0),
    'webp_lossy': (save(RGB, 'WEBP', quality=95), RGB, 3),
    'webp_alpha': (
        save(with_alpha('RGBA'), 'WEBP', lossless=True, exact=True),
        RGB,
        0,
    ),
    'webp_moving': (moving('WEBP', lossless=True), RGB, 0),
    'gif': (save(PALETTE, 'GIF'), INDEXED, 0),
    'gif_moving': (moving('GIF'), RGB, 4),
    'bmp': (save(RGB, 'BMP'), RGB, 0),
    'ppm': (save(RGB, 'PPM'), RGB, 0),
    'pgm_16-bit': (save(DEEP, 'PPM'), grey(DEEP / 257), 1),
    'pbm': (save(GREY > 99, 'PPM'), grey(255 * (GREY > 99)), 0),
    '1x1': (save(RGB[:1, :1], 'PNG'), RGB[:1, :1], 0),
    '1x3000': (save(np.tile(RGB[:1], (1, 47, 1))[:, :3000], 'PNG'), None, 0),
    '3000x1': (save(np.tile(RGB[:, :1], (63, 1, 1))[:3000], 'PNG'), None, 0),
    'exif_png': (
        save(RGB, 'PNG', exif=orientation(6)),
        np.rot90(RGB, -1),
        0,
    ),
}
# What the eight values of the tag mean, as operations on the array.
UPRIGHT = {
    1: lambda img: img,
    2: lambda img: img[:, ::-1],
    3: lambda img: img[::-1, ::-1],
    4: lambda img: img[::-1],
    5: lambda img: img.transpose(1, 0, 2),
    6: lambda img: np.rot90(img, -1),
    7: lambda img: np.rot90(img, 2).transpose(1, 0, 2),
    8: lambda img: np.rot90(img),
}
for number, turn in UPRIGHT.items():
    data = save(RGB, 'JPEG', quality=95, exif=orientation(number))
    GOOD[f'exif_{number}'] = (data, turn(RGB), 3)
# OpenCV 4.11 reads no GIF.
READS_GIF = cv2.imdecode(np.frombuffer(GOOD['gif'][0], np.uint8), 1) is not None
DECODED = [name for name in GOOD if READS_GIF or not name.startswith('gif')]


def chunk(name, content):
    crc = zlib.crc32(name + content)
    return struct.pack('>I', len(content)) + name + content + struct.pack('>I', crc)


def png_of(width, height, content=b''):
    """A PNG file that says it is as large as that."""
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    parts = [(b'IHDR', head), (b'IDAT', zlib.compress(content)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*part) for part in parts)


def jpeg_of(width, height):
    data = GOOD['jpeg'][0]
    size = struct.pack('>HH', 48, 64)
    assert data.count(size) == 1
    return data.replace(size, struct.pack('>HH', height, width))


def cut(name, share=2 / 3):
    data = GOOD[name][0]
    return data[: int(len(data) * share)]


def flipped(name, at):
    data = bytearray(GOOD[name][0])
    data[at] ^= 0xFF
    return bytes(data)


def signed_tiff():
    """The header of a TIFF of 16 bits that says they have a sign."""
    data = save(DEEP, 'TIFF')
    (at,) = struct.unpack_from('<I', data, 4)
    (count,) = struct.unpack_from('<H', data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if struct.unpack_from('<H', data, entry)[0] == 284:  # planes: one anyway
            tag = struct.pack('<HHIHH', 339, 3, 1, 2, 0)
            return data[:entry] + tag + data[entry + 12 :]


# Name: (bytes, kind of the refusal).
BAD = {
    'zeros': (bytes(900), 'no image'),
    'text': (b'this is no image\n' * 9, 'no image'),
    'web_page': (b'\n<!DOCTYPE html><html>404</html>', 'no image'),
    'lfs_pointer': (b'version https://git-lfs.github.com/spec/v1\n', 'no image'),
    'heic': (b'\0\0\0\x1cftypheic' + bytes(90), 'no image'),
    'riff_sound': (b'RIFF\x24\0\0\0WAVEfmt ' + bytes(30), 'no image'),
    'jpeg_cut': (cut('jpeg'), 'cut off'),
    'jpeg_last_bytes': (GOOD['jpeg'][0][:-2], 'cut off'),
    'jpeg_header_only': (GOOD['jpeg'][0][:40], 'cut off'),
    'jpeg_progressive_cut': (cut('jpeg_progressive'), 'cut off'),
    'jpeg_cut_then_zeros': (cut('jpeg') + bytes(400), 'cut off'),
    'png_cut': (cut('RGBA'), 'cut off'),
    'png_last_bytes': (GOOD['RGBA'][0][:-12], 'cut off'),
    'png_flipped': (flipped('RGBA', len(GOOD['RGBA'][0]) // 2), 'damaged'),
    'png_chunk_lies': (
        png_of(64, 48)[:33] + b'\x7f\xff\xff\xff' + png_of(64, 48)[37:],
        'cut off',
    ),
    'gif_cut': (cut('gif'), 'damaged'),
    'webp_cut': (cut('webp_lossy'), 'damaged'),
    'tiff_cut': (cut('tiff'), 'damaged'),
    'bmp_cut': (cut('bmp'), 'damaged'),
    'bomb_png': (png_of(60000, 60000), 'too large'),
    'bomb_jpeg': (jpeg_of(65500, 65500), 'too large'),
    'bomb_gif': (b'GIF89a\xff\xff\xff\xff' + bytes(20), 'too large'),
    'no_size': (png_of(0, 48), 'damaged'),
    'no_pixels': (png_of(64, 48), 'damaged'),
    'float_tiff': (save(SHARE, 'TIFF'), 'no range'),
    'int32_tiff': (save(DEEP.astype(np.int32), 'TIFF'), 'no range'),
    'signed_tiff': (signed_tiff(), 'no range'),
    'pgm_10-bit': (b'P5 64 48 1023\n' + (DEEP // 64).astype('>u2').tobytes(), 'depth'),
}


def read_whole(path):
    """Through the part of the decoder that the fast pipeline uses."""
    return ImageDecoder().load_crop(path, lambda height, width: (0, 0, height, width))


READERS = {
    'reference': lambda path: LoadImage()(dict(img_path=path))['img'],
    'fast': read_whole,
}


@pytest.fixture(params=READERS)
def read(request):
    return READERS[request.param]


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'picture.jpg'


@pytest.mark.parametrize('name', DECODED)
def test_good_images_are_decoded_right(name, read, path):
    """Whatever they are called: all of them end in .jpg."""
    data, rgb, tolerance = GOOD[name]
    path.write_bytes(data)
    img = read(str(path))
    assert img.dtype == np.uint8 and img.ndim == 3 and img.shape[2] == 3
    if rgb is not None:
        assert img.shape == rgb.shape
        assert np.abs(img[..., ::-1] - rgb.astype(float)).mean() <= tolerance
    header = read_header(data)
    assert sorted(header[1:3]) == sorted(img.shape[:2])
    assert (name[:4] in ('jpeg', 'exif') and name != 'exif_png') == (
        header.format == 'JPEG'
    )


@pytest.mark.parametrize('name', DECODED)
def test_pixels_are_those_of_the_stock_loader(name, read, path):
    path.write_bytes(GOOD[name][0])
    theirs = LoadImageFromFile()(dict(img_path=str(path)))
    assert np.array_equal(read(str(path)), theirs['img'])
    ours = LoadImage()(dict(img_path=str(path)))
    assert {k: v for k, v in ours.items() if k != 'img'} == {
        k: v for k, v in theirs.items() if k != 'img'
    }


@pytest.mark.parametrize('name', BAD)
def test_bad_images_are_refused_with_a_reason(name, read, path):
    data, kind = BAD[name]
    path.write_bytes(data)
    with pytest.raises(Refused, match='picture.jpg cannot be read: it') as error:
        read(str(path))
    assert error.value.kind == kind


def make_folder(path):
    path.mkdir()


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    socket.socket(socket.AF_UNIX).bind(str(path))


def make_dead_link(path):
    path.symlink_to('nowhere.jpg')


def make_loop(path):
    path.symlink_to(path)


def make_nothing(path):
    """There is no such file."""


def make_empty(path):
    path.touch()


@pytest.mark.parametrize(
    ('make', 'kind'),
    [
        (make_folder, 'no file'),
        (make_pipe, 'no file'),
        (make_socket, 'unreadable'),
        (make_dead_link, 'missing'),
        (make_loop, 'unreadable'),
        (make_nothing, 'missing'),
        (make_empty, 'empty'),
    ],
)
def test_what_is_no_file_is_refused_at_once(make, kind, read, path, monkeypatch):
    monkeypatch.chdir(path.parent)  # names of sockets must be short
    make(path.relative_to(path.parent) if make is make_socket else path)
    with pytest.raises(Refused, match='picture.jpg cannot be read') as error:
        read(str(path))
    assert error.value.kind == kind


def test_what_may_not_be_read_is_refused(read, path, monkeypatch):
    path.write_bytes(GOOD['jpeg'][0])
    path.chmod(0)
    if os.access(path, os.R_OK):  # as root: the system call itself says no
        monkeypatch.setattr(os, 'open', deny)
    with pytest.raises(Refused, match='Permission denied') as error:
        read(str(path))
    assert error.value.kind == 'unreadable'


def deny(path, flags, *rest):
    raise PermissionError(13, 'Permission denied', path)


def test_a_machine_at_its_end_is_no_fault_of_the_image(path, monkeypatch):
    def open_nothing(path, flags):
        raise OSError(24, 'Too many open files', path)

    monkeypatch.setattr(os, 'open', open_nothing)
    with pytest.raises(OSError, match='Too many open files') as error:
        ImageDecoder().load(str(path))
    assert not isinstance(error.value, Refused)


@pytest.mark.parametrize('name', ['Straße 雪 🐟.jpg', 'two\nlines, "quoted".jpg', None])
def test_any_name_will_do(name, read, tmp_path):
    raw = b'not UTF-8 \xff.jpg' if name is None else name.encode()
    path = os.fsdecode(os.fsencode(tmp_path) + b'/' + raw)
    with open(path, 'wb') as file:
        file.write(GOOD['png'][0])
    assert np.array_equal(read(path), RGB[..., ::-1])


@pytest.mark.parametrize('name', ['1x1', '1x3000', '3000x1'])
def test_a_crop_can_be_cut_from_any_shape(name, path):
    path.write_bytes(GOOD[name][0])
    assert FastMasterCrop(scale=32)(dict(img_path=str(path)))['img'].shape == (
        32,
        32,
        3,
    )


def test_a_range_makes_numbers_grey_levels():
    data, _ = BAD['float_tiff']
    img = ImageDecoder(value_range=(0.25, 0.75)).decode(data)
    expected = np.interp(SHARE, [0.25, 0.75], [0, 255])
    assert np.abs(img - expected[..., None]).max() <= 0.5
    assert (img[0] == 0).all() and (img[-1] == 255).all(), 'clipped'
    signed = ImageDecoder(value_range=(-32768, 32767)).decode(BAD['signed_tiff'][0])
    expected = np.interp(DEEP.astype(np.int16), [-32768, 32767], [0, 255])
    assert np.abs(signed - expected[..., None]).max() <= 0.5


def test_a_range_is_no_help_against_nan():
    data = save(np.where(SHARE > 0.5, np.nan, SHARE), 'TIFF')
    with pytest.raises(Refused, match='NaN'):
        ImageDecoder(value_range=(0, 1)).decode(data)


def test_the_limit_is_the_number_of_pixels(read):
    data = GOOD['jpeg'][0]
    for decode in (
        lambda decoder: decoder.decode(data),
        lambda decoder: decoder._crop(data, lambda height, width: (0, 0, 1, 1)),
    ):
        decode(ImageDecoder(max_pixels=48 * 64))
        with pytest.raises(Refused, match='64 x 48 .* max_pixels=3071'):
            decode(ImageDecoder(max_pixels=48 * 64 - 1))


@pytest.mark.parametrize(
    'arguments',
    [
        dict(max_pixels=0),
        dict(value_range=(1, 1)),
        dict(value_range=(0, float('nan'))),
        dict(value_range=(0, 1, 2)),
    ],
)
def test_impossible_arguments_explain_themselves(arguments):
    with pytest.raises(ValueError, match=f'{next(iter(arguments))}='):
        LoadImage(**arguments)


FILES = [data for data, *_ in [*GOOD.values(), *BAD.values()]]
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=8)), max_size=6
)


@st.composite
def spoilt_files(draw):
    """A file of the lists above, some of its bytes replaced, added or taken away."""
    data = draw(st.sampled_from(FILES))
    for where, removed, added in draw(EDITS):
        at = int(where * len(data))
        data = data[:at] + added + data[at + removed :]
    return data


@given(st.one_of(spoilt_files(), st.binary(max_size=200)), st.booleans())
@settings(deadline=None, max_examples=400)
def test_any_bytes_give_an_image_or_a_refusal(data, part):
    decoder = ImageDecoder(max_pixels=10**5, value_range=(0, 1))
    with contextlib.suppress(Refused):
        if part:
            img = decoder._crop(data, lambda height, width: (0, 0, height, width))
        else:
            img = decoder.decode(data)
        assert img.dtype == np.uint8
        assert img.ndim == 3 and img.shape[2] == 3 and 0 < img.size <= 3 * 10**5
