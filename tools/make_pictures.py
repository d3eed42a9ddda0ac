"""Make the pictures that README and docs show: `make pictures`.

    python tools/make_pictures.py                    # all that can be made
    python tools/make_pictures.py method.svg         # one of them

method.svg and pixel-shift.svg are drawn by code, in seconds; the same commit gives
the same bytes with the same matplotlib. demo.png and monitor.png come from a finished
`make demo`; report.png is a screenshot of its report and needs playwright and a
Chromium besides. What cannot be made is left as it is, and the reason is told.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / 'docs/images'
DEMO = ROOT / 'work_dirs/demo'
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
# Of the screenshot, in CSS pixels: as wide as a README, and what a laptop shows.
SCREEN = dict(width=1100, height=900)


class NotMade(Exception):
    """Why a picture was not made, and what to do about it."""


def method(path: Path, demo: Path) -> None:
    """The figure of the method, from the recipe's config."""
    from pictures_method import draw_method

    draw_method().save(path)


def pixel_shift(path: Path, demo: Path) -> None:
    """What a shift of the target view means."""
    from pictures_shift import draw_shift

    draw_shift().save(path)


def demo_panel(path: Path, demo: Path) -> None:
    """The sheet of pictures that the demo has written."""
    sheet = demo / 'pictures.png'
    if not sheet.is_file():
        raise NotMade(f'there is no {shown(sheet)}; `make demo` comes first')
    shutil.copyfile(sheet, path)


def monitor(path: Path, demo: Path) -> None:
    """What LearningMonitor has drawn of one picture: at first, between, at last."""
    views = drawn(demo, 'monitor_view_2')
    matches = drawn(demo, 'monitor_match_2')
    if not views or not matches:
        raise NotMade(
            f'{shown(demo)} has no pictures of a run; `make demo` comes first'
        )
    chosen = [views[0], views[len(views) // 2], views[-1], matches[-1]]
    rows = [Image.open(file).convert('RGB') for file in chosen]
    gap = 4  # as between the pictures of a row
    height = sum(row.height for row in rows) + gap * (len(rows) - 1)
    sheet = Image.new('RGB', (max(row.width for row in rows), height), 'white')
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + gap
    sheet.save(path)


def drawn(run: Path, name: str) -> list[Path]:
    """Pictures of one name below a run, by their steps."""
    files = run.glob(f'**/vis_data/vis_image/{name}_*.png')
    return sorted(files, key=lambda file: int(file.stem.rsplit('_', 1)[1]))


def report(path: Path, demo: Path) -> None:
    """A screenshot of the demo's report."""
    page = demo / 'report.html'
    if not page.is_file():
        raise NotMade(f'there is no {shown(page)}; `make demo` comes first')
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise NotMade('there is no Chromium on this machine')
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NotMade('playwright is missing (requirements/tests.txt)') from error
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser, args=['--no-sandbox']
        )
        tab = chromium.new_page(viewport=SCREEN)
        tab.goto(page.resolve().as_uri())
        tab.wait_for_load_state('load')
        tab.screenshot(path=path, animations='disabled')
        chromium.close()


PICTURES: dict[str, Callable[[Path, Path], None]] = {
    'method.svg': method,
    'pixel-shift.svg': pixel_shift,
    'demo.png': demo_panel,
    'monitor.png': monitor,
    'report.png': report,
}


def shown(path: Path) -> str:
    """A path as it is told: from the root of the repository, if it is in there."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def main(arguments: list[str] | None = None) -> int:
    """Make what can be made; 1 if a picture that was named could not be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'names', nargs='*', metavar='NAME', help=f'of {", ".join(PICTURES)}'
    )
    parser.add_argument('--out', type=Path, default=IMAGES, help='folder to write to')
    parser.add_argument('--demo', type=Path, default=DEMO, help='of a finished demo')
    args = parser.parse_args(arguments)
    if unknown := set(args.names) - set(PICTURES):
        parser.error(
            f'no picture {", ".join(unknown)}; there are {", ".join(PICTURES)}'
        )

    args.out.mkdir(parents=True, exist_ok=True)
    left_out = False
    for name in args.names or PICTURES:
        try:
            PICTURES[name](args.out / name, args.demo)
        except NotMade as reason:
            left_out = True
            print(f'{name}: left as it is: {reason}')
        else:
            print(f'{name}: {shown(args.out / name)}')
    return int(left_out and bool(args.names))


if __name__ == '__main__':
    sys.exit(main())
