"""The page in a real browser: quiet, alone, usable by keyboard, fit for a phone."""

import json
import shutil

import pytest

from cmae_mm.report import write_report

BROWSER = shutil.which('chromium') or shutil.which('chromium-browser')

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def browser():
    """Debian's Chromium, steered by playwright."""
    reason = 'needs playwright (pip install playwright) to steer a browser'
    playwright = pytest.importorskip('playwright.sync_api', reason=reason)
    if BROWSER is None:
        pytest.skip('needs Chromium (apt install chromium) in the PATH')
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=BROWSER, args=['--no-sandbox']
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, trained):
    """Open the report of the toy run; the page, and what it said and asked for."""
    address = write_report(trained).as_uri()
    contexts = []

    def open_page(width=1280, scheme='light', **options):
        context = browser.new_context(
            viewport=dict(width=width, height=844), color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        said, asked = [], []
        page.on('console', lambda message: said.append(message.text))
        page.on('pageerror', lambda error: said.append(str(error)))
        page.on('request', lambda request: asked.append(request.url))
        page.goto(address)
        return page, said, [url for url in asked if not url.startswith('data:')]

    yield open_page
    for context in contexts:
        context.close()


def tab_to(page, selector):
    """Press Tab until an element has the focus."""
    for _ in range(60):
        page.keyboard.press('Tab')
        if page.evaluate(f"document.activeElement.matches('{selector}')"):
            return
    raise AssertionError(f'Tab does not reach {selector}.')


def shown_steps(page):
    """Steps of the pictures of the time-lapse that can be seen."""
    figures = page.locator('.sequence figure:visible')
    return [int(f.get_attribute('data-step')) for f in figures.all()]


def test_quiet_alone_and_fit_for_every_screen(visit):
    for width in (390, 1280):
        for scheme in ('light', 'dark'):
            page, said, asked = visit(width, scheme)
            assert not said and len(asked) == 1 and asked[0].startswith('file://')
            wide = 'document.documentElement.scrollWidth > window.innerWidth'
            assert not page.evaluate(wide)
            broken = '[...document.images].filter(i => !i.naturalWidth).length'
            assert page.evaluate(broken) == 0
            paper = page.evaluate('getComputedStyle(document.body).backgroundColor')
            light = sum(map(int, paper.strip('rgb()').split(','))) > 3 * 128
            assert light == (scheme == 'light')


def test_long_paths_do_not_widen_the_page_of_a_phone(browser, trained, tmp_path):
    long = '/' + 'a' * 90 + '/epoch_1.pth'
    results = dict(top1={'pre-trained': dict(knn=1.0)}, checkpoint=long, data=long)
    (tmp_path / 'probe').mkdir()
    (tmp_path / 'probe/results.json').write_text(json.dumps(results))
    page = browser.new_page(viewport=dict(width=390, height=844))
    page.goto(write_report(trained, compare=[tmp_path / 'probe']).as_uri())
    assert page.locator('h3', has_text='Probe').count() == 1
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    page.close()


def test_the_policy_would_stop_a_request(visit):
    page, said, _ = visit()
    assert page.evaluate(
        "fetch('http://127.0.0.1:9/').then(() => 'left', () => 'stopped')"
    ) == ('stopped')
    assert any('Content Security Policy' in line for line in said)


def test_the_time_lapse_by_keyboard(visit):
    page, said, _ = visit()
    assert shown_steps(page) == [4, 4]
    tab_to(page, '.play')
    tab_to(page, '.controls input')
    page.keyboard.press('ArrowLeft')
    # The match was drawn at step 4 only.
    assert shown_steps(page) == [2, 4]
    assert page.locator('.controls output').inner_text() == 'step 2'
    page.keyboard.press('End')
    assert shown_steps(page) == [4, 4]
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.keyboard.press('Shift+Tab')
    page.keyboard.press('Enter')
    assert page.locator('.play').inner_text() == 'Pause' and shown_steps(page) == [2, 4]
    page.clock.run_for(600)
    assert page.locator('.play').inner_text() == 'Play' and shown_steps(page) == [4, 4]
    assert not said


def test_curves_and_map_answer_to_keyboard_and_pointer(visit):
    page, said, _ = visit()
    tab_to(page, '.plot')
    tip = page.locator('.curve').first.locator('.tip')
    assert 'iteration 4' in tip.inner_text()
    page.keyboard.press('Home')
    assert tip.inner_text().split('\n') == ['iteration 1', '1']
    page.keyboard.press('Escape')
    assert tip.is_hidden()
    page.locator('.plot').first.hover()
    assert tip.is_visible()
    tab_to(page, '.scatter')
    names = []
    for key in ('Home', 'End'):
        page.keyboard.press(key)
        crop = page.locator('.look svg').get_attribute('viewBox')
        names.append((crop, page.locator('.look p').inner_text()))
    assert names[0][0] != names[1][0]
    assert {name for _, name in names} <= {'ant', 'bee'} and not said


def test_without_scripts_everything_is_there(visit):
    page, _, _ = visit(java_script_enabled=False)
    assert page.locator('.sequence figure:visible').count() == 3
    assert page.locator('.controls:visible').count() == 0
    assert page.locator('.plot polyline').first.is_visible()
