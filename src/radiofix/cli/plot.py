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
from radiofix.types import SPEED_OF_LIGHT, Sounding


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
    command.add_argument(
        "--echoes",
        type=whole_numbers,
        default=None,
        metavar="USER,STATION",
        help="a link's strongest waves, followed to the walls of the store's map",
    )
    command.add_argument("--bandwidth", type=positive_float, default=20e6, help=f"{of} [Hz]")
    command.add_argument("--subcarriers", type=positive_int, default=128, help=of)
    command.add_argument("--antennas", type=positive_int, default=32, help=f"{of}: a ULA")
    command.add_argument("--snr-db", "--snr", type=float, default=20.0, help="of a bound [dB]")
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
        elif options.echoes is not None:
            figure = _echoes(store, options)
        else:
            colour = None if store.measured and options.colour_by == "los" else options.colour_by
            figure = scene_picture(
                store.map,
                colour_by=colour,
                station=options.station,
                store=store,
                channel=_channel(options, options.snr_db),
            )
    elif options.link is not None or options.echoes is not None:
        raise ValueError(f"a link needs a store, and {options.what} is none: trace it first")
    else:
        figure = picture(options.what, **key_values(options.set))
    say(options, {"picture": str(save(figure, options.out))}, f"{options.out} drawn")
    return 0


def _link(store: PathStore, options: argparse.Namespace) -> Figure:
    user, station = _pair("--link", options.link)
    if store.measured:
        return link_picture(store, user, station)
    if not (0 <= user < store.users and 0 <= station < len(store.stations)):
        return link_picture(store, user, station)
    channel = _channel(options, None)
    csi = channel.synthesize(store.links([user], station))[0]
    return link_picture(store, user, station, csi, bandwidth=options.bandwidth)


def _echoes(store: PathStore, options: argparse.Namespace) -> Figure:
    # Models are slow to import, and only needed here.
    from radiofix.models.following import followed_waves
    from radiofix.models.map_reading import read_map
    from radiofix.pictures.echo_view import Followed, echo_picture

    user, station = _pair("--echoes", options.echoes)
    rows = store.dataset["user_position"].values
    if not (0 <= user < store.users and 0 <= station < len(store.stations)):
        return link_picture(store, user, station)
    if store.map is None:
        raise ValueError(f"{store.path} has no map: there are no walls to follow waves to")
    sounding = _sounding(store, user, station, options)
    found = followed_waves(sounding, read_map(store), float(rows[user, 2]))
    waves = [Followed(w.folded.numpy(), w.straight.numpy(), w.fanned.numpy()) for w in found]
    title = f"user {user} from station {store.stations[station].name}"
    return echo_picture(store.map, store.stations[station], rows[user], waves, title)


def _sounding(store: PathStore, user: int, station: int, options: argparse.Namespace) -> Sounding:
    """A link as it was measured, or as the channel of the options receives it."""
    if not store.measured:
        return _channel(options, None).sound(store.links([user], station))
    csi = store.csi([user], station)
    carrier = store.stations[station].carrier_frequency
    return Sounding(
        csi=csi.values,
        frequency=(csi.frequency.double() - carrier)[None],
        antenna=(csi.antenna_position.double() * carrier / SPEED_OF_LIGHT).float()[None],
        station_position=csi.station_position.double(),
        station_orientation=csi.station_orientation.double(),
        user=csi.user,
        station=csi.station,
    )


def _pair(name: str, numbers: list[int]) -> tuple[int, int]:
    if len(numbers) != 2:
        raise ValueError(f"{name} takes USER,STATION, got {len(numbers)} numbers")
    return numbers[0], numbers[1]


def _channel(options: argparse.Namespace, snr_db: float | None) -> Channel:
    return Channel(options.bandwidth, options.subcarriers, ula(options.antennas), snr_db=snr_db)
