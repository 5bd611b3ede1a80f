"""A server in a process of its own, what it takes of the machine, and what others take."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

STOP_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """`radiofix serve` on a free port of this machine's loopback."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    @property
    def resident_mb(self) -> float:
        """Memory that it holds."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1e3

    @property
    def computed(self) -> float:
        """Processor time that it has used [s]."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def served(arguments: Sequence[str]) -> Iterator[Server]:
    """A server as a user starts it; stopped at the end.

    Args:
        arguments: of `radiofix serve`.
    """
    command = [sys.executable, "-m", "radiofix.cli", "serve", "--port", "0", "--json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise ValueError("the server did not start: the lines above say why")
            yield Server(process, int(json.loads(line)["url"].rpartition(":")[2]))
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def watched(server: Server, every: float = 1.0) -> Iterator[list[float]]:
    """The memory of a server, sampled meanwhile [MB]; the first sample is there at once."""
    samples, over = [server.resident_mb], threading.Event()

    def watch() -> None:
        while not over.wait(every):
            samples.append(server.resident_mb)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


class Others:
    """What of the machine's processors went to neither this process nor a server of its own."""

    def __init__(self, server: Server | None = None) -> None:
        self._server, self._start = server, time.monotonic()
        self._before = self._foreign()

    @property
    def share(self) -> float:
        """Of all processors, since the beginning."""
        elapsed = (time.monotonic() - self._start) * (os.cpu_count() or 1)
        return max(0.0, (self._foreign() - self._before) / elapsed)

    def _foreign(self) -> float:
        line = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        busy = sum(int(line[i]) for i in (0, 1, 2, 5, 6, 7)) / TICKS
        own = sum(os.times()[:4])
        return busy - own - (0.0 if self._server is None else self._server.computed)


def machine() -> dict[str, Any]:
    """Where something was measured, and with what."""
    told = {}
    for package in ("radiofix", "torch", "onnxruntime", "uvicorn", "fastapi"):
        try:
            told[package] = version(package)
        except PackageNotFoundError:
            told[package] = "none"
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": told,
        "threads": os.environ.get("OMP_NUM_THREADS", "not said"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "?")
