"""The page of a run: what is on it, and what is left out with a word."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from cmae_mm.report import write_report
from cmae_mm.report.inside import look_inside
from cmae_mm.report.lapse import count_tiles, time_lapse
from cmae_mm.report.records import read_run
from cmae_mm.report.samples import choose_samples
from cmae_mm.report.trained import load_config
from cmae_mm.report.training import GROUPS, group_curves, group_of


def headings(page):
    return re.findall(r'<h[123]>([^<]*)</h[123]>', page)


def test_a_whole_run_has_every_section(trained):
    page = write_report(trained).read_text()
    wanted = ['toy', 'Training', 'Losses', 'Time-lapse', 'What the model rebuilds']
    wanted += ['Reconstructions', 'Attention and features', 'Map of the pictures']
    wanted += ['Nearest neighbours', 'Examples', 'Lineage']
    assert [h for h in dict.fromkeys(headings(page)) if h in wanted] == wanted
    assert 'There is no' not in page and 'left out' not in page
    assert 'epoch_1.pth look at 8 of the 8 pictures of its test data' in page
    assert {'>ant<', '>bee<'} <= set(re.findall('>(?:ant|bee)<', page))
    every = re.findall(r'<img[^>]*>', page)
    assert len(every) > 20
    assert all(re.search(r'alt="[^"]+"', tag) and 'src="data:' in tag for tag in every)
    assert set(re.findall(r' (?:src|href)="(.{5})', page)) >= {'data:'}
    assert not re.search(r' (?:src|href)="(?!data:|#)', page)


def test_every_tag_is_closed(trained):
    open_tags = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ('meta', 'link', 'img', 'input'):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Checker().feed(write_report(trained).read_text())
    assert not open_tags


def test_other_pictures_take_their_classes_from_folders(trained, tmp_path):
    for name in ('cat', 'dog'):
        (tmp_path / 'own' / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.full((30 + i, 20, 3), 60 * i, np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'own' / name / f'{i}.png')
    cfg = load_config(read_run(trained))
    samples = choose_samples(cfg, (16, 16), tmp_path / 'own')
    assert samples.images.shape == (6, 3, 16, 16)
    assert samples.labels == [0, 0, 0, 1, 1, 1] and samples.classes == ['cat', 'dog']
    Image.new('RGB', (20, 20)).save(tmp_path / 'own' / 'zebra.png')
    samples = choose_samples(cfg, (16, 16), tmp_path / 'own')
    assert set(samples.labels) == {None} and samples.name(0) == 'picture 1'


@pytest.mark.parametrize('missing', ['checkpoint', 'data', 'config', 'architecture'])
def test_without_one_thing_the_rest_is_there(trained, tmp_path, missing):
    config = trained / '20260101_100000/vis_data/config.py'
    if missing == 'checkpoint':
        (trained / 'epoch_1.pth').write_bytes(b'damaged')
        why = 'holds no whole checkpoint'
    elif missing == 'data':
        (tmp_path / 'data').rename(tmp_path / 'elsewhere')
        why = 'Name others with --data'
    elif missing == 'config':
        config.write_text('this is not <python>')
        why = 'the config config.py cannot be read'
    else:
        model = dict(
            type='ImageClassifier',
            backbone=dict(type='ResNet', depth=18),
            head=dict(type='ClsHead'),
        )
        config.write_text(f'model = {model}')
        why = 'this run trains the model ImageClassifier'
    page = write_report(trained).read_text()
    assert 'There is no look inside: ' in page and why in page
    assert '<python>' not in page
    assert {'Losses', 'Time-lapse', 'Lineage'} <= set(headings(page))


def test_weights_that_do_not_fit_are_no_crash(trained):
    checkpoint = torch.load(trained / 'epoch_1.pth')
    del checkpoint['state_dict']['backbone.cls_token']
    torch.save(checkpoint, trained / 'epoch_1.pth')
    lead, said = look_inside(read_run(trained))
    assert 'do not fit' in said and 'cls_token' in said and not lead


def test_a_run_with_nothing_but_a_folder(tmp_path, write_part):
    write_part(tmp_path / 'a', '20260101_100000')
    page = write_report(tmp_path / 'a').read_text()
    for said in ('recorded no numbers', 'no time-lapse', 'no look inside'):
        assert said in page


def test_names_from_outside_are_escaped(tmp_path, write_part):
    nasty = '<img src=x onerror=alert(1)>'
    records = [{nasty: 1.0, 'iter': 1}, {nasty: 2.0, 'iter': 2}]
    pictures = ['monitor_<q>_0_2', 'val_<i>&.jpg_2']
    write_part(tmp_path / '<u>', '20260101_100000', records, pictures)
    page = write_report(tmp_path / '<u>', html=tmp_path / 'a.html').read_text()
    for tag in ('<img src=x', '<q>', '<i>', '<u>'):
        assert tag not in page
    assert '&lt;img src=x onerror' in page and 'val_&lt;i&gt;&amp;.jpg' in page


def test_pictures_of_other_runs_are_shown_but_not_those_of_their_monitor(
    resumed, tmp_path, steps, write_part
):
    other = tmp_path / 'segment'
    names = ['val_street.jpg_600', 'val_street.jpg_300', 'monitor_view_0_9']
    write_part(other, '20260105_100000', steps(1, 2), names)
    page = write_report(resumed, compare=[other]).read_text()
    assert '<h3>segment</h3>' in page
    assert 'val_street.jpg, step 600' in page and 'step 300' in page
    assert 'step 9<' not in page


def test_what_segment_and_detect_have_drawn_is_shown(
    resumed, tmp_path, steps, write_part
):
    # They write a sheet beside the checkpoints, and nothing through the visualizer.
    other = tmp_path / 'beside' / 'segment'
    write_part(other, '20260105_100000', steps(1, 2))
    assert '<h2>Examples</h2>' not in write_report(resumed, compare=[other]).read_text()
    Image.new('RGB', (972, 300), 'red').save(other / 'examples.png')
    said = 'image, truth and what was found'
    for options in (dict(out=other), dict(out=resumed, compare=[other])):
        page = write_report(**options).read_text()
        examples = page[page.index('<h2>Examples</h2>') :]
        assert examples.count(f'<figcaption>{said}') == 1
        assert '<h3>segment</h3>' in examples and 'width="972"' in examples
    (other / 'examples.png').write_bytes(b'no picture')
    page = write_report(other).read_text()
    assert '1 damaged pictures are left out' in page and said not in page


def test_damaged_pictures_are_left_out(resumed):
    for file in resumed.rglob('monitor_view_0_6.png'):
        file.write_bytes(b'no picture')
    said = time_lapse(read_run(resumed))
    assert '1 damaged pictures are left out' in said
    assert re.findall(r'data-step="(\d+)"', said) == ['2', '4', '8']
    for file in resumed.rglob('*.png'):
        file.write_bytes(b'')
    assert 'its pictures are damaged' in time_lapse(read_run(resumed))


def test_a_long_film_keeps_its_ends(tmp_path, steps, write_part):
    names = [f'monitor_view_0_{i}' for i in range(1, 101)]
    write_part(tmp_path, '20260101_100000', steps(1, 2), names)
    shown = re.findall(r'data-step="(\d+)"', time_lapse(read_run(tmp_path)))
    assert len(shown) == 20 and shown[0] == '1' and shown[-1] == '100'


def test_numbers_find_their_group(resumed):
    assert group_of('decode.loss_ce') == 'Losses'
    assert group_of('monitor/knn_top1') == 'Accuracy and results'
    assert group_of('coco/bbox_mAP') == 'Accuracy and results'
    assert group_of('rank_encoder').startswith('Features')
    assert group_of('lr').startswith('Learning rate')
    assert group_of('data_time').startswith('Speed')
    assert group_of('whatever') == 'Others'
    one = read_run(resumed).series['loss']
    both = dict(spread_encoder=one, spread_target=one, base_lr=one, lr=one)
    groups = group_curves(both)
    assert [list(c.lines) for c in groups['Learning rate and schedule']] == [['']]
    (spread,) = groups['Features, and what would tell of a collapse']
    assert list(spread.lines) == ['encoder', 'target']
    names = ('match_accuracy', 'match_chance', 'gradient_share_contrastive')
    groups = group_curves({f'monitor/{name}': one for name in names})
    lines = {curve.title: list(curve.lines) for curve in next(iter(groups.values()))}
    assert lines == {
        'Patches found again, share (monitor)': ['accuracy', 'chance'],
        "Share of the encoder's gradient (monitor)": ['contrastive'],
    }


def test_precisions_share_a_plot_and_classes_are_a_list(tmp_path, steps, write_part):
    found = {'coco/bbox_mAP': 0.3, 'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP_l': -1.0}
    found |= {'mIoU': 40.0, 'IoU/<road>': 61.26, 'IoU/sky': 18.0}
    write_part(tmp_path, '20260101_100000', [*steps(1, 2), found | dict(step=2)])
    run = read_run(tmp_path)
    curves = {curve.title: curve for curve in group_curves(run.series)[GROUPS[1]]}
    assert list(curves) == ['mIoU, %', 'Box AP, share']
    # Of large objects there are none.
    assert list(curves['Box AP, share'].lines) == ['all', '50']
    page = write_report(tmp_path).read_text()
    classes = page[page.index('<h3>IoU of the classes at the end, %</h3>') :]
    assert '<dt>&lt;road&gt;</dt><dd>61.3</dd>' in classes and '<dt>sky</dt>' in classes


def test_labels_stand_above_as_many_pictures_as_there_are():
    tile, gap = np.zeros((8, 8, 3), np.uint8), np.full((8, 4, 3), 255, np.uint8)
    three = [tile, gap, tile, gap, tile]
    assert count_tiles(np.concatenate(three, axis=1)) == 3
    assert count_tiles(np.concatenate([*three, gap, tile], axis=1)) == 4
    assert count_tiles(np.zeros((8, 32, 3), np.uint8)) == 4


@pytest.mark.parametrize(
    ('records', 'figures'),
    [
        (dict(loss=3.0, loss_reconstruction=1.0), ['reconstruction loss', '1']),
        (
            {'loss': 3.0, 'accuracy/top1': 70.0},
            ['top-1 accuracy, %', '70', 'loss', '3'],
        ),
        ({'coco/bbox_mAP': 0.235}, ['box AP, %', '23.5']),
    ],
)
def test_final_figures_in_large_type(tmp_path, records, figures, write_part):
    write_part(tmp_path, '20260101_100000', [records | dict(iter=1)])
    page = write_report(tmp_path).read_text()
    head = page[page.index('<header>') : page.index('</header>')]
    assert re.findall(r'<d[td]>([^<]*)<', head) == figures
