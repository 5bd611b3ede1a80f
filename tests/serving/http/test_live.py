"""What viewers of the live map get: the scene, frames of fixes, channels."""

import asyncio
import base64
import json

import numpy as np
import pytest
import shapely
import torch
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from radiofix.data.store import open_paths
from radiofix.demo.replay import STORE
from radiofix.physics.arrays import ula
from radiofix.serving.http import live
from radiofix.serving.http.app import create_app
from radiofix.serving.http.bodies import JSON
from radiofix.serving.http.channels import Channels, Kept, magnitude, profile
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.live import FRAME_FIXES, Live
from radiofix.serving.http.refusals import Refusal
from radiofix.serving.http.scene import Scene, footprints, map_told
from radiofix.serving.http.security import SameMachine, Tokens
from radiofix.types import SPEED_OF_LIGHT, Sounding
from serving.http.server import HERE, as_json, ask, positions, posted, refused, service_of
from serving.http.test_limits import CSI, GOOD
from serving.http.test_security import TOKEN

STREAM = "ws://127.0.0.1/v1/live"
NAMED = {**GOOD, "user": np.array([7, 8, 9])}
TRUTH = np.array([[10.0, 20.0, 1.5], [np.nan] * 3, [30.0, 40.0, 1.5]])


def watched(service, *requests, frames=1):
    """What a viewer sees while some requests are answered, and the answers."""
    with (
        TestClient(create_app(service, SameMachine()), base_url=HERE) as client,
        client.websocket_connect(STREAM) as socket,
    ):
        answers = [client.request(**request) for request in requests]
        assert all(answer.status_code == 200 for answer in answers), answers[0].text
        seen = [socket.receive_json() for _ in range(frames)]
        while sum(len(frame["fixes"]) for frame in seen) < 3 * len(requests):
            seen.append(socket.receive_json())
        return seen, [answer.json() for answer in answers], client


def test_a_viewer_sees_what_was_answered():
    frames, (answer,), _ = watched(service_of(), posted({**NAMED, "user_position": TRUTH}))
    fixes = [fix for frame in frames for fix in frame["fixes"]]
    assert [fix["user"] for fix in fixes] == [7, 8, 9]
    for fix, told in zip(fixes, answer["fixes"], strict=True):
        assert fix["request"] == answer["number"]
        assert fix["position"] == pytest.approx(told["position"], abs=1e-3)
        (xx, xy, _), (_, yy, _), _ = told["covariance"]
        assert fix["covariance"] == [xx, xy, yy]
        (station,) = fix["stations"]
        assert station == {"name": "0", "position": [0.0, 0.0, 0.0], "weight": 1.0}
    # Where nobody knows the truth, none is told.
    assert [fix["truth"] for fix in fixes] == [[10.0, 20.0, 1.5], None, [30.0, 40.0, 1.5]]
    assert (frames[-1]["made"], frames[-1]["requests"]) == (3, 1)
    assert 0 < frames[0]["seconds"][0] < 60


def test_the_truth_moves_no_fix_and_stays_with_viewers():
    (plain,) = ask(service_of(), posted(NAMED))
    (told,) = ask(service_of(), posted({**NAMED, "user_position": TRUTH}))
    assert plain.json() == told.json()
    frequency = 3.5e9 + 1e6 * np.arange(16)
    sent = as_json({**GOOD, "frequency": frequency, "antenna_position": np.eye(8, 3)})
    assert ask(service_of(), posted({**sent, "user_position": [[1, 2, 3]] * 3}, JSON))[0].is_success
    wrong = {**NAMED, "user_position": TRUTH[:2]}
    assert "expected (3, 3)" in refused(ask(service_of(), posted(wrong))[0], 422)


def test_rows_that_name_no_user_are_strangers_to_each_other():
    """Otherwise the first rows of everybody's requests would be one restless user."""
    frames, _, _ = watched(service_of(), posted(GOOD), posted(GOOD))
    fixes = [fix for frame in frames for fix in frame["fixes"]]
    assert [fix["user"] for fix in fixes] == [None] * 6
    assert len({(fix["request"], fix["row"]) for fix in fixes}) == 6


def test_a_body_without_band_is_completed_by_the_address():
    """A file of a logger may lack what the person who has it knows."""
    lacking = {k: v for k, v in GOOD.items() if k not in ("bandwidth", "ula_spacing")}
    request = posted(lacking)
    address = request["url"]
    whole, completed, kept, wrong, missing = ask(
        service_of(),
        posted(GOOD),
        {**request, "url": f"{address}?bandwidth=20e6&ula_spacing=0.5"},
        {**posted(GOOD), "url": f"{address}?bandwidth=5e6"},
        {**request, "url": f"{address}?bandwidth=wide"},
        request,
    )
    # Joined into other batches they agree to rounding.
    for response in (completed, kept):
        np.testing.assert_allclose(positions(response), positions(whole), atol=1e-3)
    assert "bandwidth of the query" in refused(wrong, 422)
    assert "bandwidth" in refused(missing, 422)


def test_frames_are_few_and_bounded_whatever_the_load():
    async def loaded():
        shown = Live(1)
        fixes = [{"row": row} for row in range(100)]
        with shown.viewers.listener() as viewer:
            for _ in range(50):
                shown.count(100)
                shown.tell(fixes, 0.01)
            (frame,) = [json.loads(await viewer.next())]
            await asyncio.sleep(3 * live.FRAME_SECONDS)
            return frame, viewer

    frame, viewer = asyncio.run(loaded())
    assert (frame["made"], frame["requests"]) == (5000, 50)
    assert len(frame["fixes"]) == FRAME_FIXES
    assert len(frame["seconds"]) <= live.FRAME_REQUESTS
    assert not viewer._backlog


def test_a_slow_viewer_misses_frames_and_nobody_waits_for_it(monkeypatch):
    monkeypatch.setattr(live, "FRAME_SECONDS", 0.0)

    async def slow():
        shown = Live(1)
        with shown.viewers.listener() as viewer:
            for number in range(live.BACKLOG + 5):
                shown.tell([{"row": number}], 0.0)
                await asyncio.sleep(0.001)
            return [json.loads(await viewer.next()) for _ in range(live.BACKLOG + 1)]

    missed, *frames = asyncio.run(slow())
    assert missed == {"missed": 5}
    assert [frame["fixes"][0]["row"] for frame in frames] == list(range(5, live.BACKLOG + 5))


def test_nothing_is_prepared_for_nobody(monkeypatch):
    monkeypatch.setattr("radiofix.serving.http.service._seen", None)
    assert ask(service_of(), posted(GOOD))[0].status_code == 200


def test_viewers_need_the_token_and_are_limited():
    app = create_app(service_of(Limits(listeners=1)), Tokens((TOKEN,)))
    own = {"subprotocols": [f"bearer.{TOKEN}"]}
    with TestClient(app, base_url=HERE) as client:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM):
            pass
        with (
            client.websocket_connect(STREAM, **own),
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect(STREAM, **own),
        ):
            pass


def test_the_map_has_every_building_of_the_store_where_it_stands():
    store = open_paths(STORE)
    told = map_told(Scene.of(store, "a word"))
    outlines = shapely.polygons([f["geometry"]["coordinates"][0] for f in told["features"]])
    assert len(outlines) == 32
    assert all(15 <= f["properties"]["top"] <= 45 for f in told["features"])
    assert {f["properties"]["base"] for f in told["features"]} == {0.0}
    # Bases of 30 m by 60 m along the main street, of 60 m by 60 m along the other.
    assert {round(area) for area in shapely.area(outlines)} == {1800, 3600}
    users = shapely.points(store.dataset["user_position"].values[:, :2])
    assert not shapely.intersects(shapely.union_all(outlines), users).any()
    west, south, east, north = told["extent"]
    assert (east - west, north - south) == pytest.approx((36.0, 550.0))
    assert told["about"] == "a word"


def test_footprints_keep_courts_and_turn_counter_clockwise():
    """A block with a court, and the walls of both, which cover nothing."""
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    court = 1 + square / 2
    vertices = np.concatenate([np.column_stack([r, np.full(4, 9.0)]) for r in (square, court)])
    faces = [[i, (i + 1) % 4, 4 + i] for i in range(4)]
    faces += [[(i + 1) % 4, 4 + (i + 1) % 4, 4 + i] for i in range(4)]
    walls = np.array([[0, 1, 8], [1, 9, 8]])
    vertices = np.concatenate([vertices, [[0, 0, 0], [4, 0, 0]]])
    (found,) = footprints(vertices, np.concatenate([faces, walls]))
    assert found.area == pytest.approx(16 - 4)
    assert len(found.interiors) == 1
    assert shapely.is_ccw(found.exterior)
    assert not shapely.is_ccw(found.interiors[0])
    assert footprints(vertices, walls) == []


def test_a_server_without_a_store_has_an_empty_map():
    (response,) = ask(service_of(), {"method": "GET", "url": "/v1/map"})
    told = response.json()
    assert (told["features"], told["extent"], told["about"]) == ([], None, None)
    assert "local" in told["frame"]


def one_path(azimuth, delay, antennas=16, subcarriers=64, bandwidth=20e6):
    """A level wave from the front, by the convention of the design."""
    frequency = (np.arange(subcarriers) - subcarriers // 2) * bandwidth / subcarriers
    antenna = ula(antennas).positions.double().numpy()
    towards = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    steering = np.exp(2j * np.pi * antenna @ towards)
    csi = 1e-4 * np.outer(steering, np.exp(-2j * np.pi * frequency * delay))
    return csi, frequency, antenna


@pytest.mark.parametrize(("degrees", "metres"), [(0, 90), (35, 150), (-50, 400)])
def test_a_single_path_is_brightest_at_its_direction_and_its_length(degrees, metres):
    level, azimuth, delay = profile(*one_path(np.radians(degrees), metres / SPEED_OF_LIGHT))
    row, column = np.unravel_index(level.argmax(), level.shape)
    assert np.degrees(azimuth[row]) == pytest.approx(degrees, abs=2.5)
    assert SPEED_OF_LIGHT * delay[column] == pytest.approx(metres, abs=2)
    # Hann's side lobes are far below, so that what is seen is there.
    aside = np.abs(azimuth - azimuth[row]) > 0.6
    assert level[aside].max() < level.max() - 25


def test_an_array_that_is_no_line_tells_front_from_back():
    csi, frequency, _ = one_path(0.0, 3e-7)
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    antenna = np.column_stack([np.cos(turn), np.sin(turn), np.zeros(16)])
    behind = np.exp(2j * np.pi * antenna @ [np.cos(2.5), np.sin(2.5), 0])
    level, azimuth, _ = profile(np.outer(behind, csi[0] / csi[0, 0]), frequency, antenna)
    assert azimuth[level.max(1).argmax()] == pytest.approx(2.5, abs=0.08)


def test_a_single_subcarrier_has_no_delays():
    csi, frequency, antenna = one_path(0.0, 0.0)
    assert profile(csi[:, :1], frequency[:1], antenna) is None


def test_a_large_channel_is_shown_by_mean_powers():
    csi = np.ones((256, 512)) * np.linspace(1, 2, 256)[:, None] + 0j
    level = magnitude(csi)
    assert level.shape == (64, 256)
    power = (np.linspace(1, 2, 256) ** 2).reshape(64, 4).mean(1)
    np.testing.assert_allclose(level, np.broadcast_to(10 * np.log10(power)[:, None], level.shape))


def test_the_channel_of_a_user_is_the_one_that_was_sent():
    service = service_of()
    with (
        TestClient(create_app(service, SameMachine()), base_url=HERE) as client,
        client.websocket_connect(STREAM),
    ):
        assert client.request(**posted(NAMED)).is_success
        number = client.request(**posted(GOOD)).json()["number"]
        named = client.get("/v1/channels?user=8").json()
        stranger = client.get(f"/v1/channels?request={number}&row=1").json()
        missing = client.get("/v1/channels?user=80")
        wrong = [client.get(f"/v1/channels{q}") for q in ("", "?user=1&request=1&row=1", "?row=1")]
    assert (named["user"], stranger["user"]) == (8, None)
    assert named["links"] == stranger["links"]
    (link,) = named["links"]
    picture = link["magnitude"]
    levels = np.frombuffer(base64.b64decode(picture["levels"]), np.uint8)
    sent = 20 * np.log10(np.abs(CSI[1]))
    assert (link["antennas"], link["subcarriers"]) == CSI.shape[1:]
    assert picture["top_db"] == pytest.approx(sent.max(), abs=0.01)
    shown = picture["top_db"] - picture["range_db"] * (1 - levels.reshape(CSI.shape[1:]) / 255)
    np.testing.assert_allclose(shown, sent, atol=0.05)
    assert "no such channel" in refused(missing, 404)
    for response in wrong:
        assert "ask for a user" in refused(response, 422)


def kept(user, request=0, row=0, elements=1000):
    csi = torch.zeros(1, 1, elements, dtype=torch.complex64)
    zero = torch.zeros(1, 3)
    whole = torch.zeros(1, dtype=torch.int64)
    sounding = Sounding(
        csi, torch.zeros(1, elements), torch.zeros(1, 1, 3), zero, zero, whole, whole
    )
    return Kept(user, request, row, sounding, ("0",))


def test_channels_are_forgotten_when_there_are_too_many_the_longest_unseen_first():
    channels = Channels(most=5 * 8000)
    channels.keep([kept(user) for user in range(5)])
    channels.find((0,))
    # The latest of a user takes the place of the one before.
    channels.keep([kept(1, request=9), kept(None, request=9, row=2)])
    for key in ((0,), (1,), (3,), (4,), (9, 2)):
        channels.find(key)
    assert channels.find((1,)).request == 9
    with pytest.raises(Refusal):
        channels.find((2,))
