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
    with process("--stations", stations, "--tokens", tokens, "--batch-ms", "4000") as (server, url):
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
        with httpx2.Client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            until = time.monotonic() + 60
            while "radiofix_queue_links 3.0" not in client.get(f"{url}/metrics").text:
                assert time.monotonic() < until
        server.send_signal(signal.SIGTERM)
        thread.join(30)
        assert server.wait(30) == 0, server.stderr.read()
        assert server.stderr.read() == ""
    assert np.isfinite(found[0].position).all()


def test_a_stop_that_comes_with_the_start_is_heard(stations):
    with process("--stations", stations) as (server, _):
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, server.stderr.read()


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


class Asker(threading.Thread):
    """Asks one numbered question after the other, and keeps what came of each."""

    def __init__(self, url, first):
        super().__init__(daemon=True)
        self.url, self.first, self.over = url, first, threading.Event()
        self.sent, self.fixes = [], []

    def run(self):
        with rf.Client(self.url, patience=120.0) as client:
            while not self.over.is_set():
                number = self.first + len(self.sent)
                self.sent.append(number)
                user = np.arange(3) + 10 * number
                self.fixes.append(client.locate(CSI, **BAND, user=user))


def answered_more(askers, count):
    """Waits until each has so many more answers."""
    goals = [len(asker.fixes) + count for asker in askers]
    until = time.monotonic() + 120
    while any(len(a.fixes) < goal for a, goal in zip(askers, goals, strict=True)):
        assert time.monotonic() < until
        assert all(asker.is_alive() for asker in askers)
        time.sleep(0.05)


def test_nothing_is_lost_when_a_server_is_killed_under_load_and_started_anew(stations):
    """Every question has its own answer, once, and it is the same whoever gave it."""
    given = ("--stations", stations)
    with process(*given) as (server, url):
        askers = [Asker(url, 1000 * number) for number in range(6)]
        for asker in askers:
            asker.start()
        answered_more(askers, 2)
        server.kill()
        server.wait(10)
    with process(*given, "--port", url.rpartition(":")[2]):
        answered_more(askers, 2)
        for asker in askers:
            asker.over.set()
        for asker in askers:
            asker.join(60)
    for asker in askers:
        assert len(asker.fixes) == len(asker.sent) >= 4
        for number, fixes in zip(asker.sent, asker.fixes, strict=True):
            assert fixes.user.tolist() == [10 * number, 10 * number + 1, 10 * number + 2]
            assert fixes.position == pytest.approx(askers[0].fixes[0].position, abs=1e-3)


def test_a_client_waits_as_long_as_it_is_told(monkeypatch):
    slept, answers = [], [httpx2.Response(503, headers={"Retry-After": "2"})] * 2
    answers.append(httpx2.Response(502, headers={"Retry-After": "2"}))
    answers.append(httpx2.Response(200, json={"models": [{"name": "small"}]}))
    monkeypatch.setattr("radiofix.client.time.sleep", slept.append)
    transport = httpx2.MockTransport(lambda request: answers.pop(0))
    with rf.Client("http://127.0.0.1", transport=transport) as client:
        assert client.models() == [{"name": "small"}]
    assert len(slept) == 3
    assert all(2.0 <= seconds <= 3.0 for seconds in slept)
    answers.extend([httpx2.Response(503, headers={"Retry-After": "9"})] * 9)
    with (
        rf.Client("http://127.0.0.1", patience=5.0, transport=transport) as client,
        pytest.raises(ConnectionError, match="did not answer in 5 s"),
    ):
        client.models()


def test_mistakes_are_one_line(capsys, monkeypatch, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    nothing = tmp_path / "a.onnx"
    assert "cannot be read as an ONNX" in mistake(capsys, "serve", "--model", nothing)
    assert "by ONNX" in mistake(capsys, "serve", "--model", nothing, "--engine", "torch")
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
