"""`radiofix locate`: CSI to fixes, for tables, maps and networks."""

from __future__ import annotations

import argparse
import glob
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from radiofix.cli.engines import add_engine_to, engine
from radiofix.cli.terminal import (
    add_command,
    key_values,
    output_path,
    positive_float,
    positive_int,
    say,
)

if TYPE_CHECKING:
    from radiofix.serving.fixes import Fixes
    from radiofix.serving.geodesy import Origin
    from radiofix.serving.locating import Locates
    from radiofix.serving.on_the_map import OnTheMap
    from radiofix.serving.soundings import Reading, Source

STANDARD_INPUT = "-"
FORMATS = ("csv", "geojson", "json", "parquet")
SUFFIXES = (".npz", ".npy", ".mat", ".h5", ".hdf5")
"""Of the files that are taken out of a folder."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `locate`."""
    command = add_command(commands, "locate", run, "Tell where the users of some CSI were.")
    command.add_argument(
        "csi",
        nargs="+",
        metavar="CSI",
        help="stores, .npz, .npy, .mat or HDF5 files, folders or patterns of them; - reads one "
        "file from standard input",
    )
    command.add_argument(
        "--model",
        default="radiofix-nano",
        help="a name, a finished run, or a file of radiofix export",
    )
    add_engine_to(command)
    command.add_argument(
        "--stations",
        type=Path,
        default=None,
        help="a store, or a JSON or YAML file; None: those in the CSI's own file or store",
    )
    command.add_argument(
        "--map",
        type=Path,
        default=None,
        metavar="STORE",
        help="inside whose buildings no user stands, and to whose walls radiofix-cities follows "
        "waves",
    )
    command.add_argument(
        "--out", type=output_path, default=None, help="by its suffix: ." + ", .".join(FORMATS)
    )
    command.add_argument(
        "--format", choices=FORMATS, default=None, help="on standard output; None: csv"
    )
    command.add_argument(
        "--confidence", type=_percent, default=90.0, help="of the ellipses on maps [%%]"
    )
    command.add_argument(
        "--origin",
        type=_degrees,
        default=None,
        metavar="LATITUDE,LONGITUDE[,HEIGHT[,HEADING_OF_X]]",
        help="of the frame on the earth [deg, deg, m, deg clockwise from north]; None: the input's",
    )
    _add_reading(command)
    command.add_argument("--track", action="store_true", help="smooth moving users (needs times)")
    command.add_argument(
        "--acceleration",
        type=positive_float,
        default=1.0,
        help="of tracked users: change of speed that is usual within a second [m/s]",
    )
    command.add_argument("--users", type=positive_int, default=None, help="at most, of each input")
    command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")


def _add_reading(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--names",
        nargs="+",
        action="extend",
        default=[],
        metavar="OURS=THEIRS",
        help="what is called how in a file: csi=H time=t ...",
    )
    command.add_argument(
        "--axes", default=None, help='of the CSI in a file, as "user antenna subcarrier"'
    )
    command.add_argument("--bandwidth", type=positive_float, default=None, help="[Hz]")
    command.add_argument("--antennas", type=positive_int, default=None, help="of a store of paths")
    command.add_argument("--subcarriers", type=positive_int, default=None, help="likewise")
    command.add_argument("--snr-db", type=float, default=None, help="likewise; None: no noise")
    command.add_argument("--seed", type=int, default=0, help="of that noise")
    command.add_argument(
        "--ula-spacing", type=positive_float, default=None, help="of a line array [wavelengths]"
    )
    command.add_argument(
        "--first-subcarrier", type=int, default=None, help="number of the lowest; None: -(N // 2)"
    )


def run(options: argparse.Namespace) -> int:
    """Locates, and tells how many fixes there are and where."""
    if options.out is not None and options.format is not None:
        raise ValueError("--format is for standard output: --out has its format by its suffix")
    form = _format(options)
    start = time.monotonic()
    with ExitStack() as stack:
        reading = _reading(options)
        sources = _sources(_inputs(options.csi, stack), reading)
        first = next(sources)
        counted = {"fixes": 0, "trusted": 0}
        origin = first.site.origin if options.origin is None else _origin(options.origin)
        _write(options, form, origin, _blocks(options, first, sources), counted)
    seconds = time.monotonic() - start
    if options.out is None:
        return 0
    frame = "local, metres" if origin is None else "WGS 84"
    told = {"out": str(options.out), **counted, "frame": frame, "seconds": round(seconds, 3)}
    say(
        options,
        told,
        f"{options.out}: {counted['fixes']:,} fixes, {counted['trusted']:,} trusted, "
        f"in {seconds:.1f} s; frame: {frame}",
    )
    return 0


def _format(options: argparse.Namespace) -> str:
    if options.out is None:
        return str(options.format or ("json" if options.json else "csv"))
    from radiofix.serving.formats import format_of

    return format_of(options.out.suffix)


def _reading(options: argparse.Namespace) -> Reading:
    from radiofix.serving.sites import read_site
    from radiofix.serving.soundings import Reading

    return Reading(
        site=None if options.stations is None else read_site(options.stations),
        names=tuple((k, str(v)) for k, v in key_values(options.names).items()),
        **{
            name: getattr(options, name)
            for name in (
                "bandwidth",
                "antennas",
                "subcarriers",
                "ula_spacing",
                "first_subcarrier",
                "snr_db",
                "seed",
                "users",
                "axes",
            )
        },
    )


def _percent(text: str) -> float:
    value = positive_float(text)
    if value <= 1:
        raise argparse.ArgumentTypeError(f"is in percent, as 90, got {text}")
    return value


def _degrees(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers, got {text!r}") from None
    if not 2 <= len(numbers) <= 4:
        raise argparse.ArgumentTypeError(f"takes two to four numbers, got {text!r}")
    return numbers


def _origin(numbers: Sequence[float]) -> Origin:
    from radiofix.serving.geodesy import Origin

    return Origin(*numbers)


def _inputs(given: Sequence[str], stack: ExitStack) -> list[tuple[Path, str]]:
    """Files and stores in order, each with what messages call it."""
    found: list[tuple[Path, str]] = []
    for text in given:
        if text == STANDARD_INPUT:
            found.append((stack.enter_context(_spooled(sys.stdin.buffer)), "standard input"))
        else:
            found.extend((path, str(path)) for path in _paths(text))
    return found


def _paths(text: str) -> list[Path]:
    path = Path(text)
    if not path.exists() and glob.has_magic(text):
        matching = sorted(Path(match) for match in glob.glob(text))
        if not matching:
            raise ValueError(f"{text} matches no file: mend the pattern")
        return matching
    if not path.is_dir() or _is_store(path):
        return [path]
    inside = [p for p in sorted(path.iterdir()) if _is_store(p) or p.suffix.lower() in SUFFIXES]
    if not inside:
        raise ValueError(f"{path} holds neither a store nor a file of {', '.join(SUFFIXES)}")
    return inside


def _is_store(path: Path) -> bool:
    return (path / "zarr.json").is_file()


@contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[Path]:
    """Standard input as a file: the formats keep their table of contents at the end."""
    with tempfile.TemporaryDirectory(prefix="radiofix-") as folder:
        path = Path(folder) / "input"
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        if not path.stat().st_size:
            raise ValueError("standard input is empty: pipe a file of CSI into it")
        yield path


def _sources(inputs: Sequence[tuple[Path, str]], reading: Reading) -> Iterator[Source]:
    """Opens each input when its turn comes; all must lie in one frame."""
    from radiofix.serving.locating import open_source

    origin = None
    for number, (path, title) in enumerate(inputs):
        source = open_source(path, reading, title)
        if number and source.site.origin != origin:
            raise ValueError(
                f"{source.name} has another origin than {inputs[0][1]}: locate them one by one"
            )
        origin = source.site.origin
        yield source


def _blocks(
    options: argparse.Namespace, first: Source, others: Iterator[Source]
) -> Iterator[Fixes]:
    from radiofix.serving.locating import locate
    from radiofix.serving.tracking import Motion, smooth

    model = _model(options)
    outdoors = _outdoors(options, first, model)

    def located() -> Iterator[Fixes]:
        yield from locate(model, first.blocks(), device=options.device)
        for source in others:
            yield from locate(model, source.blocks(), device=options.device)

    fixes = located() if outdoors is None else map(outdoors.block, located())
    return smooth(fixes, Motion(options.acceleration)) if options.track else fixes


def _outdoors(options: argparse.Namespace, first: Source, model: Locates) -> OnTheMap | None:
    if options.map is None:
        return None
    from radiofix.data.store import open_paths
    from radiofix.serving.on_the_map import map_round

    return map_round(open_paths(options.map), first, model)


def _model(options: argparse.Namespace) -> Locates:
    from radiofix.models.pretrained import load
    from radiofix.serving.engines import SUFFIX

    if options.device == "cpu":
        return engine(options, options.model).model
    if options.engine == "onnx" or options.model.endswith(SUFFIX):
        raise ValueError(f"device={options.device!r} is for torch: leave it out with ONNX")
    return load(options.model).to(_device(options.device))


def _device(name: str) -> str:
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):
        raise ValueError(f"device={name!r} is not there: take cpu, cuda or cuda:N") from None
    return name


def _write(
    options: argparse.Namespace,
    form: str,
    origin: Origin | None,
    blocks: Iterator[Fixes],
    counted: dict[str, int],
) -> None:
    from radiofix.files import whole_file
    from radiofix.serving.columns import Style
    from radiofix.serving.formats import FORMATS as WRITERS

    style = Style(origin, options.confidence / 100, options.track)
    with ExitStack() as stack:
        stream: IO[bytes] = (
            sys.stdout.buffer
            if options.out is None
            else stack.enter_context(whole_file(options.out))
        )
        writer = stack.enter_context(WRITERS[form](stream, style))
        bar = stack.enter_context(_progress(options))
        task = bar.add_task("located", total=None)
        for fixes in blocks:
            writer.write(fixes)
            counted["fixes"] += len(fixes)
            counted["trusted"] += int(fixes.trusted.sum())
            bar.advance(task, len(fixes))
    if options.out is None:
        # Here a reader that has gone is noticed in time to be forgiven.
        sys.stdout.flush()


def _progress(options: argparse.Namespace) -> Progress:
    """A count and a rate for who writes to a file and looks on."""
    quiet = options.json or options.out is None or not sys.stderr.isatty()
    shown = (
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,.0f} fixes,"),
        TimeElapsedColumn(),
    )
    return Progress(*shown, console=Console(stderr=True), transient=True, disable=quiet)
