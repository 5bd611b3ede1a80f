"""`radiofix.Client`: fixes from a server of `radiofix serve`."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Mapping, Sequence
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from radiofix.physics.channel import Channel
from radiofix.serving.fixes import NO_TRACK, Fixes
from radiofix.types import Station

NPZ = "application/x-npz"
AGAIN = (502, 503, 504)
"""Statuses of a server that is busy, and of a proxy before one that is being restarted."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Before a server that is not there is asked again [s]."""


class Client:
    """Asks a server for fixes, again where it is busy or being restarted."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 30.0,
        patience: float = 60.0,
        transport: Any = None,
    ) -> None:
        """Opens connections when they are needed.

        Args:
            url: of the server, as http://127.0.0.1:8080.
            token: one of the server's, where it wants one.
            timeout: of one attempt [s].
            patience: for how long a request is tried anew [s].
            transport: of httpx2, in place of the network.
        """
        self.url, self.patience = url, patience
        self._httpx = _httpx()
        self._pauses = random.Random()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = self._httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    def locate(
        self,
        csi: ArrayLike | torch.Tensor,
        stations: Station | Sequence[Station] | Sequence[str] | None = None,
        channel: Channel | None = None,
        **others: ArrayLike,
    ) -> Fixes:
        """Where the users of some CSI are.

        Args:
            csi: complex (antenna, subcarrier), (user, antenna, subcarrier) or (user, station,
                antenna, subcarrier), linear amplitude; a link of zeros was not measured.
            stations: in the order of the CSI; names of the server's; None: all of them.
            channel: its band and its array; None where `others` tell them.
            others: what the request may hold beside: bandwidth, frequency [Hz], ula_spacing or
                antenna_wavelengths [wavelengths], antenna_position [m], first_subcarrier, user,
                time [s], track, station.

        Raises:
            ValueError: with the server's reason, where it refuses.
            ConnectionError: where it was not there for as long as patience lasts.
        """
        values = csi.detach().cpu().numpy() if isinstance(csi, torch.Tensor) else np.asarray(csi)
        body = _npz({"csi": values, **_stations(stations), **_channel(channel), **others})
        headers = {"Content-Type": NPZ}
        answer = self._ask("POST", "/v1/locate", content=body, headers=headers)
        return _fixes(self.url, answer["fixes"])

    def stations(self) -> tuple[Station, ...]:
        """The server's own stations, in order."""
        return tuple(
            Station(
                torch.tensor(row["position"], dtype=torch.float64),
                torch.tensor(row["orientation"], dtype=torch.float64),
                row["carrier_frequency"],
                row["name"],
            )
            for row in self._ask("GET", "/v1/stations")["stations"]
        )

    def models(self) -> list[dict[str, Any]]:
        """The model that answers, and those that come with the server's radiofix."""
        return list(self._ask("GET", "/v1/models")["models"])

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, method: str, path: str, **sent: Any) -> Any:
        """What the server answers; asking twice does no harm, so lost answers are asked anew."""
        until = time.monotonic() + self.patience
        pause = FIRST_PAUSE
        while True:
            try:
                response = self._http.request(method, path, **sent)
            except self._httpx.TransportError as error:
                reason, wait = f"{type(error).__name__}: {error}", pause
            else:
                if response.status_code not in AGAIN:
                    return self._read(response)
                reason, wait = _reason(response), _retry_after(response, pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            # Those who were sent away together shall not all come back together.
            wait *= 1 + self._pauses.random() / 2
            if time.monotonic() + wait > until:
                raise ConnectionError(f"{self.url} did not answer in {self.patience:g} s: {reason}")
            time.sleep(wait)

    def _read(self, response: Any) -> Any:
        if response.is_success:
            return response.json()
        raise ValueError(f"{self.url} refused ({response.status_code}): {_reason(response)}")


def _httpx() -> ModuleType:
    try:
        import httpx2
    except ImportError as error:
        raise ValueError("the client needs httpx2: pip install 'radiofix[serve]'") from error
    return httpx2


def _npz(arrays: Mapping[str, ArrayLike]) -> bytes:
    body = io.BytesIO()
    np.savez(body, allow_pickle=False, **{name: np.asarray(a) for name, a in arrays.items()})
    return body.getvalue()


def _stations(
    stations: Station | Sequence[Station] | Sequence[str] | None,
) -> Mapping[str, ArrayLike]:
    if stations is None:
        return {}
    each = [stations] if isinstance(stations, Station) else list(stations)
    described = [one for one in each if isinstance(one, Station)]
    if not described:
        return {"stations": np.array(each, dtype=np.str_)}
    if len(described) != len(each):
        raise ValueError("stations mixes stations and names: give either")
    return {
        "station_position": np.stack([one.position.double().numpy() for one in described]),
        "station_orientation": np.stack([one.orientation.double().numpy() for one in described]),
        "carrier_frequency": np.array([one.carrier_frequency for one in described]),
    }


def _channel(channel: Channel | None) -> Mapping[str, ArrayLike]:
    """The band and the array; noise and faults mean nothing to who only listens."""
    if channel is None:
        return {}
    bandwidth = torch.as_tensor(channel.bandwidth, dtype=torch.float64)
    if bandwidth.ndim:
        raise ValueError("channel has a bandwidth a link: send the links of one band at a time")
    counted = {"metre": "antenna_position", "wavelength": "antenna_wavelengths"}
    told: dict[str, ArrayLike] = {
        "bandwidth": bandwidth.numpy(),
        counted[channel.array.unit]: channel.array.positions.numpy(),
    }
    if channel.first_subcarrier is not None:
        told["first_subcarrier"] = channel.first_subcarrier
    return told


def _fixes(url: str, rows: Sequence[Mapping[str, Any]]) -> Fixes:
    slots = max((len(row["stations"]) for row in rows), default=0)
    station = np.full((len(rows), slots), -1)
    weight = np.zeros((len(rows), slots))
    for number, row in enumerate(rows):
        count = len(row["stations"])
        station[number, :count] = [one["station"] for one in row["stations"]]
        weight[number, :count] = [one["weight"] for one in row["stations"]]
    nowhere, unknown = [np.nan] * 3, [[np.nan] * 3] * 3
    return Fixes(
        source=url,
        user=np.array([row["user"] for row in rows], dtype=np.int64),
        time=np.array([row["time"] for row in rows], dtype=np.float64),
        track=np.array(
            [NO_TRACK if row["track"] is None else row["track"] for row in rows], dtype=np.int64
        ),
        position=np.array([row["position"] or nowhere for row in rows], dtype=np.float64),
        covariance=np.array([row["covariance"] or unknown for row in rows], dtype=np.float64),
        trusted=np.array([row["trusted"] for row in rows], dtype=np.bool_),
        station=station,
        weight=weight,
    )


def _reason(response: Any) -> str:
    """Of a problem; of whatever stands between, its first line."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return " ".join(response.text.split())[:200] or "no reason was given"


def _retry_after(response: Any, otherwise: float) -> float:
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else otherwise
