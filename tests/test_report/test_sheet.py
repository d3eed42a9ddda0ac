import re

import numpy as np

from cmae_mm.report import Curve, Panel, Report, Table


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
    assert text.count('data:image/png;base64,') == 2
    assert '<svg' in text and '<?xml' not in text
    # Nothing is loaded from elsewhere.
    for link in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert link.startswith(('data:', '#')), link
