"""Puts the paths of every link in the order that a store keeps: strongest first, then none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from radiofix.data import schema
from radiofix.data.store import Array

TIE_BREAKERS = ("delay", "station_azimuth", "station_zenith", "user_azimuth", "user_zenith")
"""What decides between paths of equal power, so that one scene always gives one order."""


def strongest_first(
    fields: Mapping[str, Array], present: NDArray[np.bool_], count: int | None = None
) -> dict[str, Array]:
    """Sorts (user, station, path) fields by falling power, in the schema's types.

    Args:
        fields: every name of `schema.PATH_VARIABLES`, each (user, station, path).
        present: where there is a path; all else becomes gain 0, delay 0, interactions -1.
        count: paths to keep a link: the weakest are cut, or places without a path added.
            By default as many as the richest link has, at least one.
    """
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    columns = count if count is not None else max(1, int(present.sum(-1).max(initial=0)))
    power = np.where(present, np.abs(fields["gain"]), -1.0)
    keys = [np.where(present, fields[name], 0.0) for name in reversed(TIE_BREAKERS)]
    order = np.lexsort((*keys, -power), axis=-1)[..., :columns]
    kept = np.take_along_axis(present, order, axis=-1)
    padding = [(0, 0)] * (present.ndim - 1) + [(0, max(0, columns - present.shape[-1]))]
    result = {}
    for name, variable in schema.PATH_VARIABLES.items():
        nothing = np.asarray(-1 if name == "interactions" else 0, dtype=variable.dtype)
        # Absent places may hold NaN, which no integer type can take: blank them before the cast.
        blanked = np.where(kept, np.take_along_axis(fields[name], order, axis=-1), nothing)
        result[name] = np.pad(
            blanked.astype(variable.dtype), padding, constant_values=nothing.item()
        )
    return result


def wrapped(angle: Array) -> Array:
    """The same angles [rad] within [-pi, pi)."""
    return (np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi
