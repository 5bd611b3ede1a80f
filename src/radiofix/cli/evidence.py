"""`radiofix bench lwlm` and `sigmap`, and `radiofix report`: papers run again, what came out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiofix.cli.terminal import add_command, key_values, positive_int, say, whole_numbers

if TYPE_CHECKING:
    from radiofix.benchmark.runs.own import Own
    from radiofix.benchmark.runs.running import Bench
    from radiofix.benchmark.runs.scales import Scale
    from radiofix.benchmark.runs.subject import Subject


TOYS = "towns"
"""Folder of the made-up stores of smoke."""


def add_command_to(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `bench lwlm` and `bench sigmap`."""
    command = add_command(
        kinds, "lwlm", lwlm, "Every figure of section VI of the LWLM paper, with all methods."
    )
    command.add_argument("--store", type=Path, default=None, help="of o1's paths")
    _add_arguments(command, "others that some figures need: cross, twelve, near-walls, far-walls")
    command.set_defaults(bench="lwlm", work=Path("runs/lwlm"))
    command = add_command(
        kinds, "sigmap", sigmap, "Tables 1 to 4 of the SigMap paper, and whether a map helps."
    )
    _add_arguments(command, "stores one by one")
    command.set_defaults(bench="sigmap", store=None, work=Path("runs/sigmap"))
    command = add_command(
        kinds, "sigmap-stores", sigmap_stores, "Trace what `bench sigmap` asks about."
    )
    command.add_argument("--scale", default="laptop", help="laptop or paper")
    command.add_argument("--only", nargs="+", default=None, metavar="NAME", help="None: all")
    command.add_argument("--out", type=Path, required=True, help="folder of stores")


def _add_arguments(command: argparse.ArgumentParser, stores: str) -> None:
    command.add_argument("--scale", default="smoke", help="smoke, laptop or paper")
    command.add_argument("--only", nargs="+", default=None, metavar="FIGURE", help="None: all")
    command.add_argument("--methods", nargs="+", default=None, metavar="METHOD", help="None: all")
    command.add_argument(
        "--method",
        dest="own",
        action="append",
        default=[],
        metavar="MODULE:MAKE",
        help="one of your own, asked beside the others; may be given again",
    )
    command.add_argument("--seeds", type=whole_numbers, default=None, help="None: the scale's")
    command.add_argument(
        "--splits", nargs="+", default=None, metavar="SPLIT", help="None: the scale's"
    )
    command.add_argument(
        "--folder",
        type=Path,
        default=None,
        help="of stores called NAME.zarr; smoke makes small ones up if none is given",
    )
    command.add_argument(
        "--stores", nargs="+", action="extend", default=[], metavar="NAME=STORE", help=stores
    )
    command.add_argument("--out", type=Path, required=True, help="folder of results, run by run")
    command.add_argument("--work", type=Path, help="where pretraining runs are kept")
    command.add_argument(
        "--keep",
        action="store_true",
        help="what runs begin with is kept in OUT, at half precision: to go on elsewhere",
    )
    command.add_argument(
        "--every-rate",
        action="store_true",
        help="learn at each of the scale's rates, not at the preferred one alone; compared in the "
        "report",
    )
    command.add_argument(
        "--recipes", type=Path, metavar="FOLDER", help="of recipes; None: the package's own"
    )
    command.add_argument(
        "--pretrained", default="radiofix-nano", help="what radiofix-nano is fine-tuned from"
    )
    command.add_argument("--processes", type=positive_int, default=1)
    command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    command.add_argument(
        "--table", action="store_true", help="no runs: the tables of what is there"
    )
    command.add_argument(
        "--plan", action="store_true", help="no runs: what is left, in order, and its minutes"
    )


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `report`."""
    command = add_command(
        commands, "report", report, "Tables and pictures of results, as Markdown and HTML."
    )
    command.add_argument(
        "results", metavar="RESULTS", type=Path, help="of `bench lwlm` or `sigmap`"
    )
    command.add_argument(
        "--out", type=Path, default=None, metavar="PAGE.html", help="None: in RESULTS"
    )


def lwlm(options: argparse.Namespace) -> int:
    """Does what is left of the LWLM paper's figures, and prints the tables."""
    if options.table or options.store is not None or options.folder is not None:
        return _bench(options)
    if options.scale != "smoke" or options.stores:
        raise ValueError("no store is given: name one of o1's paths by --store")
    from radiofix.benchmark.toy import write_main_streets

    options.folder = options.work / TOYS
    write_main_streets(options.folder)
    return _bench(options)


def sigmap(options: argparse.Namespace) -> int:
    """Does what is left of the SigMap paper's tables, and prints them."""
    if options.table or options.stores or options.folder is not None:
        return _bench(options)
    if options.scale != "smoke":
        raise ValueError(
            "no store is given: name a folder of `bench sigmap-stores` by --folder, or --stores"
        )
    from radiofix.benchmark.toy import write_stores

    options.folder = options.work / TOYS
    write_stores(options.folder)
    return _bench(options)


def sigmap_stores(options: argparse.Namespace) -> int:
    """Traces stores that are not there yet, and joins the cities to learn in."""
    from radiofix.benchmark.sigmap.stores import fill

    made = fill(options.out, options.scale, options.only, _tell)
    say(options, {"stores": [str(path) for path in made]}, f"{len(made)} stores in {options.out}")
    return 0


def _bench(options: argparse.Namespace) -> int:
    """Does what is left of a bench's protocols, and prints the tables."""
    from radiofix.benchmark.pages import markdown
    from radiofix.benchmark.report import ASKED, gather
    from radiofix.benchmark.runs.claims import claim, of_results
    from radiofix.benchmark.runs.working import work
    from radiofix.files import write_whole

    if not options.table:
        more = _own(options)
        bench = _planned(options, more)
        if options.plan:
            return _say_plan(options, bench)
        _asked(options, more)
        options.out.mkdir(parents=True, exist_ok=True)
        _tell(_plan(bench, options.processes))
        with claim(bench.site, of_results(bench.site, ASKED), wait=True):
            write_whole(options.out / ASKED, json.dumps(_asked(options, more), indent=1) + "\n")
        work(bench, options.processes, _tell)
    found = gather(options.out, options.only)
    say(options, found.plain(), markdown(found, {}))
    return 1 if found.failures else 0


def report(options: argparse.Namespace) -> int:
    """Writes both pages and the pictures."""
    from radiofix.benchmark.pages import html, markdown
    from radiofix.benchmark.report import gather
    from radiofix.files import write_whole
    from radiofix.pictures.evidence_view import draw_curves, draw_distributions
    from radiofix.pictures.style import SUFFIXES, save

    page = options.out or options.results / "report.html"
    if page.suffix != ".html":
        raise ValueError(f"{page} is no page's name: end it in .html")
    found = gather(options.results)
    page.parent.mkdir(parents=True, exist_ok=True)
    folder = page.with_name(f"{page.stem}-pictures")
    inline, beside = {}, {}
    for figure in found.figures:
        if figure.cells:
            protocol = figure.protocol
            picture = (
                draw_curves(figure.panels, protocol.axis, protocol.unit)
                if figure.curve
                else draw_distributions(figure.panels, protocol.unit)
            )
            for suffix in SUFFIXES:
                save(picture, folder / f"{figure.name}{suffix}")
            inline[figure.name] = (folder / f"{figure.name}.png").read_bytes()
            beside[figure.name] = f"{folder.name}/{figure.name}.png"
    write_whole(page, html(found, inline))
    write_whole(page.with_suffix(".md"), markdown(found, beside))
    told = {"html": str(page), "markdown": str(page.with_suffix(".md")), "missing": found.missing}
    say(options, told, f"{page}\n{page.with_suffix('.md')}\n{found.state}")
    return 0


def _own(options: argparse.Namespace) -> tuple[Own, ...]:
    """Methods that are somebody's own: named here alone, never by a file that is read."""
    from radiofix.benchmark.runs.own import own

    return tuple(own(place) for place in options.own)


def _asked(options: argparse.Namespace, more: Sequence[Own]) -> dict[str, Any]:
    """What a folder of results is about, with all that has been typed for it so far."""
    from radiofix.benchmark.report import ASKED

    place = options.out / ASKED
    before = json.loads(place.read_text()) if place.is_file() else {}
    if before.get("bench", options.bench) != options.bench:
        raise ValueError(f"{options.out} holds results of {before['bench']}: give another --out")
    if before.get("scale", options.scale) != options.scale:
        raise ValueError(
            f"{options.out} holds results of scale {before['scale']}: give another --out"
        )
    return {
        "bench": options.bench,
        "scale": options.scale,
        "pretrained": _name(options.pretrained),
        "stores": {**before.get("stores", {}), **dict.fromkeys(_stores(options), True)},
        **({"own": own} if (own := {**before.get("own", {}), **_rows(more)}) else {}),
        "commands": list(dict.fromkeys([*before.get("commands", ()), _command(options)])),
    }


def _rows(more: Sequence[Own]) -> dict[str, Any]:
    return {method.name: method.plain for method in more}


def _subject(options: argparse.Namespace) -> Subject:
    from radiofix.benchmark.subjects import SUBJECTS

    return SUBJECTS[str(options.bench)]


def _recipes(options: argparse.Namespace) -> Path:
    from radiofix.training.recipe_files import own_folder

    folder: Path = options.recipes or own_folder()
    if not folder.is_dir():
        raise ValueError(f"--recipes {folder} is no folder: leave it out for the package's own")
    return folder


def _planned(options: argparse.Namespace, more: Sequence[Own]) -> Bench:
    from radiofix.benchmark.runs.learned import chosen, with_own
    from radiofix.benchmark.runs.running import Bench
    from radiofix.benchmark.runs.site import Site

    subject = _subject(options)
    scale = subject.scale(options.scale)
    strange = sorted(set(options.seeds or ()) - set(scale.seeds))
    if strange:
        raise ValueError(f"no seed {strange[0]} at scale {scale.name}: there are {scale.seeds}")
    names = [method.name for method in more]
    agenda = subject.agenda.admitting(names)
    site = Site(
        scale=replace(scale, splits=_splits(options, scale)),
        stores=_stores(options),
        out=options.out,
        work=options.work,
        recipes=_recipes(options),
        agenda=agenda,
        device=options.device,
        keeps=options.keep,
    )
    asked = None if options.methods is None else [*options.methods, *names]
    methods = chosen(with_own(subject.methods(options.pretrained), more), asked)
    return Bench(
        site, methods, agenda.named(options.only), options.seeds, every_rate=options.every_rate
    )


def _splits(options: argparse.Namespace, scale: Scale) -> tuple[str, ...]:
    """Of the scale's splits, those that are asked for."""
    asked = tuple(options.splits or scale.splits)
    strange = sorted(set(asked) - set(scale.splits))
    if strange:
        known = ", ".join(scale.splits)
        raise ValueError(f"no split {strange[0]} at scale {scale.name}: there are {known}")
    return asked


def _stores(options: argparse.Namespace) -> dict[str, str]:
    """Stores by their names."""
    known = _subject(options).agenda.stores
    told = key_values(options.stores)
    if options.store is not None:
        told = {"o1": str(options.store), **told}
    if options.folder is not None:
        there = {n: options.folder / f"{n}.zarr" for n in known}
        told = {**{n: str(path) for n, path in there.items() if path.exists()}, **told}
    for name in told:
        if name not in known:
            raise ValueError(f"no store is called {name}: there are {', '.join(known)}")
    if not told:
        raise ValueError(f"{options.folder} holds no store: there may be {', '.join(known)}")
    return {name: str(path) for name, path in told.items()}


def _plan(bench: Bench, processes: int) -> str:
    from radiofix.benchmark.runs.forecast import forecast

    agenda = bench.site.agenda
    runs = tuple(dict.fromkeys((*bench.searches(), *bench.runs())))
    left, known = bench.left(runs), forecast(bench)
    waiting = bench.pretrainings()
    times = [*(known.seconds(run) for run in left), *(known.preparation(p) for p in waiting)]
    told = [seconds for seconds in times if seconds is not None]
    lines = [f"{len(left)} of {len(runs)} runs are left"]
    if told:
        lines[0] += f", about {_duration(sum(told) / processes)} with {processes} processes"
    if len(told) < len(times):
        lines[0] += f"; of {len(times) - len(told)} nothing alike was timed yet"
    if waiting:
        lines.append(f"before them, pretraining of {', '.join(n.name for n in waiting)}")
    lines += [f"{name} is left out: {why}" for name, why in bench.missing().items()]
    lines += [
        f"{count} runs that are done are of another trace of {name}: the same users, whose "
        "channels another processor rounded"
        for name, count in bench.traces.items()
    ]
    bare = [name for name in agenda.stores if name not in bench.site.stores]
    if bare:
        lines.append(f"figures of {', '.join(bare)} are left out: no such store is given")
    return "\n".join(lines)


def _say_plan(options: argparse.Namespace, bench: Bench) -> int:
    """Prints what is left, run by run; nothing is written."""
    from radiofix.benchmark.runs.forecast import plan

    steps = plan(bench, options.processes)
    lines = [*map(str, steps), _plan(bench, options.processes)]
    say(options, {"steps": [asdict(step) for step in steps]}, "\n".join(lines))
    return 0


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"


def _command(options: argparse.Namespace) -> str:
    """What was typed, without the ways to stores and runs on one machine."""
    parts = [f"radiofix bench {options.bench}", f"--scale {options.scale}"]
    for flag in ("only", "methods", "splits"):
        names = getattr(options, flag)
        parts += [f"--{flag} {' '.join(names)}"] if names else []
    parts += [f"--method {place}" for place in options.own]
    if options.seeds is not None:
        parts.append(f"--seeds {','.join(str(s) for s in options.seeds)}")
    for flag in ("store", "folder", "out", "pretrained"):
        value = getattr(options, flag)
        parts += [] if value is None else [f"--{flag} {_name(value)}"]
    more = [f"{name}={_name(path)}" for name, path in key_values(options.stores).items()]
    parts += [f"--stores {' '.join(more)}"] if more else []
    parts += ["--keep"] if options.keep else []
    parts += ["--every-rate"] if options.every_rate else []
    parts += [] if options.device == "cpu" else [f"--device {options.device}"]
    parts += [f"--recipes {_name(options.recipes)}"] if options.recipes else []
    parts.append(f"--processes {options.processes}")
    return " ".join(parts)


def _name(value: Any) -> str:
    """A way as from the working folder; of what lies elsewhere its name alone."""
    path = Path(value)
    if not path.is_absolute():
        return str(value)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.name)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
