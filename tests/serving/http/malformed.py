"""Requests that are wrong in many ways: `python tests/serving/http/malformed.py --requests 10000`.

Starts `radiofix serve` on this machine's loopback, sends what a seed makes of good requests, and
prints JSON: what was answered, and by how much the server has grown. Ends with 1 where anything was
answered with 500, with more than a line, or not at all. What OpenAPI tells of the server is tried
by schemathesis (pip install schemathesis), here with some thousand requests:

    radiofix serve --port 8080 &
    st run http://127.0.0.1:8080/openapi.json --checks not_a_server_error -n 1000
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import struct
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx2
import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from radiofix.serving.http.bodies import ARROW, FILES, JSON, NPZ
from radiofix.serving.http.limits import Limits
from radiofix.serving.load.processes import served
from serving.http.server import npz, posted
from serving.walks import write_hdf5, write_mat, write_mat73

LIMITS = Limits(body_bytes=1_000_000)
"""Of the server that is asked: small, so that much can be too much."""
TAKEN = {200, 400, 408, 413, 415, 422, 503}
GROWTH_MB = 100.0
CSI = np.exp(2j * np.pi * np.random.default_rng(0).random((3, 4, 8))).astype(np.complex64)
GOOD = {
    "csi": 1e-4 * CSI,
    "bandwidth": np.array(20e6),
    "ula_spacing": np.array(0.5),
    "station_position": np.zeros((1, 3)),
    "station_orientation": np.zeros((1, 3)),
    "carrier_frequency": np.array(3.5e9),
}
NAMES = (*GOOD, "csi_real", "csi_imag", "frequency", "antenna_position", "antenna_wavelengths")
NAMES += ("user", "time", "track", "station", "stations", "first_subcarrier", "user_position")
ABSURD = (0, 1, -1, np.nan, np.inf, -np.inf, 1e308, 1e-308, 2**63, -(2**63), 10**400)


class Malformed:
    """Wrong requests without an end; a seed's are always the same."""

    def __init__(self, seed: int, file_share: float = 0.05) -> None:
        self.random, self.file_share = np.random.default_rng(seed), file_share
        self.ways = (self.shaken, self.odd, self.bomb, self.json, self.dressed)
        self.bodies = {NPZ: npz(**GOOD), JSON: json.dumps(told()).encode()}
        if importlib.util.find_spec("pyarrow"):
            from serving.http.test_arrow import nested, stream

            csi = {"csi_real": nested(CSI.real), "csi_imag": nested(CSI.imag)}
            self.bodies[ARROW] = stream(**csi)
        self.files = {}
        with tempfile.TemporaryDirectory() as folder:
            for kind, write in zip(FILES, (write_hdf5, write_mat, write_mat73), strict=True):
                self.files[kind] = write(Path(folder) / "a", GOOD).read_bytes()

    def request(self) -> dict[str, object]:
        """As httpx2 takes it."""
        if self.random.random() < self.file_share:
            kind = self.any(list(self.files))
            body, headers, query = self.broken(self.files[kind]), {"Content-Type": kind}, ""
        else:
            body, headers, query = self.any(self.ways)()
        return {
            "method": "POST",
            "url": f"/v1/locate{query}",
            "content": body,
            "headers": headers,
        }

    def any(self, choices):
        return choices[int(self.random.integers(len(choices)))]

    def shaken(self):
        """A good body with bytes changed, cut out, doubled or added."""
        kind = self.any(list(self.bodies))
        return self.broken(self.bodies[kind]), {"Content-Type": kind}, ""

    def broken(self, body: bytes) -> bytes:
        changed = bytearray(body)
        for _ in range(int(self.random.integers(1, 8))):
            at = int(self.random.integers(len(changed) or 1))
            way = int(self.random.integers(5))
            if way == 0 and changed:
                changed[at] ^= 1 << int(self.random.integers(8))
            elif way == 1:
                del changed[at : at + int(self.random.integers(1, 64))]
            elif way == 2:
                changed[at:at] = self.random.bytes(int(self.random.integers(1, 64)))
            elif way == 3:
                changed[at:at] = changed[at : at + 100]
            elif len(changed) > 8:
                at = min(at, len(changed) - 8)
                number = self.any((0, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62))
                changed[at : at + 8] = struct.pack("<Q", number)
        return bytes(changed)

    def odd(self):
        """An .npz that can be read and makes no sense, or lacks, or has too much."""
        arrays = dict(GOOD)
        for _ in range(int(self.random.integers(1, 4))):
            name = self.any(NAMES)
            if self.random.random() < 0.2:
                arrays.pop(name, None)
            else:
                arrays[name] = self.array()
        return npz(**arrays), {"Content-Type": NPZ}, self.query()

    def array(self):
        shape = tuple(self.random.integers(0, 6, int(self.random.integers(0, 6))).tolist())
        values = self.random.normal(size=shape) * 10.0 ** self.random.integers(-40, 40)
        way = int(self.random.integers(6))
        if way == 0:
            return np.full(shape, self.any(ABSURD[:8]))
        if way == 1:
            return values + 1j * values
        if way == 2:
            return np.full(shape, "x" * int(self.random.integers(0, 9)))
        if way == 3:
            kind = self.any(("i1", "u8", "f2", "f8", "c16", "?", "M8[s]", "S3", "V4", ">f4"))
            return np.zeros(shape, kind)
        if way == 4:
            wide = {"csi": (1, 2000, 2), "frequency": (9,), "station_position": (70, 3)}
            return np.ones(wide[self.any(list(wide))], np.complex64)
        return values

    def bomb(self):
        """Headers that promise more than there is, and zips that hold more than they show."""
        shape = tuple(
            self.any((2**40, 2**20, -1, 0, 3)) for _ in range(int(self.random.integers(5)))
        )
        kind = self.any(("<c8", "|O", "<f8", "|V9", "<U99999", "nonsense"))
        text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        text = text if self.random.random() < 0.8 else "(" * int(self.random.integers(1, 3000))
        header = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"
        out = io.BytesIO()
        method = self.any((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
        with zipfile.ZipFile(out, "w", method) as archive:
            for _ in range(int(self.random.integers(1, 3))):
                content = header + bytes(int(self.any((0, 8, 24, 3_000_000))))
                with warnings.catch_warnings():
                    # Two of one name are part of what is tried.
                    warnings.simplefilter("ignore", UserWarning)
                    archive.writestr(f"{self.any(NAMES)}.npy", content)
        return out.getvalue(), {"Content-Type": NPZ}, ""

    def json(self):
        """JSON whose values are of any kind."""
        body = told()
        for _ in range(int(self.random.integers(1, 4))):
            body[self.any((*NAMES, "speed"))] = self.value(0)
        text = json.dumps(body) if self.random.random() < 0.9 else "[" * 5000
        return text.encode(), {"Content-Type": JSON}, self.query()

    def value(self, depth: int):
        way = int(self.random.integers(8 if depth < 4 else 6))
        if way == 6:
            return [self.value(depth + 1) for _ in range(int(self.random.integers(0, 4)))]
        if way == 7:
            return {self.any(NAMES): self.value(depth + 1)}
        number = self.any(ABSURD)
        return (None, True, "\ud800\0x", number, [number], [[number, 1], [1]])[way]

    def dressed(self):
        """A good body that is called by the wrong names."""
        kind = self.any((NPZ, JSON, ARROW, "text/plain", "", "multipart/form-data", *FILES[:1]))
        headers = {"Content-Type": kind}
        if self.random.random() < 0.3:
            headers["Content-Encoding"] = self.any(("gzip", "br", "identity", "x" * 300))
        return self.bodies[self.any((NPZ, JSON))], headers, self.query()

    def query(self) -> str:
        values = ("nan", "inf", "-1", "1e999", "x", "", "%00", "2e7", "9" * 400)
        if self.random.random() < 0.5:
            return ""
        return f"?{self.any(('bandwidth', 'ula_spacing', 'other'))}={self.any(values)}"


def told() -> dict[str, object]:
    """The good request as JSON."""
    place = {"position": [0, 0, 6], "orientation": [0, 0, 0], "carrier_frequency": 3.5e9}
    return {
        "csi_real": GOOD["csi"].real.tolist(),
        "csi_imag": GOOD["csi"].imag.tolist(),
        "bandwidth": 2e7,
        "ula_spacing": 0.5,
        "stations": [place],
    }


def wrong(response) -> str | None:
    """What is not as it has to be."""
    if response.status_code not in TAKEN:  # 599: nobody answered, twice
        return f"status {response.status_code}"
    if response.status_code == 200:
        return None
    if response.headers["content-type"] != "application/problem+json":
        return "a refusal that is no problem+json"
    reason = response.json()["detail"]
    return None if reason and "\n" not in reason else "a reason that is not a line"


def answered(client, request):
    """Asks anew where a connection was idle for too long."""
    try:
        return client.request(**request)
    except httpx2.TransportError:
        with suppress(httpx2.TransportError):
            return client.request(**request)
        return httpx2.Response(599)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=float, default=0.05, help="share of HDF5 and MATLAB")
    options = parser.parse_args()
    statuses, wrongs = Counter(), []
    source = Malformed(options.seed, options.files)
    most = ["--max-mb", str(LIMITS.body_bytes / 1e6), "--engine", "torch"]
    with served(most) as server, httpx2.Client(timeout=60) as client:
        url = f"http://127.0.0.1:{server.port}"
        # Libraries that are loaded once are no growth.
        for number in range(options.requests):
            if number == options.requests // 10:
                before = server.resident_mb
            request = source.request()
            response = answered(client, {**request, "url": url + request["url"]})
            if server.process.poll() is not None:
                code = server.process.returncode
                wrongs.append(f"request {number}: the server is gone, status {code}")
                break
            statuses[response.status_code] += 1
            if found := wrong(response):
                wrongs.append(f"request {number}: {found}")
        alive = server.process.poll() is None
        grown = server.resident_mb - before if alive else float("inf")
        good = answered(client, {**posted(GOOD), "url": f"{url}/v1/locate"})
        server.process.terminate()
        stopped = server.process.wait(60)
    well = not wrongs and grown < GROWTH_MB and good.status_code == 200 and stopped == 0
    figures = {"growth_mb": round(grown, 1), "statuses": dict(statuses), "wrong": wrongs[:9]}
    print(json.dumps({"requests": options.requests, "well": well, **figures}, indent=1))
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
