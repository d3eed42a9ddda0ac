"""Accuracies of a probe beside a run."""

import json
import re

import pytest

from cmae_mm.report import write_report
from cmae_mm.report.probed import read_probe
from cmae_mm.report.records import read_run


@pytest.fixture
def probed(tmp_path):
    """A folder as cmae probe leaves it."""
    folder = tmp_path / 'probe <cats>'
    folder.mkdir()
    results = dict(
        top1={
            'pre-trained': dict(knn=35.83, linear=43.5),
            'raw pixels': dict(knn=32.333),
            'chance': dict(always_the_largest_class=10.0),
        },
        checkpoint='run/epoch_1.pth',
        data='/data/<cats>',
        split='train and val',
        classes=10,
        images=dict(train=200, val=60),
    )
    (folder / 'results.json').write_text(json.dumps(results))
    (folder / 'config.py').write_text('test_cfg = dict()')
    return folder


def test_its_figures_stand_in_the_lineage_of_the_run(resumed, probed):
    page = write_report(resumed, compare=[probed]).read_text()
    card = page[page.index('<h3>Probe: probe &lt;cats&gt;</h3>') :]
    rows = re.findall(r'<tr><th scope="row">([^<]*)</th>((?:<td>[^<]*</td>)*)', card)
    assert [(name, re.findall('<td>([^<]*)', cells)) for name, cells in rows] == [
        ('pre-trained', ['35.8', '43.5']),
        ('raw pixels', ['32.3', '']),
        ('chance', ['10.0', '10.0']),
    ]
    assert (
        'Frozen features of run/epoch_1.pth on /data/&lt;cats&gt;: 200 images' in card
    )


def test_other_folders_are_no_probes(resumed, tmp_path):
    assert read_probe(resumed) is None and read_probe(tmp_path / 'nowhere') is None
    for text in ('{"mIoU": 3.0}', '[1]', 'damaged', '{"top1": 3}'):
        (resumed / 'results.json').write_text(text)
        assert read_probe(resumed) is None
    assert write_report(resumed, compare=[resumed]).is_file()


def test_a_probe_alone_is_no_run(probed):
    with pytest.raises(ValueError, match='is no run, .* behind --compare'):
        read_run(probed)
