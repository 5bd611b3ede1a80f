"""Fixes for maps and for networks: GeoJSON, and JSON in the words of LPP."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from radiofix.serving.columns import DEGREES, METRES, Style, cells, columns
from radiofix.serving.ellipses import ellipses, scale_of
from radiofix.serving.fixes import Fixes
from radiofix.serving.writer import FixWriter
from radiofix.version import __version__


class _ListWriter(FixWriter):
    """One JSON object with a list that is written as it comes."""

    def __init__(self, stream: IO[bytes], style: Style) -> None:
        super().__init__(stream, style)
        self._before: str | None = None

    @property
    @abstractmethod
    def head(self) -> Mapping[str, Any]:
        """The object's members beside the list."""

    @property
    @abstractmethod
    def list_name(self) -> str:
        """The member that holds the list."""

    @abstractmethod
    def items(self, fixes: Fixes) -> Iterable[Mapping[str, Any]]:
        """Of one block."""

    def write(self, fixes: Fixes) -> None:
        """Adds a block."""
        for item in self.items(fixes):
            text = json.dumps(item, allow_nan=False)
            self.stream.write(f"{self._opening()}{text}".encode())

    def finish(self) -> None:
        """Closes the list and the object."""
        if self._before is None:
            self.stream.write(self._opening().encode())
        self.stream.write(b"\n]}\n")

    def _opening(self) -> str:
        """What stands in front of the next item: the head, or a comma."""
        if self._before is None:
            self._before = ",\n"
            head = json.dumps(self.head, allow_nan=False)[:-1]
            return f'{head}, "{self.list_name}": [\n'
        return self._before


class GeoJsonWriter(_ListWriter):
    """RFC 7946: of each fix a point and, where it has a place, the polygon of its ellipse."""

    @property
    def list_name(self) -> str:
        """As the RFC has it."""
        return "features"

    @property
    def head(self) -> Mapping[str, Any]:
        """A local frame is said to be one: the RFC knows only WGS 84."""
        made = {"generator": f"radiofix {__version__}", "frame": self.style.frame}
        return {"type": "FeatureCollection", **made, "ellipse_confidence": self.style.confidence}

    def items(self, fixes: Fixes) -> Iterator[Mapping[str, Any]]:
        """Points with all columns as properties, polygons with what tells whose they are."""
        found = columns(fixes, self.style)
        outline = _outlines(fixes, self.style)
        points = self._coordinates(fixes.position)
        rings = self._coordinates(_at_height(outline, fixes.position))[..., :2]
        listed = [cells(name, column) for name, column in found.items()]
        for row, values in enumerate(zip(*listed, strict=True)):
            properties = dict(zip(found, values, strict=True))
            known = bool(fixes.known[row])
            point = {"type": "Point", "coordinates": points[row].tolist()} if known else None
            yield {"type": "Feature", "geometry": point, "properties": properties}
            if known:
                ring = rings[row].tolist()
                polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
                told = {name: properties[name] for name in ("source", "user", "time_s", "trusted")}
                yield {
                    "type": "Feature",
                    "geometry": polygon,
                    "properties": {**told, "confidence": self.style.confidence},
                }

    def _coordinates(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Longitude, latitude, height; or x, y, z."""
        if self.style.origin is None:
            return position.round(METRES)
        place = self.style.origin.geographic(position)
        degrees = place[..., [1, 0]].round(DEGREES)
        return np.concatenate([degrees, place[..., 2:].round(METRES)], -1)


class LppWriter(_ListWriter):
    """The words of 3GPP's LPP and TS 23.032, in metres and degrees instead of coded integers."""

    @property
    def list_name(self) -> str:
        """The fixes."""
        return "fixes"

    @property
    def head(self) -> Mapping[str, Any]:
        """The frame, and the unit of every number."""
        units = {
            "time": "s",
            "degreesLatitude": "deg",
            "degreesLongitude": "deg",
            "xValue": "m",
            "yValue": "m",
            "uncertaintySemiMajor": "m",
            "uncertaintySemiMinor": "m",
            "orientationMajorAxis": "deg clockwise from north",
            "confidence": "percent",
        }
        return {
            "generator": f"radiofix {__version__}",
            "frame": self.style.frame,
            "units": units,
        }

    def items(self, fixes: Fixes) -> Iterator[Mapping[str, Any]]:
        """One location estimate a fix; null where nobody heard the user."""
        found = columns(fixes, self.style)
        listed = {name: cells(name, column) for name, column in found.items()}
        reach = scale_of(self.style.share)
        ellipse = ellipses(fixes.covariance)
        for row in range(len(fixes)):
            cell = {name: values[row] for name, values in listed.items()}
            estimate = None
            if fixes.known[row]:
                estimate = self._point(cell) | {
                    "uncertaintySemiMajor": round(reach * float(ellipse.major[row]), METRES),
                    "uncertaintySemiMinor": round(reach * float(ellipse.minor[row]), METRES),
                    "orientationMajorAxis": cell["major_axis_deg_from_north"],
                    "confidence": self.style.confidence,
                }
            whose = {"source": cell["source"], "user": cell["user"], "track": cell["track"]}
            velocity = {k: v for k, v in cell.items() if k.startswith("velocity")}
            yield {
                **whose,
                "time": cell["time_s"],
                "trusted": cell["trusted"],
                "stations": cell["stations"],
                self._shape: estimate,
                **velocity,
            }

    @property
    def _shape(self) -> str:
        if self.style.origin is None:
            return "local2dPointWithUncertaintyEllipse"
        return "ellipsoidPointWithUncertaintyEllipse"

    def _point(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        if self.style.origin is None:
            return {"xValue": cell["x_m"], "yValue": cell["y_m"]}
        return {
            "degreesLatitude": cell["latitude_deg"],
            "degreesLongitude": cell["longitude_deg"],
        }


def _outlines(fixes: Fixes, style: Style) -> NDArray[np.float64]:
    return ellipses(fixes.covariance).outline(fixes.position[:, :2], style.share)


def _at_height(outline: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
    height = np.broadcast_to(position[:, None, 2:], (*outline.shape[:2], 1))
    return np.concatenate([outline, height], -1)
