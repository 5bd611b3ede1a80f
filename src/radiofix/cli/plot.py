"""`radiofix plot`: a scene, a store or one link as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from radiofix.cli.scenes import picture
from radiofix.cli.terminal import (
    add_command,
    key_values,
    output_path,
    positive_float,
    positive_int,
    say,
    whole_numbers,
)
from radiofix.data.store import PathStore, open_paths
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.pictures.link_view import link_picture
from radiofix.pictures.scene_view import scene_picture
from radiofix.pictures.style import save


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `plot`."""
    command = add_command(commands, "plot", run, "Draw a scene, a store, or one link of a store.")
    command.add_argument("what", help="a store, or a name of `radiofix scenes`")
    command.add_argument("--out", type=output_path, required=True, help="a .png or .svg file")
    command.add_argument(
        "--colour-by",
        default="los",
        help="of a store's users: los, power, paths, split:NAME, bound or bound:direct",
    )
    command.add_argument("--station", type=int, default=None, help="column; None: all together")
    command.add_argument("--link", type=whole_numbers, default=None, metavar="USER,STATION")
    of = "of a link or a bound"
    command.add_argument("--bandwidth", type=positive_float, default=20e6, help=f"{of} [Hz]")
    command.add_argument("--subcarriers", type=positive_int, default=128, help=of)
    command.add_argument("--antennas", type=positive_int, default=32, help=f"{of}: a ULA")
    command.add_argument("--snr", type=float, default=20.0, help="of a bound [dB]")
    command.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="arguments of a scene",
    )


def run(options: argparse.Namespace) -> int:
    """Draws and saves."""
    if Path(options.what).exists() and not options.what.startswith("osm:"):
        store = open_paths(options.what)
        if options.link is not None:
            figure = _link(store, options)
        else:
            colour = None if store.measured and options.colour_by == "los" else options.colour_by
            figure = scene_picture(
                store.map,
                colour_by=colour,
                station=options.station,
                store=store,
                channel=_channel(options, options.snr),
            )
    elif options.link is not None:
        raise ValueError(f"--link needs a store, and {options.what} is none: trace it first")
    else:
        figure = picture(options.what, **key_values(options.set))
    say(options, {"picture": str(save(figure, options.out))}, f"{options.out} drawn")
    return 0


def _link(store: PathStore, options: argparse.Namespace) -> Figure:
    if len(options.link) != 2:
        raise ValueError(f"--link takes USER,STATION, got {len(options.link)} numbers")
    user, station = options.link
    if store.measured:
        return link_picture(store, user, station)
    if not (0 <= user < store.users and 0 <= station < len(store.stations)):
        return link_picture(store, user, station)
    channel = _channel(options, None)
    csi = channel.synthesize(store.links([user], station))[0]
    return link_picture(store, user, station, csi, bandwidth=options.bandwidth)


def _channel(options: argparse.Namespace, snr_db: float | None) -> Channel:
    return Channel(options.bandwidth, options.subcarriers, ula(options.antennas), snr_db=snr_db)
