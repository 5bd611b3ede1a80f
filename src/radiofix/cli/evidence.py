"""`radiofix bench lwlm` and `radiofix report`: the paper's figures run again, and what came out."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiofix.cli.terminal import add_command, key_values, positive_int, say, whole_numbers

if TYPE_CHECKING:
    from radiofix.benchmark.lwlm.running import Bench


def add_command_to(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `bench lwlm`."""
    command = add_command(
        kinds, "lwlm", lwlm, "Every figure of section VI of the LWLM paper, with all methods."
    )
    command.add_argument("--scale", default="smoke", help="smoke, laptop or paper")
    command.add_argument("--only", nargs="+", default=None, metavar="FIGURE", help="None: all")
    command.add_argument("--methods", nargs="+", default=None, metavar="METHOD", help="None: all")
    command.add_argument("--seeds", type=whole_numbers, default=None, help="None: the scale's")
    command.add_argument("--store", type=Path, default=None, help="of o1's paths")
    command.add_argument(
        "--stores",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=STORE",
        help="others that some figures need: cross, twelve, near-walls, far-walls",
    )
    command.add_argument("--out", type=Path, required=True, help="folder of results, run by run")
    command.add_argument(
        "--work", type=Path, default=Path("runs/lwlm"), help="where pretraining runs are kept"
    )
    command.add_argument("--recipes", type=Path, default=Path("recipes"))
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
    command.add_argument("results", metavar="RESULTS", type=Path, help="of `bench lwlm`")
    command.add_argument(
        "--out", type=Path, default=None, metavar="PAGE.html", help="None: in RESULTS"
    )


def lwlm(options: argparse.Namespace) -> int:
    """Does what is left of the protocols, and prints the tables."""
    from radiofix.benchmark.lwlm.working import work
    from radiofix.benchmark.pages import markdown
    from radiofix.benchmark.report import ASKED, gather
    from radiofix.training.checkpoints import write_whole

    if not options.table:
        if options.store is None:
            raise ValueError("no store is given: name one of o1's paths by --store")
        bench = _bench(options)
        if options.plan:
            return _say_plan(options, bench)
        asked = _asked(options)
        options.out.mkdir(parents=True, exist_ok=True)
        _tell(_plan(bench, options.processes))
        write_whole(options.out / ASKED, (json.dumps(asked, indent=1) + "\n").encode())
        work(bench, options.processes, _tell)
    found = gather(options.out, options.only)
    say(options, found.plain(), markdown(found, {}))
    return 1 if found.failures else 0


def report(options: argparse.Namespace) -> int:
    """Writes both pages and the pictures."""
    from radiofix.benchmark.pages import html, markdown
    from radiofix.benchmark.report import gather
    from radiofix.pictures.evidence_view import draw_curves, draw_distributions
    from radiofix.pictures.style import SUFFIXES, save
    from radiofix.training.checkpoints import write_whole

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
    write_whole(page, html(found, inline).encode())
    write_whole(page.with_suffix(".md"), markdown(found, beside).encode())
    told = {"html": str(page), "markdown": str(page.with_suffix(".md")), "missing": found.missing}
    say(options, told, f"{page}\n{page.with_suffix('.md')}\n{found.state}")
    return 0


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """What a folder of results is about, with all that has been typed for it so far."""
    from radiofix.benchmark.report import ASKED

    place = options.out / ASKED
    before = json.loads(place.read_text()) if place.is_file() else {}
    if before.get("scale", options.scale) != options.scale:
        raise ValueError(
            f"{options.out} holds results of scale {before['scale']}: give another --out"
        )
    return {
        "scale": options.scale,
        "pretrained": _name(options.pretrained),
        "stores": {**before.get("stores", {}), **dict.fromkeys(_stores(options), True)},
        "commands": list(dict.fromkeys([*before.get("commands", ()), _command(options)])),
    }


def _bench(options: argparse.Namespace) -> Bench:
    from radiofix.benchmark.lwlm.methods import chosen, methods
    from radiofix.benchmark.lwlm.protocols import named
    from radiofix.benchmark.lwlm.running import Bench
    from radiofix.benchmark.lwlm.scales import SCALES
    from radiofix.benchmark.lwlm.site import Site

    if options.scale not in SCALES:
        raise ValueError(f"no scale {options.scale}: there are {', '.join(SCALES)}")
    scale = SCALES[options.scale]
    strange = sorted(set(options.seeds or ()) - set(scale.seeds))
    if strange:
        raise ValueError(f"no seed {strange[0]} at scale {scale.name}: there are {scale.seeds}")
    site = Site(
        scale=scale,
        stores=_stores(options),
        out=options.out,
        work=options.work,
        recipes=options.recipes,
        device=options.device,
    )
    every = methods(options.pretrained)
    return Bench(site, chosen(every, options.methods), named(options.only), options.seeds)


def _stores(options: argparse.Namespace) -> dict[str, str]:
    """Stores by their names."""
    from radiofix.benchmark.lwlm.lessons import STORES

    told = {"o1": str(options.store), **key_values(options.stores)}
    for name in told:
        if name not in STORES:
            raise ValueError(f"no store is called {name}: there are {', '.join(STORES)}")
    return {name: str(path) for name, path in told.items()}


def _plan(bench: Bench, processes: int) -> str:
    from radiofix.benchmark.lwlm.forecast import forecast

    runs = tuple(dict.fromkeys((*bench.searches(), *bench.runs())))
    left, known = bench.left(runs), forecast(bench)
    waiting = bench.pretrainings()
    times = [*(known.seconds(run) for run in left), *(known.pretraining(n) for n in waiting)]
    told = [seconds for seconds in times if seconds is not None]
    lines = [f"{len(left)} of {len(runs)} runs are left"]
    if told:
        lines[0] += f", about {_duration(sum(told) / processes)} with {processes} processes"
    if len(told) < len(times):
        lines[0] += f"; of {len(times) - len(told)} nothing alike was timed yet"
    if waiting:
        lines.append(f"before them, pretraining of {', '.join(n.name for n in waiting)}")
    lines += [f"{name} is left out: {why}" for name, why in bench.missing().items()]
    return "\n".join(lines)


def _say_plan(options: argparse.Namespace, bench: Bench) -> int:
    """Prints what is left, run by run; nothing is written."""
    from radiofix.benchmark.lwlm.forecast import plan

    steps = plan(bench, options.processes)
    lines = [*map(str, steps), _plan(bench, options.processes)]
    say(options, {"steps": [asdict(step) for step in steps]}, "\n".join(lines))
    return 0


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"


def _command(options: argparse.Namespace) -> str:
    """What was typed, without the ways to stores and runs on one machine."""
    parts = ["radiofix bench lwlm", f"--scale {options.scale}"]
    for flag in ("only", "methods"):
        names = getattr(options, flag)
        parts += [f"--{flag} {' '.join(names)}"] if names else []
    if options.seeds is not None:
        parts.append(f"--seeds {','.join(str(s) for s in options.seeds)}")
    for flag in ("store", "out", "pretrained"):
        value = getattr(options, flag)
        parts += [] if value is None else [f"--{flag} {_name(value)}"]
    more = [f"{name}={_name(path)}" for name, path in key_values(options.stores).items()]
    parts += [f"--stores {' '.join(more)}"] if more else []
    parts.append(f"--processes {options.processes}")
    return " ".join(parts)


def _name(value: Any) -> str:
    path = Path(value)
    return path.name if path.is_absolute() else str(value)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
