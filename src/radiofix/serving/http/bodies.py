"""Bodies of requests: read within bounds, and turned into what is asked by their media type."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import pydantic_core
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from radiofix.data.store import Array
from radiofix.serving.http import arrow
from radiofix.serving.http.asking import Asked, names_of
from radiofix.serving.http.files import read_apart, read_file
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.npz import read_npz
from radiofix.serving.http.refusals import Refusal
from radiofix.serving.http.schemas import LocateRequest, StationSent
from radiofix.serving.sites import Site
from radiofix.types import Station

JSON, NPZ = "application/json", "application/x-npz"
ARROW = "application/vnd.apache.arrow.stream"
FILES = ("application/x-hdf5", "application/x-matlab-data", "application/x-npy")
"""Which of them a file is, its first bytes tell."""
NUMBERS = ("bandwidth", "ula_spacing", "first_subcarrier")
PLACES = ("antenna_position", "antenna_wavelengths", "user_position")
ROWS = ("frequency", "user", "time", "track", "station")
SITE = ("station_position", "station_orientation", "carrier_frequency")
NAMES = ("csi", "csi_real", "csi_imag", *NUMBERS, *ROWS, *PLACES, *SITE, "stations")
"""Of the arrays that are read."""
Decoder = Callable[[bytes, Limits], Asked]


class Intake:
    """Reads bodies, no more of them at a time than there is room for."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.count = 0
        """Bodies that are being read or unpacked."""
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body; its room is free again when the context is left."""
        most = self.limits.body_bytes
        if media_type(request) == JSON:
            most = min(most, self.limits.json_bytes)
        said = request.headers.get("content-length", "")
        size = int(said) if said.isdecimal() else most
        # A body that is too large is read to its refusal, and takes no room.
        room = size if size <= most else 0
        if self._held + room > self.limits.bodies * self.limits.body_bytes:
            raise Refusal(503, "too many bodies are being read: come again", {"Retry-After": "1"})
        self._held, self.count = self._held + room, self.count + 1
        try:
            yield await self._read(request, most)
        finally:
            self._held, self.count = self._held - room, self.count - 1

    async def _read(self, request: Request, most: int) -> bytes:
        """Bodies too large are read on for a while: who still sends hears no refusal."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                async for part in request.stream():
                    size += len(part)
                    if size <= most:
                        parts.append(part)
                    else:
                        parts.clear()
                    if size > most + 4 * self.limits.body_bytes:
                        break
        except TimeoutError:
            raise Refusal(
                408, f"the body did not come within {self.limits.read_seconds:g} s"
            ) from None
        except ClientDisconnect:
            raise Refusal(400, "the client went away") from None
        if size > most:
            raise Refusal(
                413, f"the body exceeds {most / 1e6:g} MB: send it in parts, or as npz ({NPZ})"
            )
        return b"".join(parts)


def media_type(request: Request) -> str:
    """Of the body; what only says that it is bytes is taken for an .npz."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return NPZ if kind in ("application/octet-stream", "application/zip") else kind


def decoder_of(request: Request) -> Decoder:
    """How the body is to be read."""
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding != "identity":
        raise Refusal(415, f"Content-Encoding {coding[:40]} is not taken: send the body as it is")
    kind = media_type(request)
    if kind == ARROW and not arrow.available():
        raise Refusal(415, "this server has no pyarrow: send npz, or install radiofix[parquet]")
    if kind not in DECODERS:
        raise Refusal(415, f"Content-Type {kind[:60]!r} is none of {', '.join(DECODERS)}")
    return DECODERS[kind]


def completed(asked: Asked, query: Mapping[str, str]) -> Asked:
    """What was asked, with the bandwidth and the antennas' spacing of the query if it lacks them.

    Args:
        asked: in the body.
        query: of the address.
    """
    lacking = []
    if asked.bandwidth is None and asked.frequency is None:
        lacking.append("bandwidth")
    if asked.ula_spacing is None and asked.antenna_position is None:
        lacking += ["ula_spacing"] * (asked.antenna_wavelengths is None)
    given: dict[str, Any] = {name: _number(name, query[name]) for name in lacking if name in query}
    return dataclasses.replace(asked, **given)


def from_json(body: bytes, limits: Limits) -> Asked:
    """Small requests."""
    try:
        parsed = pydantic_core.from_json(body)
    except ValueError as error:
        raise Refusal(400, f"the body is no JSON: {error}") from error
    try:
        sent = LocateRequest.model_validate(parsed)
    except ValidationError as error:
        raise ValueError(_first(error)) from error
    found: dict[str, Any] = {n: getattr(sent, n) for n in NUMBERS}
    for name in (*ROWS, *PLACES):
        values = getattr(sent, name)
        found[name] = None if values is None else _floats(name, values)
    csi = _joined(_even("csi_real", sent.csi_real), _even("csi_imag", sent.csi_imag))
    return Asked(csi, stations=_stations(sent.stations), **found)


def from_npz(body: bytes, limits: Limits) -> Asked:
    """Large requests: what `numpy.savez` writes."""
    return _from_arrays(dict(_refused(read_npz, body, limits)))


def from_file(body: bytes, limits: Limits) -> Asked:
    """What else people keep CSI in."""
    return _from_arrays(dict(_refused(read_file, body, limits)))


def from_arrow(body: bytes, limits: Limits) -> Asked:
    """Large requests from the world of tables."""
    read = _refused(partial(read_apart, reader=arrow.read_arrow), body, limits)
    found = {
        name: values if isinstance(values, np.ndarray) else _even(name, values)
        for name, values in read.items()
        if name in NAMES
    }
    return _from_arrays(found)


DECODERS: Mapping[str, Decoder] = {
    JSON: from_json,
    NPZ: from_npz,
    ARROW: from_arrow,
    **dict.fromkeys(FILES, from_file),
}
"""By the media type of the body."""
APART = (from_arrow, from_file)
"""Those that wait for a process of their own."""


def _refused(
    read: Callable[[bytes, tuple[str, ...], int], Mapping[str, Any]], body: bytes, limits: Limits
) -> Mapping[str, Any]:
    try:
        return read(body, NAMES, limits.body_bytes)
    except ValueError as error:
        raise Refusal(400, str(error)) from error


def _from_arrays(found: dict[str, Array]) -> Asked:
    asked: dict[str, Any] = {}
    for name in NUMBERS:
        asked[name] = None if name not in found else _one(name, found[name])
    if asked["first_subcarrier"] is not None:
        asked["first_subcarrier"] = int(asked["first_subcarrier"])
    for name in ROWS:
        asked[name] = None if name not in found else _real(name, found[name]).reshape(-1)
    for name in PLACES:
        asked[name] = None if name not in found else _real(name, found[name])
    return Asked(_csi_of(found), stations=_stations_of(found), **asked)


def _csi_of(found: Mapping[str, Array]) -> Array:
    if ("csi" in found) == ("csi_real" in found or "csi_imag" in found):
        raise ValueError("the request needs either csi, or csi_real and csi_imag")
    if "csi" in found:
        if found["csi"].dtype.kind != "c":
            raise ValueError("csi is not complex: send csi_real and csi_imag")
        return found["csi"]
    if missing := [name for name in ("csi_real", "csi_imag") if name not in found]:
        raise ValueError(f"the request lacks {missing[0]}: send it")
    return _joined(found["csi_real"], found["csi_imag"])


def _joined(real: Array, imaginary: Array) -> Array:
    if real.shape != imaginary.shape:
        raise ValueError(
            f"csi_real has shape {real.shape}, csi_imag {imaginary.shape}: send two alike"
        )
    for name, part in (("csi_real", real), ("csi_imag", imaginary)):
        if part.dtype.kind not in "iuf":
            raise ValueError(f"{name} must be an even block of numbers: mend its rows")
    with np.errstate(over="ignore", invalid="ignore"):
        csi = np.empty(real.shape, dtype=np.complex64)
        csi.real, csi.imag = real, imaginary
    return csi


def _stations_of(found: Mapping[str, Array]) -> Site | tuple[str, ...] | None:
    own = [name for name in SITE if name in found]
    if "stations" in found:
        if own:
            raise ValueError(f"the request has stations and {own[0]}: leave one out")
        if found["stations"].dtype.kind != "U":
            raise ValueError("stations must be names of the server's stations")
        return names_of([str(name) for name in found["stations"].reshape(-1)])
    if not own:
        return None
    if missing := [name for name in SITE if name not in found]:
        raise ValueError(f"the request lacks {missing[0]}: send it, or leave {own[0]} out")
    position, orientation = (_threes(name, found[name]) for name in SITE[:2])
    if len(orientation) != len(position):
        raise ValueError(
            f"{len(position)} rows of station_position, {len(orientation)} of station_orientation"
        )
    carrier = _real("carrier_frequency", found["carrier_frequency"]).reshape(-1)
    if carrier.size not in (1, len(position)):
        raise ValueError(f"carrier_frequency must be one or {len(position)} numbers [Hz]")
    carrier = np.broadcast_to(carrier, len(position))
    return _site(
        [
            StationSent(position=tuple(p), orientation=tuple(o), carrier_frequency=f, name=str(i))
            for i, (p, o, f) in enumerate(
                zip(position.tolist(), orientation.tolist(), carrier.tolist(), strict=True)
            )
        ]
    )


def _stations(sent: Sequence[StationSent] | Sequence[str] | None) -> Site | tuple[str, ...] | None:
    if sent is None:
        return None
    described = [station for station in sent if isinstance(station, StationSent)]
    return _site(described) if described else names_of([s for s in sent if isinstance(s, str)])


def _site(sent: Sequence[StationSent]) -> Site:
    for number, station in enumerate(sent):
        numbers = (*station.position, *station.orientation, station.carrier_frequency)
        if not np.isfinite(numbers).all() or station.carrier_frequency <= 0:
            raise ValueError(f"station {number} must have finite numbers and a positive carrier")
    return Site(
        tuple(
            Station(
                torch.tensor(station.position, dtype=torch.float64),
                torch.tensor(station.orientation, dtype=torch.float64),
                station.carrier_frequency,
                station.name or str(number),
            )
            for number, station in enumerate(sent)
        )
    )


def _even(name: str, values: Any) -> Array:
    try:
        return np.asarray(values)
    # Rows of different lengths; whole numbers past 64 bits.
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be an even block of numbers: mend its rows") from error


def _floats(name: str, values: Any) -> NDArray[np.float64]:
    """Numbers of JSON, which may be whole and longer than any that is computed with."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be an even block of numbers: mend its rows") from error


def _real(name: str, values: Array) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be real numbers, got {str(values.dtype)[:40]}")
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float64)


def _one(name: str, values: Array) -> float:
    number = _real(name, values).reshape(-1)
    if number.size != 1 or not np.isfinite(number).all():
        raise ValueError(f"{name} must be one finite number")
    return float(number[0])


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} of the query must be a number, got {text[:40]!r}") from None


def _threes(name: str, values: Array) -> NDArray[np.float64]:
    rows = values.reshape(1, 3) if values.shape == (3,) else values
    if rows.ndim != 2 or rows.shape[1] != 3 or not len(rows):
        raise ValueError(f"{name} must be rows of 3 numbers, got shape {values.shape}")
    return _real(name, rows)


def _first(error: ValidationError) -> str:
    """The first of a list of mistakes, where it is and what is wanted."""
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    place = ".".join(str(part) for part in mistakes[0]["loc"]) or "the body"
    return f"{place}: {mistakes[0]['msg']}"
