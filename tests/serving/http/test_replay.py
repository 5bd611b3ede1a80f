"""People who walk through the packaged street: where they go, what is heard of them, who asks."""

import asyncio
import json
from collections import defaultdict
from itertools import islice

import numpy as np
import pytest

from cli.mistakes import mistake
from radiofix.demo.replay import STEP, STRETCH, Replay, Step, Walks, usual
from radiofix.serving.http.app import create_app
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.security import SameMachine
from serving.http.server import SlowModel, asked, service_of


@pytest.fixture(scope="module")
def played():
    return usual()


def test_everybody_walks_from_neighbour_to_neighbour_at_their_own_speed(played):
    _, replay = played
    walks = replay.walks
    ways = defaultdict(list)
    times = []
    for step in islice(walks.steps(), 2000):
        ways[step.walker].append(step)
        times.append(step.at)
    assert times == sorted(times)
    assert len(ways) == len(walks.speeds) == 14
    for walker, way in ways.items():
        places = walks.position[[step.row for step in way]]
        length = np.linalg.norm(np.diff(places, axis=0), axis=1)
        assert (length > 0).all()
        assert length.max() <= STEP
        seconds = np.diff([step.at for step in way])
        np.testing.assert_allclose(length / seconds, walks.speeds[walker])
        assert STRETCH[0] <= places[:, 1].min() < places[:, 1].max() <= STRETCH[1]
        # Along the street, not across it.
        assert np.ptp(places[:, 1]) > 3 * places[:, 0].std()


def test_the_same_seed_gives_the_same_walks_and_another_one_others(played):
    _, replay = played
    position, speeds = replay.walks.position, replay.walks.speeds
    first, again, other = (
        list(islice(Walks(position, speeds, seed).steps(), 200)) for seed in (3, 3, 4)
    )
    assert first == again != other


def test_noise_is_drawn_anew_and_the_truth_is_where_the_user_stands(played):
    scene, replay = played
    one, other = (replay.question(Step(0.0, 5, 77)) for _ in range(2))
    csi, again = one.heard.sounding.csi, other.heard.sounding.csi
    assert csi.shape == (4, 32, 128)
    # A random phase of each link aside, what differs is noise at 20 dB.
    phase = (again.conj() * csi).sum((1, 2), keepdim=True)
    difference = csi - again * phase / phase.abs()
    ratio = difference.abs().square().mean((1, 2)) / csi.abs().square().mean((1, 2))
    np.testing.assert_allclose(ratio.numpy(), 2 * 10**-2.0, rtol=0.1)
    assert one.named
    assert one.heard.labels.user.tolist() == one.heard.labels.track.tolist() == [5]
    np.testing.assert_array_equal(one.truth[0, :2], replay.walks.position[77])
    west, south, east, north = np.asarray(scene.users).ravel()
    assert (south, north) == STRETCH
    assert west < east


def quick(replay):
    """The same street with people who run."""
    walks = Walks(replay.walks.position, (60.0, 80.0, 100.0))
    again = object.__new__(Replay)
    again.__dict__.update(replay.__dict__, walks=walks)
    return again


def test_a_server_locates_them_for_as_long_as_it_runs(played):
    scene, replay = played
    service = service_of(site=scene.site)
    app = create_app(service, SameMachine(), [quick(replay).run])

    async def work():
        async with app.router.lifespan_context(app):
            with service.live.viewers.listener() as viewer:
                return await viewer.next()

    frame = json.loads(asyncio.run(work()))
    fix = frame["fixes"][0]
    assert fix["user"] in range(3)
    assert len(fix["stations"]) == 4
    assert fix["truth"] is not None


def test_steps_give_way_to_requests_when_the_queue_is_full(played):
    """The replay goes on, and the server answers others."""
    _, replay = played
    model = SlowModel(0.05)
    limits = Limits(batch_links=4, queue_links=4, batch_seconds=0.0)
    service = service_of(limits, site=replay.site, model=model)

    async def work():
        async with asked(service):
            task = asyncio.create_task(quick(replay).run(service))
            await asyncio.sleep(1.0)
            assert not task.done()
            task.cancel()
            return service._batcher.waiting

    assert asyncio.run(work()) <= 8
    assert model.sizes
    assert max(model.sizes) <= 4


def test_a_replay_has_stations_of_its_own(capsys, tmp_path):
    said = mistake(capsys, "serve", "--demo", "--stations", tmp_path)
    assert "--demo has stations of its own" in said
