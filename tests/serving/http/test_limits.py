"""What is refused: bodies that cannot be read, are too large, or come when there is no room."""

import asyncio
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from radiofix.serving.http.bodies import JSON
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.npz import read_npz
from serving.http.server import NPZ, SlowModel, ask, asked, npz, posted, refused, service_of

SITE = {
    "station_position": np.zeros((1, 3)),
    "station_orientation": np.zeros((1, 3)),
    "carrier_frequency": np.array(3.5e9),
    "bandwidth": np.array(20e6),
    "ula_spacing": np.array(0.5),
}
CSI = 1e-4 * np.exp(2j * np.pi * np.random.default_rng(0).random((3, 8, 16))).astype(np.complex64)
GOOD = {"csi": CSI, **SITE}


class Trap:
    """Would leave a trace if it were unpickled."""

    sprung = False

    def __reduce__(self):
        return (_spring, ())


def _spring():
    Trap.sprung = True


def zipped(members, method=zipfile.ZIP_DEFLATED):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()


def header(shape, kind="<c8"):
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def reason(body, status=400, kind=NPZ, limits=Limits()):  # noqa: B008 - frozen
    return refused(ask(service_of(limits), posted(body, kind))[0], status)


def test_a_pickle_is_never_opened():
    trap = np.empty(1, dtype=object)
    trap[0] = Trap()
    body = io.BytesIO()
    np.savez(body, csi=trap, **SITE)
    assert "Python objects" in reason(body.getvalue())
    assert "cannot be read" in reason(pickle.dumps(Trap()))
    assert "cannot be read" in reason(zipped({"csi.npy": pickle.dumps(Trap())}))
    assert not Trap.sprung


def test_bombs_are_known_before_they_go_off():
    """By their directory, by their header, and by their method of packing."""
    zeros = bytes(50_000_000)
    small = Limits(body_bytes=1_000_000)
    bomb = zipped({"csi.npy": zeros})
    assert len(bomb) < 60_000
    assert "at most 1000000 are taken" in reason(bomb, limits=small)
    assert "not as long" in reason(zipped({"csi.npy": header((2**40, 2**40))}))
    assert "not as long" in reason(zipped({"csi.npy": header((-1,)) + bytes(8)}))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "neither stored nor deflated" in reason(zipped({"csi.npy": b"x"}, method))
    assert "at most 64" in reason(zipped({f"{n}.npy": b"" for n in range(65)}))


def test_a_bomb_that_lies_about_its_size_gives_no_more_than_it_said():
    body = bytearray(zipped({"csi.npy": header((1,)) + bytes(10_000_000)}))
    said = len(header((1,))) + 8
    # The size stands in the local header and in the directory.
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = body.index(signature) + place
        body[at : at + 4] = struct.pack("<I", said)
    with pytest.raises(ValueError, match="cannot be read"):
        read_npz(bytes(body), ["csi"], 1_000_000)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"csi": np.full((1, 8, 16), np.nan + 0j)}, "not finite"),
        ({"csi": np.full((1, 8, 16), 1e30 + 0j)}, "exceeds"),
        ({"csi": CSI.real}, "not complex"),
        ({"csi": CSI[0, 0]}, "has shape"),
        ({"csi": CSI[:0]}, "has shape"),
        ({"csi": CSI[:, None].repeat(2, 1)}, "2 stations, 1 are given"),
        ({"csi": np.zeros((1, 1025, 1), np.complex64)}, "at most 1024"),
        ({"csi": np.zeros((1, 64, 4096), np.complex64)}, "antennas times subcarriers"),
        ({"csi": np.array(["a"])}, "not complex"),
        ({"bandwidth": np.array(-1.0)}, "positive"),
        ({"bandwidth": np.array([1.0, 2.0])}, "one finite number"),
        ({"frequency": np.ones(16)}, "either bandwidth or frequency"),
        ({"antenna_position": np.zeros((8, 3))}, "ula_spacing and antenna_position"),
        ({"user": np.array([1, 2])}, "user has shape (2,)"),
        ({"user": np.array([0.5, 1, 2])}, "whole numbers"),
        ({"time": np.array([0, np.inf, 1])}, "finite"),
        ({"station": np.array([0, 0, 1])}, "station 1 is none of the 1"),
        ({"station_position": np.zeros((1, 2))}, "rows of 3"),
        ({"carrier_frequency": np.array(-1.0)}, "greater than 0"),
        ({"stations": np.array(["a"])}, "leave one out"),
        ({"first_subcarrier": np.array(2**40)}, "absurd"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(changed, said):
    assert said in reason({**GOOD, **changed}, 422)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[1, 2]", 422),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"csi_real": [[1]], "csi_imag": [[1]], "bandwidth": "wide"}', 422),
        (b'{"csi_real": [[1], [1, 2]], "csi_imag": [[1], [1, 2]], "bandwidth": 1}', 422),
        (b'{"csi_real": [["1"]], "csi_imag": [["1"]], "bandwidth": 1, "stations": null}', 422),
        (b'{"csi_real": [[NaN]], "csi_imag": [[1]], "bandwidth": 1}', 422),
        (b'{"csi_real": [[1]], "csi_imag": [[1]], "bandwidth": 1, "speed": 9}', 422),
        (b'{"csi_real": [[1]], "csi_imag": [[1]], "bandwidth": 1, "user": [1e400]}', 422),
        (
            b'{"csi_real": [[1]], "csi_imag": [[1]], "bandwidth": 1, "user": [1%s]}' % (400 * b"0"),
            422,
        ),
        (b'{"csi_real": [[1%s]], "csi_imag": [[1]], "bandwidth": 1}' % (400 * b"0"), 422),
    ],
)
def test_malformed_json_is_one_line_of_problem(body, status):
    reason(body, status, JSON)


def test_media_types_codings_paths_and_methods_that_are_not_there():
    body = npz(**GOOD)
    responses = ask(
        service_of(),
        posted(body, "text/plain"),
        posted(body, NPZ, **{"Content-Encoding": "gzip"}),
        {"method": "GET", "url": "/nowhere"},
        {"method": "GET", "url": "/v1/locate"},
    )
    for response, status in zip(responses, (415, 415, 404, 405), strict=True):
        refused(response, status)


def test_large_bodies_are_413_whether_or_not_they_say_their_length():
    limits = Limits(body_bytes=2000)

    async def pieces():
        for _ in range(10):
            yield bytes(1000)

    said = posted(bytes(10_000))
    streamed = {**said, "content": pieces()}
    for response in ask(service_of(limits), said, streamed):
        assert "exceeds 0.002 MB" in refused(response, 413)
    many = {**GOOD, "csi": np.ones((4097, 1, 1), np.complex64)}
    assert "at most 4096" in reason(many, 413)
    assert "exceeds 8 MB" in reason(b" " * 8_000_001, 413, JSON)


def test_a_body_that_never_comes_is_given_up():
    async def pieces():
        yield b"x"
        await asyncio.sleep(60)

    request = {**posted(b""), "content": pieces()}
    response = ask(service_of(Limits(read_seconds=0.1)), request)[0]
    refused(response, 408)


def test_a_full_queue_sends_away_with_the_time_to_come_again():
    """What it took it answers, and when it is empty it takes again."""
    model = SlowModel(0.2)
    service = service_of(Limits(batch_links=3, queue_links=6, batch_seconds=0.0), model=model)

    async def flood():
        async with asked(service) as client:
            responses = await asyncio.gather(*(client.request(**posted(GOOD)) for _ in range(30)))
            return responses, await client.request(**posted(GOOD))

    responses, later = asyncio.run(flood())
    taken = [r for r in responses if r.status_code == 200]
    away = [r for r in responses if r.status_code != 200]
    assert len(taken) + len(away) == 30
    assert 2 <= len(taken) <= 6
    for response in away:
        assert "come again" in refused(response, 503)
        assert int(response.headers["Retry-After"]) >= 1
    assert len(model.sizes) == len(taken) + 1
    assert later.status_code == 200


def test_a_slow_model_has_a_short_queue_however_many_links_it_may_hold():
    """At 15 links a second a quarter of a second is one request of three links."""
    limits = Limits(batch_links=3, queue_links=1000, batch_seconds=0.0, wait_seconds=0.25)

    async def flood():
        async with asked(service_of(limits, model=SlowModel(0.2))) as client:
            await client.request(**posted(GOOD))
            return await asyncio.gather(*(client.request(**posted(GOOD)) for _ in range(20)))

    statuses = [response.status_code for response in asyncio.run(flood())]
    assert 1 <= statuses.count(200) <= 3
    assert statuses.count(200) + statuses.count(503) == 20


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits():
    (response,) = ask(service_of(Limits(queue_links=1, batch_links=1)), posted(GOOD))
    assert response.status_code == 200


def test_a_large_request_takes_turns_with_small_ones_and_gets_the_same_fixes():
    """Thirty users in batches of four: who asks meanwhile waits for one of them, not for all."""
    model = SlowModel(0.05)
    limits = Limits(batch_links=4, queue_links=8, batch_seconds=0.0, wait_seconds=60.0)
    csi = np.repeat(CSI, 10, 0)
    heard = np.repeat(csi[:, None], 2, 1) * np.array([1, 0.5])[:, None, None]
    heard[7] = 0
    heard[9, 1] = 0
    large = {name: np.repeat(v, 2, 0) if v.ndim == 2 else v for name, v in SITE.items()}
    large["csi"] = heard.astype(np.complex64)
    ended = []

    async def timed(client, request, name):
        response = await client.request(**request)
        ended.append(name)
        return response

    async def together():
        async with asked(service_of(limits, model=model)) as client:
            first = asyncio.create_task(timed(client, posted(large), "large"))
            await asyncio.sleep(0.1)
            small = [timed(client, posted(GOOD), "small") for _ in range(2)]
            return await asyncio.gather(first, *small)

    whole, *small = asyncio.run(together())
    assert [response.status_code for response in (whole, *small)] == [200] * 3
    assert ended == ["small", "small", "large"]
    assert max(model.sizes) <= 4
    (alone,) = ask(service_of(), posted(large))
    for ours, theirs in zip(whole.json()["fixes"], alone.json()["fixes"], strict=True):
        assert [one["name"] for one in ours["stations"]] == [o["name"] for o in theirs["stations"]]
        if theirs["position"] is not None:
            assert ours["position"] == pytest.approx(theirs["position"], abs=1e-3)
    assert whole.json()["fixes"][7]["position"] is None


def test_no_more_large_requests_take_turns_than_may_be_held():
    limits = Limits(batch_links=1, batch_seconds=0.0, bodies=2)
    requests = [posted({**GOOD, "user": np.arange(3) + 10 * n}) for n in range(4)]
    responses = ask(service_of(limits, model=SlowModel(0.1)), *requests)
    taken = [n for n, response in enumerate(responses) if response.status_code == 200]
    assert 1 <= len(taken) <= 2
    for number in taken:
        users = [fix["user"] for fix in responses[number].json()["fixes"]]
        assert users == [10 * number, 10 * number + 1, 10 * number + 2]
    for number in {*range(4)} - {*taken}:
        assert "come again" in refused(responses[number], 503)
