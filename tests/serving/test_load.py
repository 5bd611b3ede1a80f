"""Figures of load are those of the answers: counted, timed, and none of them lost."""

import argparse
import asyncio
import json
import time

import pytest

from radiofix.cli import Parser, load
from radiofix.serving.load.clients import Seen, at_a_rate, in_turn
from radiofix.serving.load.measuring import Plan, request_of
from radiofix.serving.load.processes import Others, machine

REQUEST = request_of(b"0123456789")
ANSWER = "HTTP/1.1 {} Something\r\nContent-Length: 2\r\n\r\nok"


def served(asking, seconds=0.02, room=10**9, goodbye=10**9):
    """Asks a server that takes its time, has room for so many, and hangs up now and then."""
    known = {"here": 0, "most": 0, "bodies": set(), "answers": 0}

    async def answer(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                known["bodies"].add(await reader.readexactly(length))
                if known["here"] >= room:
                    writer.write(ANSWER.format(503).encode())
                    continue
                known["here"] += 1
                known["most"] = max(known["most"], known["here"])
                await asyncio.sleep(seconds)
                known["here"] -= 1
                known["answers"] += 1
                writer.write(ANSWER.format(200).encode())
                if known["answers"] % goodbye == 0:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def both():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            return await asking(server.sockets[0].getsockname()[1])

    return asyncio.run(both()), known


def test_clients_in_turn_never_have_more_than_one_question_each():
    seen, known = served(lambda port: in_turn(port, REQUEST, 5, 0.5))
    assert seen.statuses == {"200": known["answers"]}
    assert known["most"] == 5
    assert known["bodies"] == {b"0123456789"}
    assert len(seen.seconds) == known["answers"] >= 10
    assert min(seen.seconds) >= 0.02


def test_a_rate_is_kept_whether_or_not_answers_come_and_what_is_shed_is_counted():
    """Sixty a second of which each takes a fifth of one, three at a time: fifteen a second."""
    seen, known = served(lambda port: at_a_rate(port, REQUEST, 60, 1.0), seconds=0.2, room=3)
    assert known["most"] == 3
    assert seen.statuses["200"] + seen.statuses["503"] >= 40
    assert seen.statuses["200"] == len(seen.seconds) == known["answers"] <= 18
    assert seen.statuses["503"] > seen.statuses["200"]
    assert min(seen.seconds) >= 0.2


def test_who_hangs_up_on_an_idle_connection_is_asked_anew():
    seen, known = served(lambda port: in_turn(port, REQUEST, 2, 0.5), goodbye=3)
    assert seen.statuses == {"200": known["answers"]}
    assert known["answers"] > 6


def test_nobody_there_is_lost_and_not_an_answer():
    async def nobody(port):
        return await in_turn(1, REQUEST, 1, 0.05)

    seen, _ = served(nobody)
    assert {*seen.statuses} == {"lost"}
    assert seen.seconds == Seen().seconds


def test_what_this_process_computes_is_not_taken_for_that_of_others():
    """Beside one that works, a machine that has nothing else to do is told to have nothing."""
    others, until = Others(), time.process_time() + 0.3
    while time.process_time() < until:
        pass
    assert 0 <= others.share <= 1
    assert machine()["cores"] >= 1


def test_phases_are_bounded_and_figures_are_told_with_what_spoils_them():
    with pytest.raises(ValueError, match="overload_seconds must lie between 0 and 900 s"):
        Plan(overload_seconds=1e4)
    kinds = Parser().add_subparsers(parser_class=Parser)
    load.add_command_to(kinds)
    options = kinds.choices["serve"].parse_args(["--overload-seconds", "300", "--engine", "onnx"])
    assert isinstance(options, argparse.Namespace)
    assert (options.overload_seconds, options.clients) == (300.0, 32)
    share = {"others_share": 0.01}
    full = {"links_per_s": 1500.0, "p99_ms": 80.0, "clients": 32, "statuses": {}}
    found = {
        "engine": "torch",
        "machine": {"processor": "a processor", "cores": 2},
        "one_fix": {"p50_ms": 4.2, **share},
        "locate": {
            "links_per_s": 1600.0,
            "links": 4096,
            "command_s": 6.0,
            "command_memory_mb": 500.0,
            **share,
        },
        "capacity": full | share,
        "overload": full
        | share
        | {"sent_per_s": 3e3, "shed_share": 0.5, "memory_mb": {"growth": 9.0}},
    }
    assert "50 % sent away" in load.told(found)
    assert "measure again" not in load.told(found)
    busy = json.loads(json.dumps(found))
    busy["capacity"]["others_share"] = 0.4
    assert "others used 40 % of the processors meanwhile: measure again alone" in load.told(busy)
