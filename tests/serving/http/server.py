"""A server in this process, and one in its own, for tests to ask."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager

import httpx2
import numpy as np

from radiofix.serving.engines import Engine
from radiofix.serving.http.app import create_app
from radiofix.serving.http.background import model_thread
from radiofix.serving.http.bodies import NPZ
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.scene import Scene
from radiofix.serving.http.security import SameMachine
from radiofix.serving.http.service import Service
from serving.walks import small_model

HERE = "http://127.0.0.1"


def service_of(limits=Limits(), site=None, model=None):  # noqa: B008 - frozen
    engine = Engine("small", model or small_model(), "a test", parameters=9)
    return Service(engine, Scene(site), limits, worker=model_thread(1))


@asynccontextmanager
async def asked(service, guard=None):
    """A client of a server in this loop; one connection a request."""
    app = create_app(service, guard or SameMachine())
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=HERE, timeout=60) as client:
            yield client


def ask(service, *requests, guard=None):
    """The responses to some requests, all sent at once."""

    async def together():
        async with asked(service, guard) as client:
            return await asyncio.gather(*(client.request(**request) for request in requests))

    return asyncio.run(together())


def posted(content, kind=NPZ, **headers):
    if not isinstance(content, bytes):
        content = npz(**content) if kind == NPZ else json.dumps(content).encode()
    headers = {"Content-Type": kind} | headers
    return {"method": "POST", "url": "/v1/locate", "content": content, "headers": headers}


def npz(**arrays):
    body = io.BytesIO()
    np.savez(body, **arrays)
    return body.getvalue()


def as_json(arrays):
    """The same request in nested lists."""
    csi = arrays["csi"]
    stations = zip(
        arrays["station_position"],
        arrays["station_orientation"],
        np.broadcast_to(arrays["carrier_frequency"], len(arrays["station_position"])),
        strict=True,
    )
    return {
        "csi_real": csi.real.tolist(),
        "csi_imag": csi.imag.tolist(),
        "frequency": arrays["frequency"].tolist(),
        "antenna_position": arrays["antenna_position"].tolist(),
        "stations": [
            {"position": list(p), "orientation": list(o), "carrier_frequency": float(f)}
            for p, o, f in stations
        ],
    }


def refused(response, status):
    """The reason of a refusal, which must be one line of problem+json."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.text.count("\n") == 1
    told = response.json()
    assert told["status"] == status
    assert "\n" not in told["detail"]
    return told["detail"]


def positions(response):
    assert response.status_code == 200, response.text
    return np.array([fix["position"] for fix in response.json()["fixes"]])


class SlowModel:
    """Counts calls and takes its time, then hands on to a true model."""

    def __init__(self, seconds=0.0):
        self.model, self.seconds, self.sizes = small_model(), seconds, []

    def fix(self, sounding):
        self.sizes.append(len(sounding))
        time.sleep(self.seconds)
        return self.model.fix(sounding)


@contextmanager
def process(*arguments):
    """`radiofix serve` as a user starts it; gives it and its address."""
    command = [sys.executable, "-m", "radiofix.cli", "serve", "--port", "0", "--json", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with subprocess.Popen(
        list(map(str, command)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            line = server.stdout.readline()
            assert line, server.stderr.read()
            yield server, json.loads(line)["url"]
        finally:
            server.kill()
