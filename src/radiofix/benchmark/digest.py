"""All methods in one table a split: of each figure the number that people ask for first."""

from __future__ import annotations

from collections.abc import Mapping

from radiofix.benchmark.blocks import Table
from radiofix.benchmark.figures import Cell, Figure
from radiofix.benchmark.report import Report
from radiofix.benchmark.runs.protocols import RANDOM
from radiofix.benchmark.runs.subject import Column

Place = tuple[str, float]


def digest(report: Report) -> list[Table]:
    """One table a split, the headline first; none where the bench names no columns."""
    columns = report.subject.digest
    cells = {
        (cell.split, cell.method, (cell.figure, cell.x)): cell
        for figure in report.figures
        for cell in figure.cells
        if (cell.figure, cell.x) in {column.place for column in columns}
    }
    splits = sorted({split for split, _, _ in cells}, key=lambda split: split == RANDOM)
    return [
        _table(report, split, {key[1:]: c for key, c in cells.items() if key[0] == split})
        for split in splits
    ]


def _table(report: Report, split: str, cells: Mapping[tuple[str, Place], Cell]) -> Table:
    subject, names = report.subject, dict.fromkeys(method for method, _ in cells)
    asked = [c for c in subject.digest if any(place == c.place for _, place in cells)]
    rows = []
    for name in names:
        found = [cells.get((name, column.place)) for column in asked]
        rows.append([name, *("" if c is None else f"{c.value:.2f}" for c in found)])
    figures = {figure.name: figure for figure in report.figures}
    for method in subject.methods(report.asked["pretrained"]):
        told = [_printed(figures[column.figure], split, column.x, method.name) for column in asked]
        if any(told):
            rows.append([f"{method.name}, paper", *told])
    away = [
        next((c.nearest_label for (_, place), c in cells.items() if _labelled(c, place, column)), 0)
        for column in asked
    ]
    rows.append(["nearest label [m]", *(f"{metres:.1f}" if metres else "" for metres in away)])
    return Table(f"Split {split}", ["method", *(c.title for c in asked)], rows)


def _labelled(cell: Cell, place: Place, column: Column) -> bool:
    return place == column.place and bool(cell.nearest_label)


def _printed(figure: Figure, split: str, x: float, method: str) -> str:
    """What the paper says of a method, by the same statistic as ours."""
    paper = figure.stated(split, method).get(x)
    return "" if paper is None else str(paper)
