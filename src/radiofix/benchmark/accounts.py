"""Of a report: what methods cost, and whether their stated covariances are honest."""

from __future__ import annotations

from radiofix.benchmark.blocks import Block, Heading, Table, Text
from radiofix.benchmark.figures import Cell
from radiofix.benchmark.report import Report

STATED = "Stated for single stations, calibrated on validation users; a table for each figure."


def costs(report: Report) -> list[Block]:
    """What methods cost."""
    cells = [cell for figure in report.figures if not figure.curve for cell in figure.cells]
    costs: dict[str, Cell] = {}
    learnt: dict[str, int] = {}
    for cell in cells:
        costs.setdefault(cell.method, cell)
        # Without a label nothing learns: what may is told by the other runs.
        if cell.outcome.cost is not None and cell.outcome.cost.learnt is not None:
            most = max(learnt.get(cell.method, 0), cell.outcome.cost.learnt)
            learnt[cell.method] = most
    rows = []
    for name, cell in costs.items():
        cost, rate = cell.outcome.cost, cell.outcome.run.rate
        weight = ["", ""]
        if cost is not None:
            weight = [f"{cost.parameters / 1e6:.2f}", f"{cost.flops / 1e9:.3f}"]
        changed = [f"{learnt[name]:,}" if name in learnt else ""] if learnt else []
        told = [*weight, f"{cell.milliseconds:.2f}", "" if rate is None else f"{rate:g}"]
        rows.append([name, *told, *changed])
    head = ["method", "parameters [M]", "GFLOP a fix", "ms a fix", "rate of learning"]
    head += ["parameters that learn"] if learnt else []
    blocks: list[Block] = []
    if rows:
        blocks += [Heading("What methods cost", anchor="cost")]
        blocks += [Table("As run here for one station, many fixes at a time", head, rows)]
    return blocks


def honesty(report: Report) -> list[Block]:
    """Whether stated covariances are honest, a table for each figure whose links were asked."""
    tables = []
    head = ["method, split", "inside the 90 % ellipse", "NEES (1 is right)", "radius [m]"]
    for figure in report.figures:
        rows = [
            [
                f"{cell.method}, {cell.split}",
                f"{100 * cell.calibration.held:.1f} %",
                f"{cell.calibration.nees:.2f}",
                f"{cell.calibration.sharpness:.2f}",
            ]
            for cell in figure.cells
            if not figure.curve and cell.calibration is not None
        ]
        if rows:
            tables.append(Table(f"{figure.name}: {figure.protocol.title}", head, rows))
    if not tables:
        return []
    return [Heading("Stated uncertainty", anchor="calibration"), Text(STATED), *tables]
