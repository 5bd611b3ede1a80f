"""`serve` as a user starts and stops it."""

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest

import radiofix as rf
from cli.mistakes import mistake
from radiofix.cli import serve
from serving.http.server import posted, process
from serving.http.test_limits import CSI, GOOD

BAND = {"bandwidth": 20e6, "ula_spacing": 0.5}
SITE = "- {name: roof, position: [0, 0, 6], orientation: 0, carrier_frequency: 3.5e9}\n"
TOKEN = "a-token-of-some-length"


PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def run_page(url):
    """What the Python of the page about serving leaves, asked of a server here."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    names = {}
    exec(compile(block.replace("http://127.0.0.1:8080", url), "serving.md", "exec"), names)
    return names


@pytest.fixture
def stations(tmp_path):
    path = tmp_path / "stations.yaml"
    path.write_text(SITE)
    return path


def test_a_stop_finishes_what_was_taken_and_is_no_failure(tmp_path, stations):
    """With a token, its own stations, and work in hand when the signal comes."""
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    with process("--stations", stations, "--tokens", tokens, "--batch-ms", "1500") as (server, url):
        with rf.Client(url, TOKEN) as client:
            assert [station.name for station in client.stations()] == ["roof"]
        with rf.Client(url) as stranger, pytest.raises(ValueError, match="a token is needed"):
            stranger.models()
        found = []

        def work():
            with rf.Client(url, TOKEN, patience=0.0) as client:
                found.append(client.locate(CSI, **BAND))

        thread = threading.Thread(target=work)
        thread.start()
        # Half of the time that it waits for others.
        time.sleep(0.75)
        server.send_signal(signal.SIGTERM)
        thread.join(30)
        assert server.wait(30) == 0, server.stderr.read()
        assert server.stderr.read() == ""
    assert np.isfinite(found[0].position).all()


def test_a_client_outlives_a_server_that_is_killed_and_started_anew(capsys, stations):
    """Asked while nobody listens it waits, and loses nothing."""
    found = []

    def work(url):
        with rf.Client(url, patience=60.0) as client:
            found.append(client.locate(CSI, **BAND))

    with process("--stations", stations, "--max-mb", "0.1") as (server, url):
        port = url.rpartition(":")[2]
        assert f"127.0.0.1:{port}" in mistake(capsys, "serve", "--port", port)
        with httpx2.Client(base_url=url) as client:
            assert client.request(**posted(GOOD)).status_code == 200
            # In words, not by a connection that breaks.
            assert client.request(**posted(bytes(200_000))).status_code == 413
        server.kill()
        server.wait(10)
    thread = threading.Thread(target=work, args=[url])
    thread.start()
    with process("--stations", stations, "--port", port) as (server, _):
        thread.join(60)
        names = run_page(url)
        assert names["fixes"].position.shape == (5, 3)
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    assert len(found[0]) == 3


def test_a_client_waits_as_long_as_it_is_told(monkeypatch):
    slept, answers = [], [httpx2.Response(503, headers={"Retry-After": "2"})] * 2
    answers.append(httpx2.Response(200, json={"models": [{"name": "small"}]}))
    monkeypatch.setattr("radiofix.client.time.sleep", slept.append)
    transport = httpx2.MockTransport(lambda request: answers.pop(0))
    with rf.Client("http://127.0.0.1", transport=transport) as client:
        assert client.models() == [{"name": "small"}]
    assert len(slept) == 2
    assert all(2.0 <= seconds <= 3.0 for seconds in slept)
    answers.extend([httpx2.Response(503, headers={"Retry-After": "9"})] * 9)
    with (
        rf.Client("http://127.0.0.1", patience=5.0, transport=transport) as client,
        pytest.raises(ConnectionError, match="did not answer in 5 s"),
    ):
        client.models()


def test_mistakes_are_one_line(capsys, monkeypatch, tmp_path):
    assert "give --tokens" in mistake(capsys, "serve", "--host", "0.0.0.0")
    assert "radiofix-giant" in mistake(capsys, "serve", "--model", "radiofix-giant")
    assert "65535" in mistake(capsys, "serve", "--port", "70000")
    none = tmp_path / "none.yaml"
    assert "cannot be read as stations" in mistake(capsys, "serve", "--stations", none)
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else True)
    assert "pip install 'radiofix[serve]'" in mistake(capsys, "serve")


def test_importing_radiofix_loads_neither_client_nor_server():
    code = "import sys, radiofix; print({'httpx2', 'fastapi', 'uvicorn'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
