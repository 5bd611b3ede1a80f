"""The figures of use: a fix from Python, `locate`, a server at its capacity, and past it."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radiofix.data.store import Array, PathStore, open_paths
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.serving.engines import Engine, engine_of
from radiofix.serving.load.clients import BUSY, Seen, at_a_rate, in_turn
from radiofix.serving.load.processes import Others, Server, machine, served, watched
from radiofix.serving.locating import locate, open_source

LONGEST = 900.0
"""Of a phase [s]."""
WARM_SECONDS = 2.0
ALONE = 200
"""Calls of one fix each, of which the median is told."""
EXCESS = 2.0
"""Times its capacity that a server is asked for."""
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, and for how long."""

    model: str = "radiofix-nano"
    engine: str = "faster"
    threads: int | None = None
    links: int = 1
    """Of a request, each a user of its own."""
    clients: int = 32
    located: int = 4096
    """Links of the file that is located."""
    seconds: float = 10.0
    """At capacity."""
    overload_seconds: float = 20.0
    """Past it."""
    antennas: int = 32
    subcarriers: int = 128

    def __post_init__(self) -> None:
        for name in ("seconds", "overload_seconds"):
            if not 0 < getattr(self, name) <= LONGEST:
                raise ValueError(
                    f"{name} must lie between 0 and {LONGEST:g} s, got {getattr(self, name):g}"
                )

    @property
    def channel(self) -> Channel:
        """As it is received."""
        return Channel(
            bandwidth=20e6, subcarriers=self.subcarriers, array=ula(self.antennas), snr_db=20.0
        )


def measure(plan: Plan, street: Path, tell: Callable[[str], None]) -> Figures:
    """All figures, with the machine and the plan; the machine should have nothing else to do.

    Args:
        plan: what is asked.
        street: store of paths whose users are located.
        tell: is told what is being measured.
    """
    where, store = machine(), open_paths(street)
    engine = engine_of(plan.model, plan.engine, street, plan.threads)
    if plan.threads is not None:
        torch.set_num_threads(plan.threads)
    figures: Figures = {"machine": where, "plan": asdict(plan), "engine": engine.told}
    tell("one fix from Python")
    figures["one_fix"] = one_fix(engine, store, plan)
    tell(f"locate, {plan.located:,} links")
    figures["locate"] = located(engine, store, plan)
    request = request_of(body_of(store, plan))
    with served(_arguments(plan)) as server:
        _asked(in_turn(server.port, request, 4, WARM_SECONDS))
        tell(f"the server, {plan.clients} clients for {plan.seconds:g} s")
        figures["capacity"] = at_capacity(server, request, plan)
        rate = EXCESS * figures["capacity"]["requests_per_s"]
        tell(f"the server, {rate:,.0f} requests a second for {plan.overload_seconds:g} s")
        figures["overload"] = overloaded(server, request, plan, rate)
    return figures


def one_fix(engine: Engine, store: PathStore, plan: Plan) -> Figures:
    """Of one link's raw CSI."""
    channel = plan.channel
    csi = torch.from_numpy(_csi(store, plan, ALONE))
    station, others = store.stations[0], Others()
    model, times = engine.model, []
    for row in range(ALONE):
        start = time.perf_counter()
        model.fix(channel.describe(csi[row : row + 1], station))
        times.append(1e3 * (time.perf_counter() - start))
    return {**_quantiles(times), "calls": ALONE, "others_share": round(others.share, 3)}


def located(engine: Engine, store: PathStore, plan: Plan) -> Figures:
    """Of a file: here, model loaded; and by the command, start and all, with its memory."""
    with tempfile.TemporaryDirectory(prefix="radiofix-") as folder:
        path = Path(folder) / "links.npz"
        path.write_bytes(_npz(store, plan, plan.located))
        size, others = path.stat().st_size, Others()
        start = time.perf_counter()
        fixes = sum(len(block) for block in locate(engine.model, open_source(path).blocks()))
        here = time.perf_counter() - start
        share = others.share
        command = [sys.executable, "-m", "radiofix.cli", "locate", str(path), "--json", "--out"]
        command += [str(Path(folder) / "fixes.csv"), "--model", plan.model, "--engine", plan.engine]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            told = json.loads(process.stdout.read()) if process.stdout and not status else {}
        seconds = time.perf_counter() - start
    if not told:
        raise ValueError("radiofix locate failed: the lines above say why")
    return {
        "links": fixes,
        "input_mb": round(size / 1e6, 1),
        "links_per_s": round(fixes / here, 1),
        "command_s": round(seconds, 2),
        "command_without_imports_s": told["seconds"],
        "command_memory_mb": round(usage.ru_maxrss / 1e3, 1),
        "others_share": round(share, 3),
    }


def at_capacity(server: Server, request: bytes, plan: Plan) -> Figures:
    """Of clients that ask again as soon as they are answered."""
    others, before, start = Others(server), server.computed, time.perf_counter()
    seen = _asked(in_turn(server.port, request, plan.clients, plan.seconds))
    seconds = time.perf_counter() - start
    busy = server.computed - before
    return {
        "clients": plan.clients,
        **_rates(seen, plan, seconds),
        "server_cpu_ms_per_link": round(1e3 * busy / max(1, plan.links * len(seen.seconds)), 3),
        "others_share": round(others.share, 3),
    }


def overloaded(server: Server, request: bytes, plan: Plan, rate: float) -> Figures:
    """Of requests that come faster than they can be answered."""
    others, start = Others(server), time.perf_counter()
    with watched(server) as memory:
        seen = _asked(at_a_rate(server.port, request, rate, plan.overload_seconds))
        memory.append(server.resident_mb)
    seconds, sent = time.perf_counter() - start, sum(seen.statuses.values())
    return {
        "asked_per_s": round(rate, 1),
        "sent_per_s": round(sent / seconds, 1),
        "shed_share": round(seen.statuses[BUSY] / max(1, sent), 4),
        **_rates(seen, plan, seconds),
        "memory_mb": {
            "before": round(memory[0], 1),
            "most": round(max(memory), 1),
            "after": round(memory[-1], 1),
            "growth": round(max(memory) - memory[0], 1),
        },
        "others_share": round(others.share, 3),
    }


def body_of(store: PathStore, plan: Plan) -> bytes:
    """A request's, as .npz."""
    return _npz(store, plan, plan.links)


def request_of(body: bytes) -> bytes:
    """As it goes over the wire."""
    head = (
        "POST /v1/locate HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/x-npz\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _npz(store: PathStore, plan: Plan, links: int) -> bytes:
    out, station = io.BytesIO(), store.stations[0]
    channel = plan.channel
    wavelength = 299_792_458.0 / station.carrier_frequency
    np.savez(
        out,
        csi=_csi(store, plan, links),
        bandwidth=20e6,
        antenna_position=channel.array.positions.numpy() * wavelength,
        station_position=station.position.double().numpy()[None],
        station_orientation=station.orientation.double().numpy()[None],
        carrier_frequency=station.carrier_frequency,
    )
    return out.getvalue()


def _csi(store: PathStore, plan: Plan, links: int) -> Array:
    """Channels to the first station, from the first user on, again and again (link, ., .)."""
    paths = store.links(users=np.arange(min(links, store.users)), station=0)
    paths = paths[paths.present.any(1)]
    csi = plan.channel.synthesize(paths, torch.Generator().manual_seed(0)).numpy()
    return csi[np.arange(links) % len(csi)].astype(np.complex64)


def _rates(seen: Seen, plan: Plan, seconds: float) -> Figures:
    requests = len(seen.seconds) / seconds
    return {
        "requests_per_s": round(requests, 1),
        "links_per_s": round(plan.links * requests, 1),
        **_quantiles([1e3 * each for each in seen.seconds]),
        "statuses": dict(seen.statuses),
    }


def _quantiles(milliseconds: list[float]) -> Figures:
    if not milliseconds:
        return {"p50_ms": None, "p99_ms": None}
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


def _asked(work: Coroutine[Any, Any, Seen]) -> Seen:
    """On the quickest loop that is there: clients share the machine with the server."""
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        loop = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)


def _arguments(plan: Plan) -> list[str]:
    threads = [] if plan.threads is None else ["--threads", str(plan.threads)]
    return ["--model", plan.model, "--engine", plan.engine, *threads]
