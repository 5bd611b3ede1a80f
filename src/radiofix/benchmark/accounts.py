"""Of a report: what methods cost, and whether their stated covariances are honest."""

from __future__ import annotations

from collections.abc import Sequence

from radiofix.benchmark.blocks import Block, Heading, Table, Text
from radiofix.benchmark.figures import Cell, Figure
from radiofix.benchmark.report import Report

STATED = "Stated for single stations, calibrated on validation users; a table for each figure."
STATED_COLUMNS = ("inside the 90 % ellipse", "NEES (1 is right)", "radius [m]")
COSTS = (
    "Of each method the fastest of its runs, many fixes at a time, on a core that others may have "
    "used too: differences of two are none. A fix is of one link where all stations are asked one "
    "by one. Operations are those of all links of one user."
)
FIXES = ("position", "fusion")
"""Questions whose answers are places."""


def costs(report: Report) -> list[Block]:
    """What methods cost, each where it is asked of the fewest stations."""
    cells: dict[str, list[Cell]] = {}
    for figure in report.figures:
        for cell in figure.cells:
            if cell.outcome.run.lesson.question.name in FIXES:
                cells.setdefault(cell.method, []).append(cell)
    least = {name: _least(each) for name, each in cells.items()}
    learns = any(_learnt(each) for each in least.values())
    rows = [_weighed(name, each, learns) for name, each in least.items()]
    head = ["method", "stations", "parameters [M]", "GFLOP a fix", "ms a fix", "rate of learning"]
    head += ["parameters that learn"] if learns else []
    if not rows:
        return []
    return [Heading("What methods cost", anchor="cost"), Text(COSTS), Table("A fix", head, rows)]


def _weighed(name: str, cells: Sequence[Cell], learns: bool) -> list[str]:
    """A method's row."""
    cost = next((c.outcome.cost for c in cells if c.outcome.cost is not None), None)
    weight = ["", ""]
    if cost is not None:
        weight = [f"{cost.parameters / 1e6:.2f}", f"{cost.flops / 1e9:.3f}"]
    rates = [cell.outcome.run.rate for cell in cells if cell.outcome.run.rate is not None]
    fastest = min(cell.milliseconds for cell in cells)
    told = [*weight, f"{fastest:.2f}", f"{rates[0]:g}" if rates else ""]
    learnt = _learnt(cells)
    return [name, _stations(cells[0]), *told, *([f"{learnt:,}" if learnt else ""] * learns)]


def _least(cells: Sequence[Cell]) -> list[Cell]:
    """Those that were asked of the fewest stations, by name before all that hear a user."""
    fewest = min(_asked(cell) for cell in cells)
    return [cell for cell in cells if _asked(cell) == fewest]


def _asked(cell: Cell) -> tuple[bool, int]:
    stations = cell.outcome.run.lesson.stations
    return not stations, len(stations)


def _stations(cell: Cell) -> str:
    return str(len(cell.outcome.run.lesson.stations) or "all")


def _learnt(cells: Sequence[Cell]) -> int | None:
    """Parameters that learn; without a label nothing does, and what may is told by other runs."""
    counted = [c.outcome.cost.learnt for c in cells if c.outcome.cost is not None]
    return max((count for count in counted if count is not None), default=None)


def honesty(report: Report) -> list[Block]:
    """Whether stated covariances are honest, a table for each figure whose links were asked."""
    tables = []
    for figure in report.figures:
        cells = [cell for cell in figure.cells if cell.calibration is not None]
        if cells:
            axis = [figure.protocol.axis] if figure.curve else []
            head = ["method, split", *axis, *STATED_COLUMNS]
            rows = [_honest(figure, cell) for cell in cells]
            tables.append(Table(f"{figure.name}: {figure.protocol.title}", head, rows))
    if not tables:
        return []
    return [Heading("Stated uncertainty", anchor="calibration"), Text(STATED), *tables]


def _honest(figure: Figure, cell: Cell) -> list[str]:
    assert cell.calibration is not None
    place = [f"{cell.x:,g}"] if figure.curve else []
    held = f"{100 * cell.calibration.held:.1f} %"
    told = [held, f"{cell.calibration.nees:.2f}", f"{cell.calibration.sharpness:.2f}"]
    return [f"{cell.method}, {cell.split}", *place, *told]
