"""Fixes as a client gets them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydantic_core
from numpy.typing import NDArray

from radiofix.serving.columns import Style
from radiofix.serving.fixes import NO_TRACK, Fixes
from radiofix.serving.geodesy import Origin
from radiofix.serving.sites import Site
from radiofix.types import Station


def fixes_json(fixes: Fixes, site: Site) -> bytes:
    """A JSON list of `FixMade`, every number in full."""
    places = geographic(fixes.position, site.origin)
    columns = (
        fixes.user.tolist(),
        fixes.time.tolist(),
        fixes.track.tolist(),
        fixes.position.tolist(),
        fixes.covariance.tolist(),
        places,
        fixes.trusted.tolist(),
        fixes.station.tolist(),
        fixes.weight.tolist(),
        fixes.known.tolist(),
    )
    names = [station.name for station in site.stations]
    made = [
        {
            "user": user,
            "time": time,
            "track": None if track == NO_TRACK else track,
            "position": position if known else None,
            "covariance": covariance if known else None,
            "geographic": place if known else None,
            "trusted": trusted,
            "stations": [
                {"station": number, "name": names[number], "weight": weight}
                for number, weight in zip(stations, weights, strict=True)
                if number >= 0
            ],
        }
        for (
            user,
            time,
            track,
            position,
            covariance,
            place,
            trusted,
            stations,
            weights,
            known,
        ) in zip(*columns, strict=True)
    ]
    # A time that nobody told is NaN, which JSON knows as null.
    return pydantic_core.to_json(made, inf_nan_mode="null")


def answer(model: str, site: Site, number: int, fixes: bytes) -> bytes:
    """A `LocateAnswer` round fixes that are JSON already."""
    told = {"model": model, "frame": Style(site.origin).frame, "number": number}
    head = pydantic_core.to_json(told)
    return head[:-1] + b',"fixes":' + fixes + b"}\n"


def stations_told(site: Site | None) -> dict[str, Any]:
    """A `StationsAnswer`."""
    if site is None:
        return {"frame": Style().frame, "stations": []}
    places = geographic(site.position.numpy(), site.origin)
    return {
        "frame": Style(site.origin).frame,
        "stations": [
            _station(station, place) for station, place in zip(site.stations, places, strict=True)
        ],
    }


def geographic(position: NDArray[np.float64], origin: Origin | None) -> list[Any]:
    """Latitude, longitude [deg], height [m] of places (row, 3); None each without an origin."""
    if origin is None:
        return [None] * len(position)
    return list(origin.geographic(position).tolist())


def _station(station: Station, place: Any) -> dict[str, Any]:
    return {
        "name": station.name,
        "position": station.position.tolist(),
        "orientation": station.orientation.tolist(),
        "carrier_frequency": station.carrier_frequency,
        "geographic": place,
    }
