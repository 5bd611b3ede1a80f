"""What a representation alone knows: simple readers, fitted on some links and tried on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from radiofix.models.labels import angle_of_arrival, time_of_arrival
from radiofix.types import SPEED_OF_LIGHT, Sounding, Truth

Array = NDArray[np.float64]

SHARE_TO_CHOOSE = 0.25
"""Of the labelled links, on which a reader's one setting is chosen."""
PENALTIES = np.logspace(-6, 4, 11)
NEIGHBOURS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Quantity:
    """Something that is asked of links."""

    unit: str
    period: float | None = None
    """Values this far apart are the same; None: no two are."""

    def errors(self, found: Float[Array, "link n"], truth: Float[Array, "link n"]) -> Array:
        """How far off each answer is."""
        away = found - truth
        if self.period is not None:
            away = away - self.period * np.round(away / self.period)
        length: Array = np.linalg.norm(away, axis=-1)
        return length


QUANTITIES: Mapping[str, Quantity] = {
    "position": Quantity("m"),
    "toa": Quantity("m"),
    "aoa": Quantity("degrees", period=360.0),
}
"""Position is horizontal; ToA is told as the way that takes so long."""


@dataclass(frozen=True)
class Known:
    """What is known of some links: what readers see of each, and what is true of it."""

    features: Mapping[str, Float[Array, "link feature"]]
    truth: Mapping[str, Float[Array, "link n"]]
    """By quantity; NaN where it is not asked."""


@dataclass(frozen=True)
class Answer:
    """How far off one reader of one representation is, on links that it was not fitted on."""

    features: str
    quantity: str
    reader: str
    mean: float
    median: float
    unit: str
    links: int


def answers(sounding: Sounding, truth: Truth) -> dict[str, Float[Array, "link n"]]:
    """What is true of each link; ToA and AoA where there is line of sight, else NaN."""
    sight = truth.line_of_sight[:, None]
    way = SPEED_OF_LIGHT * time_of_arrival(sounding, truth.position)[:, None]
    azimuth = angle_of_arrival(sounding, truth.position)[:, None].rad2deg()
    found = {
        "position": truth.position[:, :2],
        "toa": way.where(sight, float("nan")),
        "aoa": azimuth.where(sight, float("nan")),
    }
    return {name: values.double().cpu().numpy() for name, values in found.items()}


def probe(labelled: Known, held_out: Known, seed: int) -> list[Answer]:
    """Every reader of every representation, asked for every quantity."""
    return [
        judged(name, reader, quantity, found, held_out.truth[quantity])
        for name in labelled.features
        for quantity in QUANTITIES
        for reader in READERS
        for found in [_read(reader, name, quantity, labelled, held_out, seed)]
    ]


def judged(
    features: str,
    reader: str,
    quantity: str,
    found: Float[Array, "link n"],
    truth: Float[Array, "link n"],
) -> Answer:
    """The errors of what was found, over the links of which the quantity is asked."""
    asked = ~np.isnan(truth).any(-1)
    kind = QUANTITIES[quantity]
    errors = kind.errors(found[asked], truth[asked])
    mean, median = float(errors.mean()), float(np.median(errors))
    return Answer(features, quantity, reader, mean, median, kind.unit, int(asked.sum()))


def fit(
    reader: str,
    features: Float[Array, "link feature"],
    truth: Float[Array, "link n"],
    seed: int,
) -> Any:
    """A reader of standardised features; its setting is chosen on a share of the links by chance.

    Chosen by the mean absolute error, then fitted on all of them.
    """
    asked = ~np.isnan(truth).any(-1)
    model, settings = READERS[reader](int((1 - SHARE_TO_CHOOSE) * asked.sum()))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model),
        settings,
        scoring="neg_mean_absolute_error",
        cv=ShuffleSplit(1, test_size=SHARE_TO_CHOOSE, random_state=seed),
    )
    return search.fit(features[asked], truth[asked])


def ridge(links: int) -> tuple[Any, dict[str, list[float]]]:
    """Linear regression, and the penalties that are tried."""
    return Ridge(), {"ridge__alpha": PENALTIES.tolist()}


def neighbours(links: int) -> tuple[Any, dict[str, list[int]]]:
    """The mean label of the nearest, and how many are tried: never more than there are links."""
    counts = [count for count in NEIGHBOURS if count <= links]
    return KNeighborsRegressor(), {"kneighborsregressor__n_neighbors": counts}


READERS: Mapping[str, Callable[[int], tuple[Any, dict[str, Any]]]] = {
    "ridge": ridge,
    "neighbours": neighbours,
}


def _read(
    reader: str, name: str, quantity: str, labelled: Known, held_out: Known, seed: int
) -> Float[Array, "link n"]:
    truth = labelled.truth[quantity]
    found = fit(reader, labelled.features[name], truth, seed).predict(held_out.features[name])
    shaped: Array = np.asarray(found, dtype=np.float64).reshape(-1, truth.shape[1])
    return shaped
