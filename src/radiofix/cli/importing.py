"""`radiofix import`: what others have traced or measured becomes a store."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from radiofix.cli.terminal import (
    add_command,
    key_values,
    output_path,
    positive_float,
    positive_int,
    say,
    whole_numbers,
)
from radiofix.data.importers.arrays import import_arrays
from radiofix.data.importers.deepmimo import import_deepmimo
from radiofix.data.importers.lwlm import import_lwlm
from radiofix.data.store import open_paths


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `import deepmimo`, `import lwlm` and `import arrays`."""
    description = "Turn what others traced or measured into a store."
    kinds = commands.add_parser(
        "import", help=description, description=description, allow_abbrev=False
    ).add_subparsers(metavar="KIND", required=True, parser_class=type(_any(commands)))
    deepmimo = _add(kinds, "deepmimo", deepmimo_folder, "A DeepMIMO scenario folder, v3 or v4.")
    deepmimo.add_argument("--stations", type=whole_numbers, default=None, help="numbers as 1,3")
    lwlm = _add(kinds, "lwlm", lwlm_folder, "HDF5 samples in the layout of the public LWLM code.")
    lwlm.add_argument("--bandwidth", type=positive_float, default=None, help="which samples [Hz]")
    lwlm.add_argument("--antennas", type=positive_int, default=32)
    lwlm.add_argument("--axes", default=None, help='"antenna subcarrier" or the other way round')
    lwlm.add_argument("--frequency", type=positive_float, default=3.5e9, help="carrier [Hz]")
    arrays = _add(kinds, "arrays", arrays_file, "Measured CSI in an .npz, .mat or HDF5 file.")
    arrays.add_argument(
        "--names",
        nargs="+",
        required=True,
        metavar="OURS=THEIRS",
        help="what is called how in the file: csi=H user_position=pos ...",
    )
    arrays.add_argument("--axes", required=True, help='of the CSI, as "user antenna subcarrier"')
    arrays.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="what the file does not hold: carrier_frequency=3.5e9 bandwidth=2e7 ula_spacing=0.5 "
        "station_position=[0,0,10] station_orientation=[0,0,0] user_height=1.5 ...",
    )


def _any(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    return next(iter(commands.choices.values()))


def _add(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], None],
    description: str,
) -> argparse.ArgumentParser:
    def import_and_say(options: argparse.Namespace) -> int:
        if not options.source.exists():
            raise ValueError(f"{options.source} does not exist: name what is to be imported")
        run(options)
        store = open_paths(options.out)
        sizes = {str(k): int(v) for k, v in store.dataset.sizes.items()}
        say(options, {"store": str(options.out), **sizes}, f"{options.out} made: {store!r}")
        return 0

    command = add_command(kinds, name, import_and_say, description)
    command.add_argument("source", type=Path)
    command.add_argument("--out", type=output_path, required=True, metavar="STORE")
    return command


def deepmimo_folder(options: argparse.Namespace) -> None:
    """Imports a DeepMIMO folder."""
    import_deepmimo(options.source, options.out, options.stations)


def lwlm_folder(options: argparse.Namespace) -> None:
    """Imports the LWLM code's samples."""
    import_lwlm(
        options.source,
        options.out,
        options.bandwidth,
        options.antennas,
        options.axes,
        options.frequency,
    )


def arrays_file(options: argparse.Namespace) -> None:
    """Imports measured CSI by a mapping of names."""
    names = {key: str(value) for key, value in key_values(options.names).items()}
    given = key_values(options.set)
    known = set(import_arrays.__kwdefaults__ or {})
    if unknown := sorted(set(given) - known):
        raise ValueError(f"--set {unknown[0]} is not known: it takes {', '.join(sorted(known))}")
    import_arrays(options.source, options.out, names, options.axes, **given)
