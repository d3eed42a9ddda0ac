"""``cmae report``: everything that is known of a run on one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .blocks import sentence, text
from .examples import example_pictures
from .figures import LOSSES, SCORES, final_figures
from .inside import look_inside
from .lapse import time_lapse
from .lineage import checkpoint_meta, facts_of, lineage_card, now_in_words
from .page import Section, write_page
from .plots import shorten
from .probed import read_probe
from .records import Run, read_run
from .training import training_curves

_FIGURES = 6  # in large type
_FACTS = {'images seen': 'images seen', 'took': 'training time'}


def write_report(
    out: str | Path,
    checkpoint: str | Path | None = None,
    data: str | Path | None = None,
    html: str | Path | None = None,
    compare: Sequence[str | Path] = (),
) -> Path:
    """Write one self-contained page about a run.

    Args:
        out (str | Path): The ``work_dir`` of the run.
        checkpoint (str | Path, optional): Weights to look inside. Defaults to the
            newest whole checkpoint of the run.
        data (str | Path, optional): A folder of pictures to look at. Defaults to
            data of the run itself.
        html (str | Path, optional): The page. Defaults to ``out/report.html``.
        compare (Sequence[str | Path]): ``work_dir`` of runs built on this one, whose
            pictures and results are shown, too; and folders of probes.

    Returns:
        Path: The page.

    Raises:
        FileNotFoundError: If a named folder or file is missing.
        ValueError: If a folder holds no record of a run.
    """
    run = read_run(out)
    found = {folder: read_probe(folder) for folder in compare}
    probes = [probe for probe in found.values() if probe is not None]
    others = [read_run(folder) for folder, probe in found.items() if probe is None]
    checkpoint, data = (Path(p) if p is not None else None for p in (checkpoint, data))
    if checkpoint is not None and not checkpoint.is_file():
        raise FileNotFoundError(
            f'There is no checkpoint {checkpoint} (looked in {Path.cwd()}).'
        )
    if data is not None and not data.is_dir():
        raise FileNotFoundError(f'There is no folder {data} (looked in {Path.cwd()}).')
    facts = facts_of(run, checkpoint_meta(run))
    lead, inside = look_inside(run, checkpoint, data)
    curves = training_curves(run) or sentence('This run recorded no numbers.')
    notes = ''.join(map(sentence, run.notes))
    sections = [
        Section('training', 'Training', notes + curves),
        Section('time-lapse', 'Time-lapse', time_lapse(run)),
        Section('inside', 'Look inside', inside, lead),
    ]
    if examples := example_pictures([run, *others]):
        sections.append(Section('examples', 'Examples', examples))
    lineage = lineage_card(run, others, facts, probes)
    sections.append(Section('lineage', 'Lineage', lineage))
    footer = f'{now_in_words()} It holds small copies of the pictures it shows.'
    path = Path(html) if html is not None else run.folder / 'report.html'
    return write_page(path, run.name, _header(run, facts), sections, footer)


def _header(run: Run, facts: Mapping[str, str]) -> str:
    """Name, when, where, and the final figures in large type."""
    said = [facts.get('began'), facts.get('took'), facts.get('device')]
    lead = ' · '.join(fact for fact in said if fact)
    figures = ''.join(
        f'<div><dt>{text(words)}</dt><dd>{text(value)}</dd></div>'
        for words, value in _figures(run, facts)
    )
    return (
        '<p class="kicker">Report of a run</p>'
        f'<h1>{text(run.name)}</h1><p class="lead">{text(lead)}</p>'
        + (f'<dl class="figures">{figures}</dl>' if figures else '')
    )


def _figures(run: Run, facts: Mapping[str, str]) -> list[tuple[str, str]]:
    """The final figures and words for them, the most telling first."""
    values = final_figures(run, SCORES | LOSSES)
    found = {words: shorten(value) for words, value in values.items()}
    if 'reconstruction loss' in found:
        found.pop('loss', None)  # the sum of those beside it
    items = list(found.items())[: _FIGURES - len(_FACTS)]
    return items + [(w, facts[name]) for name, w in _FACTS.items() if name in facts]
