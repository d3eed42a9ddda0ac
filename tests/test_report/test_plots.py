"""Plots drawn by hand."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cmae_mm.report.plots import (
    Curve,
    draw_curve,
    draw_points,
    shorten,
    thin_out,
    ticks,
)


def test_a_line_goes_where_its_numbers_say():
    drawn = ElementTree.fromstring(
        draw_curve(Curve('x', {'': ([0, 5, 10], [1, 3, 2])}))
    )
    points = drawn.find('.//polyline').get('points').split()
    x, y = np.array([p.split(',') for p in points], float).T
    # Equal steps along x; downwards on the page is less.
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.11)
    assert y[1] < y[2] < y[0]
    assert (y[0] - y[2]) == pytest.approx(y[2] - y[1], abs=0.11)
    # The script reads the same numbers.
    data = json.loads(drawn.find('.//svg').get('data-lines'))
    assert data == [dict(name='', x=[0, 5, 10], y=[1, 3, 2])]


def test_no_peak_is_lost_among_many_points():
    x = np.arange(10_000.0)
    y = np.sin(x)
    y[7777], y[1234] = 50.0, -50.0
    few_x, few_y = thin_out(x, y)
    assert len(few_x) <= 302 and (np.diff(few_x) > 0).all()
    assert few_y.max() == 50.0 and few_y.min() == -50.0
    assert few_x[0] == 0 and few_x[-1] == 9999


def test_what_is_not_finite_is_left_out_and_said():
    nan, inf = float('nan'), float('inf')
    drawn = draw_curve(Curve('loss', {'': ([1, 2, 3, 4], [1.0, nan, inf, 2.0])}))
    assert '2 values are not finite' in drawn and 'nan' not in drawn.lower()
    drawn = draw_curve(Curve('loss', {'': ([1], [nan])}))
    assert 'none of its values is finite' in drawn


@pytest.mark.parametrize('values', [[0.5], [0.5, 0.5], [0, 0], [1e-9, 1e9]])
def test_any_range_can_be_drawn(values):
    ElementTree.fromstring(draw_curve(Curve('x', {'': (range(len(values)), values)})))


def test_ticks_are_round_and_inside():
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8]
    assert ticks(0.61, 2.03, 5) == [1.0, 1.5, 2.0]
    assert ticks(1, 300, 4) == [100, 200, 300]


def axis(drawn, along):
    """Words and places of the numbers along x or y."""
    y = '202'  # where the numbers of the x axis stand
    found = [t for t in drawn.iter('text') if (t.get('y') == y) == (along == 'x')]
    return [(t.text, float(t.get('x')), t.get('text-anchor')) for t in found]


def test_the_numbers_of_an_axis_differ():
    drawn = draw_curve(Curve('time', {'': ([1, 2], [0.1572, 0.1581])}))
    words = [text for text, *_ in axis(ElementTree.fromstring(drawn), 'y')]
    assert words == ['0.15725', '0.1575', '0.15775', '0.158']


def test_the_name_of_the_axis_has_room_and_steps_are_whole():
    drawn = draw_curve(Curve('loss', {'': ([0, 30], [1, 2])}, 'iteration'))
    *numbers, name = axis(ElementTree.fromstring(drawn), 'x')
    assert name == ('iteration', 0, None)
    first = numbers[0]
    assert first[0] == '0' and first[1] > 50 and first[2] == 'start'
    drawn = draw_curve(Curve('mAP', {'': ([1], [0.5])}, 'epoch'))
    assert [t for t, *_ in axis(ElementTree.fromstring(drawn), 'x')] == ['1', 'epoch']


@pytest.mark.parametrize(
    ('value', 'short'),
    [(0, '0'), (0.00075, '7.5e-4'), (0.664, '0.664'), (61.23, '61.2')]
    + [(1234, '1234'), (12500, '12.5k'), (3.2e6, '3.2M'), (-0.5, '-0.5')],
)
def test_numbers_are_short(value, short):
    assert shorten(value) == short


def test_names_from_outside_cannot_break_out():
    nasty = '"><script>alert(1)</script>'
    drawn = draw_curve(Curve(nasty, {nasty: ([1, 2], [1, 2])}, xlabel=nasty))
    drawn += draw_points(np.zeros((1, 2)), [0], [nasty], nasty)
    assert '<script' not in drawn
    assert not re.search(r'="[^"]*">alert', drawn)


def test_points_keep_their_order_and_colours():
    places = np.array([[0.0, 0.0], [1.0, 2.0]])
    drawn = ElementTree.fromstring(draw_points(places, [None, 11], ['a', 'b'], 'map'))
    first, second = drawn.iter('circle')
    assert (first.get('class'), second.get('class')) == ('series-none', 'series-1')
    assert float(first.get('cx')) < float(second.get('cx'))
    assert float(first.get('cy')) > float(second.get('cy'))
