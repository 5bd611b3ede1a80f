"""Which thread does what: the model gives way, and small bodies are read where they come in."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from radiofix.serving.http import bodies, service
from radiofix.serving.http.background import NICENESS, model_thread
from serving.http.server import ask, posted, service_of
from serving.http.test_limits import GOOD


def niceness():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads of a process are alike elsewhere")
def test_the_model_s_thread_and_those_that_it_makes_give_way_and_nobody_else_does():
    here = niceness()
    with model_thread() as worker:
        there = worker.submit(niceness).result()
        with worker.submit(ThreadPoolExecutor, 1).result() as pool:
            made = worker.submit(lambda: pool.submit(niceness).result()).result()
    assert there == made == min(19, here + NICENESS)
    assert niceness() == here


TIMES = 1 + service.SMALL_BYTES // GOOD["csi"].nbytes
MANY = GOOD | {"csi": np.repeat(GOOD["csi"], TIMES, 0)}
"""More than is read at once."""


def readers(monkeypatch, *contents):
    """The answers to some bodies, and in which threads each of them was read."""
    names = []

    def read(*arguments):
        names.append(threading.current_thread().name)
        return read_npz(*arguments)

    read_npz = bodies.read_npz
    monkeypatch.setattr(bodies, "read_npz", read)
    answers = [ask(service_of(), posted(content))[0] for content in contents]
    return answers, [name.partition("_")[0] for name in names]


def test_a_small_body_is_read_at_once_and_a_large_one_beside(monkeypatch):
    answers, threads = readers(monkeypatch, GOOD, MANY)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert threads == ["MainThread", "radiofix-body"]
    small, large = ([fix["position"] for fix in answer.json()["fixes"]] for answer in answers)
    np.testing.assert_allclose(large[::TIMES], small, atol=1e-3)


def test_a_body_that_unpacks_to_more_is_left_to_a_thread(monkeypatch, tmp_path):
    np.savez_compressed(tmp_path / "packed.npz", **MANY)
    packed = (tmp_path / "packed.npz").read_bytes()
    assert len(packed) < service.SMALL_BYTES
    (answer,), threads = readers(monkeypatch, packed)
    assert answer.status_code == 200
    assert threads == ["MainThread", "radiofix-body"]
    assert len(answer.json()["fixes"]) == len(MANY["csi"])
