"""Places that a survey chose, as a table and as a map."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from radiofix.serving.columns import DEGREES, METRES, Style
from radiofix.serving.geodesy import Origin
from radiofix.serving.survey import Place
from radiofix.version import __version__

FORMATS = (".csv", ".geojson")


def columns(place: Place, origin: Origin | None) -> dict[str, Any]:
    """One place as named values, a unit in every name."""
    x, y, z = (round(value, METRES) for value in place.position)
    found: dict[str, Any] = {"rank": place.rank, "user": place.user, "x_m": x, "y_m": y, "z_m": z}
    if origin is not None:
        latitude, longitude, height = map(float, origin.geographic(place.position))
        found["latitude_deg"] = round(latitude, DEGREES)
        found["longitude_deg"] = round(longitude, DEGREES)
        found["height_m"] = round(height, METRES)
    return found | {
        "sigma_m": round(place.deviation, METRES),
        "trusted": place.trusted,
        "stands_for": place.stands_for,
        "share_percent": round(100 * place.share, METRES),
        "nearest_m": round(place.nearest, METRES) if math.isfinite(place.nearest) else None,
        "reason": place.reason,
    }


def as_csv(places: Sequence[Place], origin: Origin | None) -> str:
    """A row a place."""
    text = io.StringIO(newline="")
    rows = [columns(place, origin) for place in places]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"trusted": str(row["trusted"]).lower()})
    return text.getvalue()


def as_geojson(places: Sequence[Place], origin: Origin | None, told: Mapping[str, Any]) -> str:
    """RFC 7946, a point a place; `told` stands beside the features."""
    features = []
    for place in places:
        found = columns(place, origin)
        names = ("x_m", "y_m") if origin is None else ("longitude_deg", "latitude_deg")
        point = {"type": "Point", "coordinates": [found[name] for name in names]}
        features.append({"type": "Feature", "geometry": point, "properties": found})
    whole = {
        "type": "FeatureCollection",
        "generator": f"radiofix {__version__}",
        "frame": Style(origin).frame,
        **told,
        "features": features,
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def plain(place: Place) -> dict[str, Any]:
    """For JSON: an infinite distance is none."""
    nearest = place.nearest if math.isfinite(place.nearest) else None
    return {**asdict(place), "nearest": nearest}
