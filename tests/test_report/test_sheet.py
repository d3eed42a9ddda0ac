"""Pages made by hand."""

import base64
import hashlib
import io
import re

import numpy as np
from PIL import Image

from cmae_mm.report import Curve, Panel, Report, Table
from cmae_mm.report.encoding import data_url, shrink, thumbnail


def test_page_is_self_contained_and_complete(tmp_path):
    image = np.full((4, 6, 3), 200, np.uint8)
    page = Report(
        title='A <run>',
        lead='one & two',
        tables=[('Numbers', '', Table(['', 'a', 'b'], [['x', 1.0, 2.5]], best='max'))],
        curves=[Curve('loss', {'r': ([1, 2], [3.0, 2.0]), 's': ([1, 2], [3.0, 1.0])})],
        panels=[Panel('Pictures', 'seen', ['in', 'out'], [[image, image]])],
        facts={'seed': '0'},
    ).write(tmp_path / 'deep/report.html')
    text = page.read_text()
    assert 'A &lt;run&gt;' in text and 'one &amp; two' in text
    assert '<td class="number best">2.50</td>' in text
    assert text.count('src="data:image/') == 2
    assert '<svg' in text and '<?xml' not in text
    # Nothing is loaded from elsewhere.
    for link in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert link.startswith(('data:', '#')), link
    assert f'One file of {len(text.encode()) / 1000:.0f} kB' in text


def test_the_policy_allows_our_style_and_script_and_nothing_else(tmp_path):
    text = Report('a', 'b').write(tmp_path / 'a.html').read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    rules = dict(rule.split(' ', 1) for rule in policy.split('; '))
    assert rules['default-src'] == "'none'" and rules['img-src'] == 'data:'
    for tag in ('style', 'script'):
        content = re.search(rf'<{tag}>(.*?)</{tag}>', text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f'{tag}-src'] == f"'sha256-{digest}'"
    # Neither of them would be allowed.
    assert not re.search(r'<[^>]+\s(style|on\w+)=', text)


def test_pictures_are_light_and_true():
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    flat = np.full((64, 64, 3), 77, np.uint8)
    for picture in (image, flat):
        kind, content = data_url(picture, quality=100).split(';base64,')
        assert kind in ('data:image/png', 'data:image/webp', 'data:image/jpeg')
        read = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
        assert np.abs(read[..., :3].astype(int) - picture).mean() < 40
    assert shrink(np.zeros((100, 50, 3), np.uint8), 20).shape == (20, 10, 3)
    assert shrink(image, 20) is image
    assert thumbnail(np.zeros((10, 30, 3), np.uint8), 5).shape == (5, 5, 3)
