"""`radiofix survey`: where a site's next labelled points should be taken, and what they buy."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiofix.cli.terminal import add_command, output_path, positive_float, positive_int, say

if TYPE_CHECKING:
    from radiofix.data.store import PathStore
    from radiofix.models.localizer import Localizer
    from radiofix.serving.chosen import Rows
    from radiofix.serving.learning import Known
    from radiofix.serving.soundings import Reading
    from radiofix.serving.survey import Candidates


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `survey`."""
    command = add_command(
        commands, "survey", run, "Tell where to take a site's next labelled points, and why there."
    )
    command.add_argument("store", metavar="STORE", type=Path, help="of channels heard at the site")
    command.add_argument("--model", default="radiofix-nano", help="a name or a finished run")
    command.add_argument("--points", type=positive_int, default=100)
    command.add_argument(
        "--out", type=output_path, required=True, metavar="PLACES", help=".csv or .geojson"
    )
    command.add_argument(
        "--labelled",
        type=Path,
        default=None,
        metavar="CSV",
        help="users (column user: rows of the store) whose places are known; None: of a measured "
        "store those with a position, of a store of paths nobody",
    )
    command.add_argument(
        "--curves", type=Path, default=None, metavar="RESULTS", help="of bench pretraining, beside"
        " those that come with the package"
    )  # fmt: skip
    command.add_argument(
        "--no-tuning", action="store_true", help="learn nothing from labelled points: seconds"
    )
    command.add_argument("--bandwidth", type=positive_float, default=10e6, help="of paths [Hz]")
    command.add_argument("--antennas", type=positive_int, default=32, help="likewise")
    command.add_argument("--subcarriers", type=positive_int, default=128, help="likewise")
    command.add_argument("--snr-db", type=float, default=None, help="likewise; None: no noise")
    command.add_argument("--seed", type=int, default=0, help="which users are looked at")


def run(options: argparse.Namespace) -> int:
    """Writes the places, and tells the error to expect with more labels."""
    from radiofix.data.store import open_paths
    from radiofix.files import whole_file
    from radiofix.models.pretrained import load
    from radiofix.serving import places
    from radiofix.serving.learning import (
        expect,
        known_claims,
        known_curves,
        learn,
        read_results,
        stated_median,
    )
    from radiofix.serving.sites import site_of
    from radiofix.serving.survey import candidates, survey

    if options.out.suffix not in places.FORMATS:
        raise ValueError(f"{options.out.name} is no table's name: end it in .csv or .geojson")
    store, model = open_paths(options.store), load(options.model)
    reading = _reading(options, store)
    labelled = _labelled(options.labelled, store)
    curves = known_curves() + ([] if options.curves is None else read_results(options.curves))
    prior = learn(curves, known_claims())
    rows = _rows(store, labelled, options.seed)
    found = candidates(model, store, rows, reading, options.seed)
    chosen = survey(found, options.points, labelled)
    measured = [] if options.no_tuning else _measured(model, store, labelled, reading, options.seed)
    expected = expect(prior, stated_median(found.covariance), measured)
    told: dict[str, Any] = {
        "expected_median_error": [
            {"labels": e.labels, "median_m": e.median, "low_m": e.low, "high_m": e.high}
            for e in expected
        ],
        "basis": _basis(prior.basis, found, measured),
    }
    origin = site_of(store).origin
    text = (
        places.as_csv(chosen, origin)
        if options.out.suffix == ".csv"
        else places.as_geojson(chosen, origin, told)
    )
    with whole_file(options.out) as file:
        file.write(text.encode())
    lines = "\n".join(
        f"{e.labels:>6} labels: {e.median:6.2f} m at the median, likely {e.low:.2f} to {e.high:.2f}"
        for e in expected
    )
    say(
        options,
        {"out": str(options.out), **told, "places": [places.plain(place) for place in chosen]},
        f"{options.out}: {len(chosen)} places of {len(found):,} users heard\n\n"
        f"error to expect (in four of five cases):\n{lines}\nlearnt from: {told['basis']}",
    )
    return 0


def _reading(options: argparse.Namespace, store: PathStore) -> Reading:
    from radiofix.serving.soundings import Reading

    if store.measured:
        return Reading()
    names = ("bandwidth", "antennas", "subcarriers", "snr_db", "seed")
    return Reading(**{name: getattr(options, name) for name in names})


def _labelled(path: Path | None, store: PathStore) -> Rows:
    """Rows of the users whose places are known."""
    import numpy as np

    if path is None:
        known = np.flatnonzero(store.labelled) if store.measured else np.empty(0)
        return known.astype(np.int64)
    with path.open(newline="") as file:
        table = csv.DictReader(file)
        if "user" not in (table.fieldnames or ()):
            raise ValueError(f"{path} has no column user: name the rows of the store in one")
        try:
            rows = np.unique(np.array([int(line["user"]) for line in table], dtype=np.int64))
        except (TypeError, ValueError):
            raise ValueError(f"{path}: column user must be whole numbers") from None
    if len(rows) and not 0 <= rows[0] <= rows[-1] < store.users:
        raise ValueError(f"{path} names user {rows[-1]}, {store.path} has {store.users}")
    return rows


def _rows(store: PathStore, labelled: Rows, seed: int) -> Rows:
    """Users to look at: those with a label first, the others in the order that the seed draws."""
    import numpy as np

    from radiofix.serving.survey import CANDIDATES

    others = np.setdiff1d(np.arange(store.users), labelled)
    drawn = np.random.default_rng(seed).permutation(others)
    return np.concatenate([labelled, drawn])[:CANDIDATES].astype(np.int64)


def _measured(
    model: Localizer, store: PathStore, labelled: Rows, reading: Reading, seed: int
) -> list[Known]:
    from radiofix.serving.chosen import chosen_links, truth_of
    from radiofix.serving.learning import FEWEST, measure

    if len(labelled) < FEWEST:
        return []
    sounding = chosen_links(store, labelled, reading)
    return measure(model, sounding, truth_of(store, sounding), seed)


def _basis(prior: str, found: Candidates, measured: list[Known]) -> str:
    """What the expectation rests on, in words."""
    here = f"the errors that the model states for {len(found):,} users here"
    if measured:
        tried = ", ".join(f"{k.median:.2f} m with {k.labels}" for k in measured)
        here += f"; short fine-tunings here ({tried} labels)"
    return f"{prior}; {here}"
