"""How fast a server answers: `python tests/serving/http/load.py --links 1 --clients 32`.

Starts `radiofix serve` on this machine's loopback, asks for a bounded time, and prints JSON. With
--rate requests come at that rate whether or not earlier ones were answered, so that a server can be
asked for more than it can do; without, every client waits for its answer before it asks again.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LONGEST = 600
"""Seconds."""


@dataclass
class Seen:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """Of the requests that were answered with fixes."""


def body_of(links: int, antennas: int, subcarriers: int) -> bytes:
    """A wave for each of some users, as .npz."""
    turn = np.random.default_rng(0).random((links, antennas, subcarriers))
    out = io.BytesIO()
    np.savez(
        out,
        csi=(1e-4 * np.exp(2j * np.pi * turn)).astype(np.complex64),
        bandwidth=20e6,
        ula_spacing=0.5,
        station_position=np.zeros((1, 3)),
        station_orientation=np.zeros((1, 3)),
        carrier_frequency=3.5e9,
    )
    return out.getvalue()


class Connection:
    """One kept alive, so that the network costs little beside the server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, seen: Seen) -> None:
        """Asks once more where the server has hung up on a connection that lay idle."""
        try:
            await self._ask(request, seen)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
            self.streams = None
            await self._ask(request, seen)

    async def _ask(self, request: bytes, seen: Seen) -> None:
        """Sends one request and notes what it led to."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        status = head.split(b" ", 2)[1].decode()
        seen.statuses[status] += 1
        if status == "200":
            seen.seconds.append(time.perf_counter() - start)

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()


async def closed(port: int, request: bytes, clients: int, seconds: float, seen: Seen) -> None:
    """Every client asks again as soon as it is answered."""
    until = time.perf_counter() + seconds

    async def one() -> None:
        connection = Connection(port)
        while time.perf_counter() < until:
            await connection.ask(request, seen)
        connection.close()

    await asyncio.gather(*(one() for _ in range(clients)))


async def opened(port: int, request: bytes, rate: float, seconds: float, seen: Seen) -> None:
    """Requests come evenly, on as many connections as that takes."""
    free: list[Connection] = []
    everyone: set[asyncio.Task[None]] = set()

    async def one() -> None:
        connection = free.pop() if free else Connection(port)
        await connection.ask(request, seen)
        free.append(connection)

    start = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        task = asyncio.create_task(one())
        everyone.add(task)
        task.add_done_callback(everyone.discard)
    await asyncio.gather(*everyone)
    for connection in free:
        connection.close()


def resident(process: int) -> int:
    """Memory of a process [kB]."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def computed(process: int) -> float:
    """Processor time that a process has used: other work on the machine does not count [s]."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = parsed()
    body = body_of(options.links, options.antennas, options.subcarriers)
    head = (
        "POST /v1/locate HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/x-npz\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request, seen = head.encode() + body, Seen()
    command = [sys.executable, "-m", "radiofix.cli", "serve", "--port", "0", "--json"]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with subprocess.Popen(
        [*command, *options.serve], env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            port = int(json.loads(server.stdout.readline())["url"].rpartition(":")[2])
            asyncio.run(closed(port, request, 4, 2.0, Seen()))
            before, start = resident(server.pid), time.perf_counter()
            idle = computed(server.pid)
            if options.rate is None:
                asyncio.run(closed(port, request, options.clients, options.seconds, seen))
            else:
                asyncio.run(opened(port, request, options.rate, options.seconds, seen))
            seconds, after = time.perf_counter() - start, resident(server.pid)
            busy = computed(server.pid) - idle
        finally:
            server.terminate()
            server.wait(60)
    each = 1e3 * np.array(seen.seconds or [np.nan])
    figures = {
        "requests_per_s": len(seen.seconds) / seconds,
        "links_per_s": options.links * len(seen.seconds) / seconds,
        "p50_ms": float(np.percentile(each, 50)),
        "p99_ms": float(np.percentile(each, 99)),
        "cpu_ms_per_link": 1e3 * busy / max(1, options.links * len(seen.seconds)),
        "growth_mb": (after - before) / 1e3,
    }
    rounded = {name: round(value, 2) for name, value in figures.items()}
    print(json.dumps({**rounded, "statuses": dict(seen.statuses)}))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=1, help="of a request")
    parser.add_argument("--antennas", type=int, default=32)
    parser.add_argument("--subcarriers", type=int, default=128)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rate", type=float, default=None, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("serve", nargs="*", help="arguments of radiofix serve, after --")
    options = parser.parse_args()
    if not 0 < options.seconds <= LONGEST:
        parser.error(f"--seconds must lie between 0 and {LONGEST}, got {options.seconds:g}")
    return options


if __name__ == "__main__":
    main()
