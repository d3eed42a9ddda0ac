"""The pictures of README and docs are what the code draws."""

import base64
import io
import re
import shutil
import sys
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / 'docs/images'
MODULES = ['make_pictures', 'pictures_canvas', 'pictures_views']
MODULES += ['pictures_method', 'pictures_shift']


@pytest.fixture(scope='module')
def tools():
    """The modules of tools/ can be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'tools'))
        yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope='module')
def sheets(tools):
    """Both figures, drawn."""
    from pictures_method import draw_method
    from pictures_shift import draw_shift

    return {'method.svg': draw_method(), 'pixel-shift.svg': draw_shift()}


def labels(svg):
    return re.findall(r'<!-- (.*?) -->', svg, re.S)


def pictures(svg):
    """The pictures in a figure, as arrays."""
    found = re.findall(r'"data:image/png;base64,\s*(.*?)"', svg, re.S)
    files = [io.BytesIO(base64.b64decode(data)) for data in found]
    return [np.asarray(Image.open(file).convert('RGB'), float) for file in files]


def drawing(svg):
    """A figure without its pictures, which depend on more libraries."""
    svg = re.sub(r'"data:image/png;base64,.*?"', '""', svg, flags=re.S)
    return re.sub(r'image[0-9a-f]{10}', '', svg)


@pytest.mark.parametrize('name', ['method.svg', 'pixel-shift.svg'])
def test_the_figure_is_what_the_code_draws(sheets, name, tmp_path):
    sheets[name].save(tmp_path / 'a.svg')
    sheets[name].save(tmp_path / 'b.svg')
    drawn = (tmp_path / 'a.svg').read_text()
    assert drawn == (tmp_path / 'b.svg').read_text()
    assert 'dc:date' not in drawn
    kept = (IMAGES / name).read_text()
    hint = f'`make pictures ARGS={name}` draws it anew'
    assert labels(kept) == labels(drawn), hint
    for old, new in zip(pictures(kept), pictures(drawn), strict=True):
        assert np.abs(old - new).mean() < 4, hint
    if f'Matplotlib v{matplotlib.__version__},' in kept:
        assert drawing(kept) == drawing(drawn), hint


@pytest.mark.parametrize('name', ['method.svg', 'pixel-shift.svg'])
def test_words_stay_on_the_sheet_and_apart(sheets, name):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = sheets[name].figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    words = [text for text in sheets[name].axes.texts if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in words]
    assert len(boxes) > 6
    for text, box in zip(words, boxes, strict=True):
        assert figure.bbox.x0 + 10 < box.x0 < box.x1 < figure.bbox.x1 - 10, text
        assert figure.bbox.y0 + 10 < box.y0 < box.y1 < figure.bbox.y1 - 10, text
    for one, other in combinations(range(len(boxes)), 2):
        # The room for a line is a little larger than its letters.
        apart = not boxes[one].padded(-2).overlaps(boxes[other].padded(-2))
        assert apart, (words[one], words[other])


def test_the_shapes_are_those_of_the_paper_s_vit_b():
    said = ' '.join(labels((IMAGES / 'method.svg').read_text()))
    for shape in ('3 × 256 × 256', '3 × 224 × 224', '69 × 768', '128 × 768'):
        assert f'{shape}' in said
    for words in ('65 %', '68 of 196', '8 blocks', '2 blocks', '768 – 1536 – 256'):
        assert words in said
    assert 'τ = 0.07' in said and '0.996' in said and '0.14' in said


def test_the_views_are_those_of_the_recipe(tools):
    from pictures_views import make_views, read_recipe

    views = make_views(read_recipe())
    assert views.master.shape == (256, 256, 3)
    assert np.array_equal(views.online, views.master[:224, :224])
    down, right = views.offset
    uncoloured = views.master[down : down + 224, right : right + 224]
    assert views.target.shape == uncoloured.shape
    assert not np.array_equal(views.target, uncoloured)
    # 128 of 196 patches are blank here, and the 68 others there.
    blank = round(0.92 * 255)
    for picture, patches in ((views.visible, 128), (views.wanted, 68)):
        cells = (picture == blank).reshape(14, 16, 14, 16, 3).all(axis=(1, 3, 4))
        assert cells.sum() == patches
    shown = (views.visible != blank).any(-1)
    assert np.array_equal(views.visible[shown], views.online[shown])


@pytest.mark.parametrize('shift', [(0, 0), (3, 7), (31, 31)])
def test_what_both_views_see(tools, shift):
    from pictures_shift import seen_by_both, tint

    seen = np.zeros((256, 256), int)
    seen[:224, :224] += 1
    seen[shift[0] : shift[0] + 224, shift[1] : shift[1] + 224] += 1
    assert seen_by_both(shift, 224) == pytest.approx((seen == 2).sum() / 224**2)
    master = np.full((256, 256, 3), 100, np.uint8)
    as_it_is = (tint(master, shift, 224) == 100).all(-1)
    assert np.array_equal(as_it_is, seen == 2)


def test_without_a_demo_its_pictures_are_left_as_they_are(tools, tmp_path, capsys):
    from make_pictures import main

    arguments = ['--out', str(tmp_path / 'out'), '--demo', str(tmp_path / 'demo')]
    assert main(['demo.png', 'report.png', *arguments]) == 1
    said = capsys.readouterr().out
    assert said.count('`make demo` comes first') == 2
    assert not list((tmp_path / 'out').iterdir())
    (tmp_path / 'demo').mkdir()
    (tmp_path / 'demo/pictures.png').write_bytes(b'a sheet')
    assert main(['demo.png', *arguments]) == 0
    assert (tmp_path / 'out/demo.png').read_bytes() == b'a sheet'


@pytest.mark.slow
def test_the_report_is_photographed(tools, tmp_path):
    pytest.importorskip('playwright')
    from make_pictures import BROWSERS, main

    if not any(map(shutil.which, BROWSERS)):
        pytest.skip('no Chromium')
    (tmp_path / 'report.html').write_text('<body style="background: #f00">')
    assert main(['report.png', '--out', str(tmp_path), '--demo', str(tmp_path)]) == 0
    shot = np.asarray(Image.open(tmp_path / 'report.png').convert('RGB'))
    assert shot.shape == (900, 1100, 3)
    assert (shot == (255, 0, 0)).all()


def test_rows_of_the_monitor_are_put_below_each_other(tools, tmp_path):
    from make_pictures import main

    record = tmp_path / 'pretrain/20260101_000000/vis_data/vis_image'
    record.mkdir(parents=True)
    for step, colour in ((0, 'red'), (9, 'lime'), (10, 'blue')):
        Image.new('RGB', (8, 2), colour).save(record / f'monitor_view_2_{step}.png')
    Image.new('RGB', (8, 4)).save(record / 'monitor_match_2_10.png')
    assert main(['monitor.png', '--out', str(tmp_path), '--demo', str(tmp_path)]) == 0
    sheet = Image.open(tmp_path / 'monitor.png')
    assert sheet.size == (8, 2 + 4 + 2 + 4 + 2 + 4 + 4)
    colours = [sheet.getpixel((0, row)) for row in (0, 6, 12, 18)]
    assert colours == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]
    assert main(['monitor.png', '--out', str(tmp_path), '--demo', 'no']) == 1


def test_a_picture_that_nobody_makes_is_refused(tools, tmp_path, capsys):
    from make_pictures import main

    with pytest.raises(SystemExit, match='2'):
        main(['methods.svg', '--out', str(tmp_path)])
    assert 'no picture methods.svg; there are method.svg' in capsys.readouterr().err


def test_every_picture_shown_can_be_made(tools):
    from make_pictures import PICTURES

    shown = set()
    for document in [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]:
        shown |= set(
            re.findall(r'images/([\w-]+\.(?:png|svg))', document.read_text('utf-8'))
        )
    assert shown <= set(PICTURES)
