"""`radiofix bench latent`: what pretraining taught, part by part of the latent."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiofix.cli.terminal import add_command, output_path, positive_float, positive_int, say

if TYPE_CHECKING:
    from radiofix.benchmark.held_out import HeldOut
    from radiofix.pictures.pretraining_view import Curve, Reading

PICTURES = ("losses", "latent", "masked", "delay-angle")
TITLES = {"position": "position", "toa": "ToA", "aoa": "AoA"}
QUARTERS = (0.25, 0.5, 0.75)
"""Of the links, whose delay-angle views are shown."""


def add_command_to(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `bench latent`."""
    command = add_command(
        kinds, "latent", latent, "A pretraining run's losses, and what its latent knows."
    )
    command.add_argument("run_folder", metavar="RUN", type=Path, help="of `radiofix pretrain`")
    command.add_argument("--store", type=Path, required=True)
    command.add_argument("--out", type=output_path, default=None, help="a .json file")
    command.add_argument(
        "--pictures", type=Path, default=None, help=f"a folder for {', '.join(PICTURES)}"
    )
    command.add_argument("--users", type=positive_int, default=1024, help="held out, at most")
    command.add_argument("--labels", type=positive_int, default=2000, help="that probes may see")
    command.add_argument("--station", default="3", help="of the probes, by name")
    command.add_argument("--bandwidth", type=positive_float, default=10e6, help="of probes [Hz]")


def latent(options: argparse.Namespace) -> int:
    """Measures, draws, keeps and prints."""
    from radiofix.benchmark.held_out import HeldOut, opened
    from radiofix.benchmark.latent import report, tables
    from radiofix.data.store import open_paths
    from radiofix.files import write_whole

    asked = HeldOut(opened(options.run_folder), open_paths(options.store), options.users)
    found = report(asked, options.labels, options.station, options.bandwidth)
    if options.pictures is not None:
        found["pictured"] = _draw(asked, found, options.pictures)
    if options.out is not None:
        write_whole(options.out, json.dumps(found, indent=1) + "\n")
    say(options, found, "\n\n".join(tables(found)))
    return 0


def _draw(asked: HeldOut, found: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Draws what the run was trained for; which links are shown."""
    from radiofix.objectives.dti import Dti
    from radiofix.objectives.sfmcm import Sfmcm
    from radiofix.pictures.pretraining_view import losses_picture, probes_picture
    from radiofix.pictures.style import save

    answers = found["probes"]["answers"]
    units = {TITLES[answer["quantity"]]: answer["unit"] for answer in answers}
    losses = losses_picture(found["curves"]["samples"], _curves(asked, found))
    save(losses, folder / "pretraining-losses.png")
    save(probes_picture(_readings(answers), units), folder / "pretraining-latent.png")
    kinds = {type(objective) for objective in asked.run.module.mixture.objectives.values()}
    drawn = {Sfmcm: ("masked", _draw_masked), Dti: ("delay_angle", _draw_delay_angle)}
    return {name: draw(asked, folder) for kind, (name, draw) in drawn.items() if kind in kinds}


def _draw_masked(asked: HeldOut, folder: Path) -> list[dict[str, Any]]:
    """The link of the middle hidden NMSE at the widest bandwidth."""
    from radiofix.benchmark.held_out import TOGETHER, reconstruct, typical
    from radiofix.pictures.pretraining_view import FilledIn, filled_in_picture
    from radiofix.pictures.style import save

    bandwidth = max(asked.run.recipe.receiver.bandwidths)
    views, generator = next(asked.views(min(TOGETHER, len(asked.pool.reachable)), [bandwidth]))
    channels = reconstruct(asked.run, views, generator)
    nmse = channels.nmse
    (link,) = typical(nmse["model"], [0.5])
    shown = (channels.truth[link], channels.found[link], channels.hidden[link])
    save(filled_in_picture(FilledIn(*shown, bandwidth)), folder / "pretraining-masked.png")
    errors = {name: float(values[link]) for name, values in nmse.items()}
    place = _link(asked, channels.sounding, link)
    return [{**place, "bandwidth": bandwidth, "hidden_nmse": errors}]


def _draw_delay_angle(asked: HeldOut, folder: Path) -> list[dict[str, Any]]:
    """The links at the quartiles of the dissimilarity at the widest bandwidth."""
    from radiofix.benchmark.held_out import TOGETHER, transform, typical
    from radiofix.objectives.dti import dissimilarity
    from radiofix.pictures.pretraining_view import DelayAngle, delay_angle_picture
    from radiofix.pictures.style import save

    bandwidth = max(asked.run.recipe.receiver.bandwidths)
    views, generator = next(asked.views(min(TOGETHER, len(asked.pool.reachable)), [bandwidth]))
    channels = transform(asked.run, views, generator)
    away = dissimilarity(channels.found, channels.truth)
    chosen = typical(away, QUARTERS)
    shown = [
        DelayAngle(f"L = {away[i]:.3f}", channels.truth[i], channels.found[i], bandwidth)
        for i in chosen
    ]
    save(delay_angle_picture(shown), folder / "pretraining-delay-angle.png")
    return [
        {
            **_link(asked, channels.sounding, link),
            "bandwidth": bandwidth,
            "dissimilarity": float(away[link]),
        }
        for link in chosen
    ]


def _link(asked: HeldOut, sounding: Any, link: int) -> dict[str, Any]:
    station = asked.store.stations[int(sounding.station[link])].name
    return {"user": int(sounding.user[link]), "station": station}


def _curves(asked: HeldOut, found: Mapping[str, Any]) -> list[Curve]:
    """One panel an objective, with what it is to be compared with."""
    from radiofix.objectives.dti import Dti
    from radiofix.objectives.picl import Picl
    from radiofix.objectives.sfmcm import Sfmcm
    from radiofix.pictures.pretraining_view import Curve

    curves = found["curves"]
    panels = []
    for name, objective in asked.run.module.mixture.objectives.items():
        values = curves[name]
        match objective:
            case Sfmcm():
                marks = _guesses(found["hidden_nmse"]["validation"])
                panels.append(Curve("SF-MCM", "hidden NMSE", values, marks, True))
            case Dti():
                panels.append(Curve("DTI", "dissimilarity, eq. 10", values, {}, True))
            case Picl():
                batch = asked.run.recipe.training.batch
                most = {f"log {batch}: the most": math.log(batch)}
                bound = curves["bound"]
                panels.append(Curve("PICL", "contrast and bound [nat]", values, most, bound=bound))
            case _:
                panels.append(Curve(name, "loss", values, {}))
    return panels


def _guesses(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Hidden NMSE of all but the model, over all bandwidths."""
    names = [name for name in rows[0]["mean"] if name != "model"]
    return {name: sum(row["mean"][name] for row in rows) / len(rows) for name in names}


def _readings(answers: list[dict[str, Any]]) -> dict[str, list[Reading]]:
    """By quantity; a row for each share of the latent, its summary and its tokens apart."""
    from radiofix.pictures.pretraining_view import Reading

    panels: dict[str, list[Reading]] = {}
    for answer in answers:
        group, *share = answer["features"].split("/")
        row = ": ".join(share) or {"wave": "strongest wave"}.get(group, group)
        reading = Reading(row, group if share else "no encoder", answer["reader"], answer["median"])
        panels.setdefault(TITLES[answer["quantity"]], []).append(reading)
    return panels
