"""The pages of a report: the same blocks as Markdown and as one HTML file that needs no other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from statistics import median

from radiofix.benchmark.accounts import costs, honesty
from radiofix.benchmark.blocks import Block, Bullets, Code, Heading, Picture, Table, Text
from radiofix.benchmark.contrasts import contrast
from radiofix.benchmark.digest import digest
from radiofix.benchmark.figures import NEXT_TO_NOTHING, Cell, Figure
from radiofix.benchmark.lwlm.limit import LIMIT, SURVEY
from radiofix.benchmark.metrics import FAR
from radiofix.benchmark.rates import rates
from radiofix.benchmark.report import Report
from radiofix.benchmark.runs.outcomes import Outcome
from radiofix.benchmark.runs.printed import Printed
from radiofix.benchmark.runs.protocols import RANDOM

LIMITED = (
    "The limit is the posterior mean over all users of the store, the one who asks among them. It "
    "knows their channels without noise, and the noise, but not the common phase: what noise alone "
    "leaves, 0 where no neighbour is taken for another. The survey is the same without the user's "
    "own place: what labels at every other place would leave. Both are worked out for some of the "
    f"test users; of less than {NEXT_TO_NOTHING:g} m no multiples are told."
)
RATIOS: Mapping[str, Callable[[Cell], float | None]] = {
    LIMIT: lambda cell: cell.ratio,
    SURVEY: lambda cell: cell.survey_ratio,
}
INTERVALS = (
    "In brackets: 95 % of the values when seeds and users are drawn again, on the split region "
    "whole squares of users, who err alike: there are few of them, for which the interval is "
    "widened as Student's t is; where several stations are asked one by one, whole stations; of "
    "five cities or more, whole cities. Far: errors over 50 m or 90°, mostly places or directions "
    "mirrored up or down the street; mean near: the mean of the others; u: "
    "sin(zenith) sin(azimuth - yaw), which is what a line array measures."
)
CONTRASTED = (
    "Differences are of the same test users and the same seeds, errors of the other method less "
    "those of the one that the figure is about; seeds and users, or what else is drawn for the "
    "brackets, are drawn again for the interval. "
    "Better and worse are said where the interval leaves 0 out."
)
Read = Callable[[Cell], str | None]
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
  max-width: 72rem; margin: 0 auto; padding: 1.5rem; }
p, li { max-width: 46rem; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { font-size: 1.25rem; margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
nav ul { columns: 2 20rem; padding-left: 1.2rem; }
nav a { color: #0072b2; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #e3e0da; }
th[scope=row], thead th:first-child { text-align: left; }
thead th { border-bottom: 1px solid #222; }
figure { margin: 1rem 0; }
img { max-width: 100%; max-height: 25rem; width: auto; height: auto; }
figcaption { color: #555; font-size: .85rem; }
pre { background: #f6f5f2; padding: .7rem; overflow-x: auto; }
"""


def markdown(report: Report, beside: Mapping[str, str]) -> str:
    """The report as Markdown; `beside` says where pictures lie."""
    written = [block.markdown(beside) for block in contents(report)]
    return "\n\n".join(text for text in written if text) + "\n"


def html(report: Report, inline: Mapping[str, bytes]) -> str:
    """The report as one page that asks the network for nothing."""
    blocks = contents(report)
    body = "\n".join(block.html(inline) for block in blocks)
    links = "".join(
        f'<li><a href="#{escape(b.anchor)}">{escape(b.text)}</a></li>'
        for b in blocks
        if isinstance(b, Heading) and b.anchor
    )
    title, rest = body.split("\n", 1)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.subject.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{title}\n"
        f"<nav><ul>{links}</ul></nav>\n{rest}\n</body>\n</html>\n"
    )


def contents(report: Report) -> list[Block]:
    """All blocks, in order."""
    blocks: list[Block] = [
        Heading(report.subject.title, 1),
        Text(f"Scale {report.asked['scale']}; {report.state}."),
        Text(report.subject.caution),
        *([Text(at)] if (at := report.subject.at.get(report.asked["scale"])) else []),
        Text(INTERVALS),
    ]
    if tables := digest(report):
        blocks += [Heading("In short", anchor="short"), *tables]
    for figure in report.figures:
        if figure.cells:
            blocks += _figure(figure)
    blocks += costs(report)
    blocks += honesty(report)
    blocks += rates(report)
    blocks += _gaps(report)
    return blocks + _made(report)


def _figure(figure: Figure) -> list[Block]:
    protocol = figure.protocol
    name, words = figure.subject.heading(protocol), figure.subject.words
    remark = figure.subject.remarks.get(protocol.name)
    table = _curve if figure.curve else _distribution
    tables = [table(figure, split) for split in protocol.splits if figure.at(split)]
    what = f"{words[protocol.statistic]} error [{protocol.unit}]" if figure.curve else "errors"
    papers = any(
        figure.printed(split, name)
        for split in protocol.splits
        if figure.at(split)
        for name in figure.looks
    )
    if figure.curve:
        tables += [_far(figure, split) for split in protocol.splits if _any_far(figure, split)]
    limited = [
        found
        for split in protocol.splits
        for over, ratio in RATIOS.items()
        if (found := _limited(figure, split, over, ratio)) is not None
    ]
    return [
        Heading(f"{name}: {protocol.title}", anchor=protocol.name),
        *([Text(figure.subject.beside)] if papers else []),
        *([Text(remark)] if remark else []),
        Picture(figure.name, f"{protocol.title}: {what} by method"),
        *tables,
        *([Text(LIMITED)] if limited else []),
        *limited,
        *_contrasts(figure),
    ]


def _distribution(figure: Figure, split: str) -> Table:
    """A row a method, the paper's too, with every number that has a value anywhere."""
    (x,) = figure.xs
    cells = {cell.method: cell for cell in figure.at(split)}
    papers = {name: figure.printed(split, name).get(x, ()) for name in figure.looks}
    names = [name for name in figure.looks if name in cells or papers[name]]
    metres = figure.protocol.unit == "m"
    word = figure.subject.words[figure.protocol.statistic]

    def number(name: str) -> Read:
        return lambda cell: _plain(getattr(cell.summary, name))

    def share(name: str) -> Read:
        return lambda cell: f"{100 * getattr(cell.summary, name):.1f} %" if metres else None

    printed = [
        (f"paper, {title}", [_one(papers[name], statistic) for name in names])
        for title, statistic in ((word, figure.protocol.statistic), *_PRINTED)
    ]
    columns: list[tuple[str, Read]] = [
        (f"ours, {word}", lambda cell: f"{cell.value:.2f} {_bracket(cell)}".rstrip()),
        ("nearest label [m]", _nearest),
        *((title, number(name)) for title, name in _NUMBERS),
        ("within 1 m", share("within_1")),
        ("within 3 m", share("within_3")),
        ("far", lambda cell: f"{100 * cell.summary.far:.1f} %"),
        ("mean near", lambda cell: _plain(cell.summary.mean_near)),
        ("u, 50 %", lambda c: None if c.direction is None else f"{c.direction:.4f}"),
        ("labels", lambda cell: f"{cell.labels:,}"),
        ("seeds", lambda cell: str(len(cell.seeds))),
    ]
    read = [
        (title, [column(cells[name]) if name in cells else None for name in names])
        for title, column in columns
    ]
    kept = [(t, values) for t, values in (*printed, *read) if any(v is not None for v in values)]
    rows = [[name, *(values[row] or "" for _, values in kept)] for row, name in enumerate(names)]
    return Table(_caption(figure, split), ["method", *(title for title, _ in kept)], rows)


_PRINTED = (("RMSE", "rmse"), ("within 1 m", "within_1"))
"""What papers print beside a figure's own statistic."""
_NUMBERS = (
    ("mean", "mean"),
    ("RMSE", "rmse"),
    ("50 %", "p50"),
    ("67 %", "p67"),
    ("80 %", "p80"),
    ("90 %", "p90"),
    ("95 %", "p95"),
)


def _one(papers: Sequence[Printed], statistic: str) -> str | None:
    """The paper's number of a statistic."""
    found = [p for p in papers if p.statistic == statistic]
    share = statistic.startswith("within")
    return next((f"{100 * p.low:.4g} %" if share else str(p) for p in found), None)


def _contrasts(figure: Figure) -> list[Block]:
    """Every method against those that the figure is about, user by user and seed by seed."""
    names = figure.subject.held_against.get(figure.name, ())
    tables = [
        table
        for split in figure.protocol.splits
        for name in names
        if (table := _contrast(figure, split, name)) is not None
    ]
    return [Text(CONTRASTED), *tables] if tables else []


def _contrast(figure: Figure, split: str, name: str) -> Table | None:
    """All others of a split against one; None: it is not there, or nothing is beside it."""
    ours = {cell.x: cell for cell in figure.of(split, name)}
    rows = []
    for cell in figure.at(split):
        if cell.method != name and cell.x in ours:
            mine = ours[cell.x]
            found = contrast(mine.each, cell.each, mine.squares, cell.squares)
            if found is not None:
                at = f", {cell.x:,g}" if figure.curve else ""
                rows.append([cell.method + at, *found.told])
    if not rows:
        return None
    caption = f"Split {split}: what {name} is better by, in {figure.protocol.unit}"
    head = ["than", "mean of the differences", "95 % of it", "in words", "seeds"]
    return Table(caption, head, rows)


def _curve(figure: Figure, split: str) -> Table:
    """A row a method, with the paper's below it where there is one."""
    rows = []
    for name in figure.looks:
        cells = {cell.x: cell for cell in figure.of(split, name)}
        if cells:
            rows.append([name, *(_value(cells.get(x)) for x in figure.xs)])
        papers = figure.stated(split, name)
        if papers:
            told = [str(papers[x]) if x in papers else "" for x in figure.xs]
            rows.append([f"{name}, paper", *told])
    away = {c.x: c for c in figure.at(split) if c.nearest_label is not None}
    if away:
        nearest = [(_nearest(away[x]) or "") if x in away else "" for x in figure.xs]
        rows.append(["nearest label [m]", *nearest])
    return Table(_caption(figure, split), _axis(figure), rows)


def _axis(figure: Figure) -> list[str]:
    return [figure.protocol.axis, *(f"{x:,g}" if x < 1e4 else f"{int(x):,}" for x in figure.xs)]


def _by_method(figure: Figure, split: str, read: Read) -> list[list[str]]:
    """A row a method, a column a place on the axis."""
    rows = []
    for name in figure.methods(split):
        cells = {cell.x: cell for cell in figure.of(split, name)}
        rows.append([name, *((read(cells[x]) or "") if x in cells else "" for x in figure.xs)])
    return [row for row in rows if any(row[1:])]


def _any_far(figure: Figure, split: str) -> bool:
    return any(cell.summary.far for cell in figure.at(split))


def _far(figure: Figure, split: str) -> Table:
    """Places mirrored up or down the street, apart from the others."""

    def both(cell: Cell) -> str:
        near = _plain(cell.summary.mean_near)
        return ", ".join([f"{100 * cell.summary.far:.1f} %", *([near] if near else [])])

    unit = figure.protocol.unit
    told = f"share of errors over {FAR[unit]:g} {unit}, and the mean of the others in {unit}"
    caption = f"Split {split}: {told}"
    return Table(caption, _axis(figure), _by_method(figure, split, both))


def _limited(
    figure: Figure, split: str, name: str, ratio: Callable[[Cell], float | None]
) -> Table | None:
    if not figure.curve or all(ratio(cell) is None for cell in figure.at(split)):
        return None

    def times(cell: Cell) -> str | None:
        found = ratio(cell)
        return None if found is None else f"{found:.1f}"

    word = figure.subject.words[figure.protocol.statistic]
    caption = f"Split {split}: ratio to the {name} of the error, {word}"
    return Table(caption, _axis(figure), _by_method(figure, split, times))


def _caption(figure: Figure, split: str) -> str:
    note = "as the paper's" if split == RANDOM else "the headline"
    statistic = figure.subject.words[figure.protocol.statistic]
    return f"Split {split} ({note}): error in {figure.protocol.unit}, {statistic}"


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _bracket(cell: Cell) -> str:
    low, high = cell.interval
    return "" if math.isnan(low) else f"[{low:.2f}, {high:.2f}]"


def _value(cell: Cell | None) -> str:
    return "" if cell is None else f"{cell.value:.2f} {_bracket(cell)}"


def _nearest(cell: Cell) -> str | None:
    return None if cell.nearest_label is None else f"{cell.nearest_label:.2f}"


def _gaps(report: Report) -> list[Block]:
    if not report.missing and not report.failures and not report.unsearched:
        return []
    lines = [f"{name}: {count:,} runs" for name, count in report.missing.items()]
    runs: dict[str, list[str]] = {}
    for name, why in report.failures.items():
        runs.setdefault(why, []).append(name)
    failed = [
        f"{names[0]} failed" + (f", and {len(names) - 1} others" if names[1:] else "") + f": {why}"
        for why, names in runs.items()
    ]
    hasty = [
        f"{name} was taught at a rate of {rate:g}, and not all rates of the scale were tried"
        for name, rate in report.unsearched.items()
    ]
    return [Heading("What is missing", anchor="missing"), Bullets([*lines, *failed, *hasty])]


def _made(report: Report) -> list[Block]:
    """The command, and on what and with what it was run."""
    done = report.done
    if not done:
        return [
            Heading("How it was made", anchor="made"),
            Code("\n".join(report.asked["commands"])),
        ]
    stores = Counter((str(o.made["store"]["name"]), _trace(o)) for o in done)
    versions, machines = (
        {", ".join(f"{k} {v}" for k, v in sorted(o.made[part].items())) for o in done}
        for part in ("versions", "machine")
    )
    seconds = [o.seconds for o in done]
    memory = [o.memory for o in done if o.memory is not None]
    own = report.asked.get("own", {})
    started = {
        f"{'code' if o.run.method in own else 'weights'} (SHA-256): "
        f"{o.run.method} from {o.start[:16]}"
        for o in done
        if o.start is not None
    }
    return [
        Heading("How it was made", anchor="made"),
        Code("\n".join(report.asked["commands"])),
        Bullets(
            [
                f"seeds: {', '.join(str(s) for s in sorted({o.run.seed for o in done}))}",
                *(
                    f"store: {name}{trace}, {count} runs"
                    for (name, trace), count in sorted(stores.items())
                ),
                *(f"versions: {text}" for text in sorted(versions)),
                *(f"machine: {text}" for text in sorted(machines)),
                f"time: {sum(seconds) / 3600:.2f} h in all, {median(seconds):.0f} s a run at the "
                "median, pretraining not counted",
                *(
                    [f"memory: at most {max(memory):.1f} GB a process, where it was looked at"]
                    if memory
                    else []
                ),
                f"radiofix-nano begins with: {report.asked['pretrained']}",
                *sorted(started),
            ]
        ),
    ]


def _trace(outcome: Outcome) -> str:
    """By which its channels are told from those that another processor traced."""
    sums = outcome.made["store"].get("sha256") or {}
    return f", delays {sums['delay'][:8]}" if "delay" in sums else ""
