"""Fills in what the pages tell of the committed results, between their marks, or checks it.

A mark is a comment that names what follows, up to `<!-- end -->`:

    <!-- radiofix bench pretraining --compare -->   that command's table
    <!-- radiofix report results/lwlm-laptop -->    the bench in short
    <!-- table1 region -->                          a figure of `bench sigmap` on a split
    <!-- curve maps-off region m -->                the same by its axis, whose unit is told
    <!-- cities position -->                        runs of new cities; its rows name the runs
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from radiofix.benchmark.digest import digest
from radiofix.benchmark.figures import Cell
from radiofix.benchmark.pretraining import every
from radiofix.benchmark.pretraining_table import compared
from radiofix.benchmark.report import Report, gather
from radiofix.files import write_whole

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PAGES = (ROOT / "docs/results.md", ROOT / "docs/sigmap-results.md")
MARKED = re.compile(r"(<!-- (?!end )([^>]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
CAPTIONS = {
    "cities-echoes": "the right map, waves followed",
    "cities-echoes-scratch": "the same network and map, from nothing",
    "cities-echoes-kriged": "the same, then moved by the errors at labelled users",
    "cities-echoes-told-other": "the same network, another city's map",
    "cities-echoes-asked-other": "the very network, told another city's map",
    "cities-waves": "no map",
    "cities-waves-constant": "no map, eight learned prompts",
    "NOMP-map": "no label, folded at the walls",
    "NOMP": "no label, no map",
    "OMP": "no label, no map",
    "table2 OMP": "the plain mean of stations, no label, no map",
    "radiofix-nano-joined": "stations joined by what it states of each",
    "SigMap": "the right map",
    "SigMap-no-map": "no map",
    "SigMap-constant": "a learned prompt",
    "SigMap-other-map": "another city's map",
    "SigMap-walls": "the station's walls as prompts",
    "SigMap-low-rank": "no map, low-rank updates",
    "SigMap-full": "no map, all of the backbone learns",
    "SigMap-scratch": "the same from nothing",
    "SigMap-eq11": "the right map, weights of eq. 11",
    "SigMap-grid": "grid mask in pretraining",
    "SigMap-strip": "strip mask in pretraining",
    "SigMap-SF-MCM": "LWLM's mask in pretraining",
}
"""What a row is, after its name: of every figure, or of one that is named before it."""


def shown(metres: float) -> str:
    """Three figures or so."""
    return f"{metres:.2f}" if metres < 10 else f"{metres:.1f}"


def called(method: str, figure: str) -> str:
    """A method and what it is."""
    caption = CAPTIONS.get(f"{figure} {method}", CAPTIONS.get(method))
    return f"`{method}`, {caption}" if caption else f"`{method}`"


@cache
def lwlm() -> Report:
    """The bench of the LWLM paper's figures."""
    return gather(RESULTS / "lwlm-laptop")


@cache
def cells() -> Mapping[tuple[str, str], list[Cell]]:
    """Of the SigMap paper's bench, by figure and split."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for figure in gather(RESULTS / "sigmap-laptop").figures:
        for cell in figure.cells:
            found.setdefault((figure.name, cell.split), []).append(cell)
    return found


def table(head: str, rows: list[str]) -> str:
    """In Markdown."""
    rule = "|" + "---|" * head.count(" |")
    return "\n".join([head, rule, *rows])


def figure(name: str, split: str, _: str) -> str:
    """Methods of a figure, the nearest first."""
    told = sorted((c for c in cells()[name, split] if len(c.error)), key=lambda c: c.value)
    rows = [
        f"| {called(c.method, name)} | {shown(c.value)} [{', '.join(map(shown, c.interval))}]"
        f" | {shown(float(np.median(c.error)))} | {100 * np.mean(c.error < 1):.0f} %"
        f" | {len(c.seeds)} |"
        for c in told
    ]
    return "\n" + table("| | mean [95 %] | median | within 1 m | seeds |", rows) + "\n\n"


def curve(name: str, split: str, unit: str, _: str) -> str:
    """Methods of a figure by its axis."""
    found: dict[str, dict[float, Cell]] = {}
    for cell in cells()[name, split]:
        found.setdefault(cell.method, {})[cell.x] = cell
    xs = sorted({x for each in found.values() for x in each})
    head = "| mean, median [m] | " + " | ".join(f"{x:g} {unit}" for x in xs) + " |"
    rows = [
        f"| `{method}` | "
        + " | ".join(
            f"{shown(each[x].value)}, {shown(float(np.median(each[x].error)))}" for x in xs
        )
        + " |"
        for method, each in found.items()
        if each.keys() == set(xs)
    ]
    return "\n" + table(head, rows) + "\n\n"


def cities(question: str, text: str) -> str:
    """Runs of new cities without a label, in the columns and rows that the page has already."""
    before, head, rule, *rows = text.rstrip("\n").split("\n")
    names = [cell.strip() for cell in head.strip("|").split("|")][1:-2]
    runs, method, filled = RESULTS / "sigmap-laptop/runs", "", []
    for row in rows:
        title = row.strip("|").split("|")[0].strip()
        named = re.match(r"`([\w-]+)`", title)
        method = named.group(1) if named else method
        of_seed = re.search(r"seed (\d)", title)
        seed = of_seed.group(1) if of_seed else "0"
        errors = [
            json.loads((runs / folder / f"{method}-seed{seed}.json").read_text())["tests"][0][
                "error"
            ]
            for folder in (
                f"{question}-region-0labels-stall-10MHz-pilots1-clean-{name}" for name in names
            )
        ]
        whole = np.concatenate(errors)
        told = [f"{np.mean(e):.1f}, {np.median(e):.1f}" for e in (*errors, whole)]
        if "**" in row:
            told[-1] = f"**{told[-1]}**"
        filled.append(f"| {title} | {' | '.join(told)} | {100 * np.mean(whole < 10):.0f} % |")
    return "\n".join([before, head, rule, *filled]) + "\n\n"


def part(mark: str, text: str) -> str:
    """What belongs after a mark."""
    if mark == "radiofix bench pretraining --compare":
        return "\n" + compared(every(RESULTS / "pretraining")).strip() + "\n\n"
    if mark == "radiofix report results/lwlm-laptop":
        return "\n" + "\n\n".join(t.markdown({}) for t in digest(lwlm())) + "\n\n"
    kind, *rest = mark.split()
    kinds: Mapping[str, Callable[..., str]] = {"curve": curve, "cities": cities}
    fill = kinds.get(kind, figure)
    return fill(*(rest if kind in kinds else [kind, *rest]), text)


def filled(page: str) -> str:
    """A page with all of its marked parts as the results have them."""
    return MARKED.sub(lambda m: m[1] + part(m[2], m[3]) + m[4], page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fills or checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page is old")
    check = parser.parse_args(arguments).check
    old = 0
    for page in PAGES:
        text = page.read_text()
        new = filled(text)
        if new == text:
            continue
        old = 1
        if check:
            print(f"{page.name} is not what results/ holds: run tools/pages.py")
        else:
            write_whole(page, new)
            print(page.name)
    return old if check else 0


if __name__ == "__main__":
    sys.exit(main())
