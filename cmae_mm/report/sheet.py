"""A page made by hand: tables, curves, pictures, facts. `make demo` writes one."""

from dataclasses import dataclass, field
from pathlib import Path

from .blocks import Panel, Table, panel, table, text
from .page import Section, write_page
from .plots import Curve, draw_curve


@dataclass
class Report:
    """All that stands on the page, in this order.

    Args:
        title (str): Heading.
        lead (str): A sentence or two below it.
        tables (list[tuple[str, str, Table]]): Heading, caption and numbers.
        curves (list[Curve]): Curves of the training.
        panels (list[Panel]): Pictures.
        facts (dict[str, str]): Commands, versions, seeds: how to do it again.
    """

    title: str
    lead: str
    tables: list[tuple[str, str, Table]] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def write(self, path: str | Path) -> Path:
        """Write the page.

        Args:
            path (str | Path): The HTML file; its folder is made if need be.

        Returns:
            Path: The file.
        """
        sections = [
            Section(f'table-{i}', title, table(numbers), caption)
            for i, (title, caption, numbers) in enumerate(self.tables)
        ]
        if self.curves:
            drawn = ''.join(map(draw_curve, self.curves))
            body = f'<div class="curves">{drawn}</div>'
            sections.append(Section('training', 'Training', body))
        sections += [
            Section(f'pictures-{i}', p.title, panel(p), p.caption)
            for i, p in enumerate(self.panels)
        ]
        if self.facts:
            facts = Table(['', ''], [[k, v] for k, v in self.facts.items()])
            sections.append(Section('again', 'How to do it again', table(facts)))
        header = f'<h1>{text(self.title)}</h1><p class="lead">{text(self.lead)}</p>'
        return write_page(path, self.title, header, sections)
