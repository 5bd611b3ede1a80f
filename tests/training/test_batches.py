"""Who is drawn, when, and through which station and band."""

import numpy as np
import pytest
import torch

from radiofix.data.store import open_paths
from radiofix.objectives.tasks import ToaTask
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.training.batches import (
    AnyOther,
    LabelledBatches,
    OtherBandwidth,
    OtherStation,
    PretrainBatches,
    Receiver,
)
from radiofix.training.pool import HeldPool, StreamedPool, open_pool
from radiofix.training.users import (
    Choice,
    Everybody,
    WithoutSight,
    some,
    station_columns,
    users_of,
    without,
)

RECEIVER = Receiver(bandwidths=(5e6, 10e6), antennas=4, subcarriers=8)


@pytest.fixture(scope="module")
def opened(store):
    return open_paths(store)


@pytest.fixture(scope="module")
def everyone(opened):
    return HeldPool(opened, np.arange(opened.users), [0, 1])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def reached(store):
    """(user, station) straight from the store."""
    return (store.dataset["interactions"].values >= 0).any(-1)


def test_a_streamed_pool_holds_the_links_of_a_held_one(opened, everyone):
    streamed = StreamedPool(opened, np.arange(opened.users), [0, 1], block=16, window=2)
    assert torch.equal(streamed.reachable, everyone.reachable)
    order = streamed.order(seeded())
    assert sorted(order.tolist()) == list(range(len(everyone.reachable)))
    assert order.tolist() != sorted(order.tolist())
    user = order[torch.tensor([5, 40, 5, 17, 58, 0])]
    station = torch.tensor([0, 1, 1, 0, 0, 1])
    ours, theirs = streamed.take(user, station), everyone.take(user, station)
    for name in type(ours).__slots__:
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert isinstance(open_pool(opened, np.arange(60), [0, 1], budget=1e3), StreamedPool)
    assert isinstance(open_pool(opened, np.arange(60), [0, 1], budget=1e9), HeldPool)


def test_a_held_pool_takes_the_links_that_the_store_reads(opened, everyone):
    taken = everyone.take(torch.tensor([7, 3]), torch.tensor([1, 0]))
    rows = taken.user.tolist()
    read = opened.links(users=rows, station=[0, 1])[torch.tensor([1, 2])]
    for name in type(taken).__slots__:
        assert torch.equal(getattr(taken, name), getattr(read, name)), name


def test_an_epoch_draws_each_user_once_and_no_link_without_a_path(opened, everyone):
    batches = PretrainBatches(everyone, RECEIVER, 10)
    users = len(everyone.reachable)
    generator, drawn = seeded(), []
    for _ in range(users // 10):
        views = batches.draw(generator)
        assert views.first.user.tolist() == views.second.user.tolist()
        assert len(set(views.first.user.tolist())) == 10
        for view in (views.first, views.second):
            assert reached(opened)[view.user, view.station].all()
            assert (view.csi.abs().amax((1, 2)) > 0).all()
        drawn += views.first.user.tolist()
    assert len(drawn) == len(set(drawn))
    blocked = ~reached(opened).any(1)
    assert not set(np.flatnonzero(blocked)) & set(drawn)


def partners(everyone, partner, draws=40):
    batches = PretrainBatches(everyone, RECEIVER, 20, partner)
    generator = seeded()
    found = []
    for _ in range(draws):
        views = batches.draw(generator)
        both = everyone.reachable[
            torch.searchsorted(torch.arange(60)[everyone.reachable.any(1)], views.first.user)
        ].all(1)
        same_station = views.first.station == views.second.station
        same_band = views.first.bandwidth == views.second.bandwidth
        found.append(torch.stack([both, same_station, same_band], 1))
    return torch.cat(found).T


def test_the_partner_is_another_station_or_another_band(everyone):
    both, station, band = partners(everyone, AnyOther())
    assert not (station & band).any()
    # Three other pairs for a user with two stations, one for a user with one.
    assert (station[both]).double().mean() == pytest.approx(1 / 3, abs=0.06)
    assert station[~both].all()


def test_the_partner_is_the_same_station_at_another_band(everyone):
    _, station, band = partners(everyone, OtherBandwidth(), 4)
    assert station.all()
    assert not band.any()


def test_the_partner_is_another_station_where_there_is_one(everyone):
    both, station, band = partners(everyone, OtherStation(), 10)
    assert not station[both].any()
    # Nobody else is allowed: the first view itself, drawn anew.
    assert (station & band)[~both].all()


def test_views_are_what_the_channel_makes_of_the_stored_paths(opened, everyone):
    views = PretrainBatches(everyone, RECEIVER, 8).draw(seeded())
    for view in (views.first, views.second):
        for i in range(8):
            paths = opened.links(users=[int(view.user[i])], station=int(view.station[i]))
            channel = Channel(float(view.bandwidth[i]), 8, ula(4))
            expected = channel.synthesize(paths)[0]
            assert torch.allclose(view.csi[i], expected, rtol=1e-4, atol=1e-9)
    assert torch.equal(views.widest.user, views.first.user)
    assert torch.equal(views.widest.station, views.first.station)
    assert (views.widest.bandwidth - 10e6).abs().max() < 1


def test_noise_is_drawn_from_the_range_and_pilots_are_kept(everyone):
    receiver = Receiver(bandwidths=(10e6,), antennas=4, subcarriers=64, snr_db=(0.0, 20.0))
    views = PretrainBatches(everyone, receiver, 40).draw(seeded())
    noise = (views.first.csi - views.widest.csi).abs().square().mean((1, 2))
    snr = 10 * (views.widest.csi.abs().square().mean((1, 2)) / noise).log10()
    assert -1.5 < snr.min() < 5
    assert 15 < snr.max() < 21.5


def test_the_place_in_an_epoch_is_two_numbers(everyone):
    batches = PretrainBatches(everyone, RECEIVER, 7)
    generator = seeded()
    batches.draw(generator)
    place, state = batches.epochs.state_dict(), generator.get_state()
    expected = [batches.draw(generator) for _ in range(12)]
    again = PretrainBatches(everyone, RECEIVER, 7)
    again.epochs.load_state_dict(place)
    generator.set_state(state)
    for views in expected:
        other = again.draw(generator)
        assert torch.equal(views.first.csi, other.first.csi)
        assert torch.equal(views.second.csi, other.second.csi)


def test_labels_are_the_users_positions_and_their_sight(opened, everyone):
    sounding, truth = LabelledBatches(everyone, RECEIVER, 6).draw(seeded())
    position = opened.dataset["user_position"].values[sounding.user.numpy()]
    assert np.array_equal(truth.position.numpy(), position)
    sight = (opened.dataset["interactions"].values == 0).any(-1)
    assert np.array_equal(truth.line_of_sight.numpy(), sight[sounding.user, sounding.station])
    links = reached(opened)[np.unique(sounding.user)].sum()
    assert len(sounding) == links


def test_links_that_a_task_cannot_use_are_left_out(opened):
    pool = HeldPool(opened, np.arange(60), [0, 1], wanted=ToaTask().usable)
    for _, truth in LabelledBatches(pool, RECEIVER, 20).all(seeded()):
        assert truth.line_of_sight.all()
    sight = (opened.dataset["interactions"].values == 0).any(-1)
    assert int(pool.reachable.sum()) == sight.sum()


def test_stations_are_dropped_at_random_but_never_all(everyone):
    batches = LabelledBatches(everyone, RECEIVER, 40, fewest_stations=1)
    counts = []
    for _ in range(20):
        sounding, _ = batches.draw(seeded(len(counts)))
        counts += torch.unique(sounding.user, return_counts=True)[1].tolist()
    assert set(counts) == {1, 2}
    whole, _ = LabelledBatches(everyone, RECEIVER, 40).draw(seeded())
    assert len(whole) > sum(counts) / 20


def test_fewer_labels_are_a_subset_of_more(opened):
    choice = Choice(opened, "random", [0, 1], Everybody())
    few, many = (set(choice.labelled(n, 3)) for n in (5, 20))
    assert few < many
    assert many <= set(opened.split("random", "train"))
    assert many != set(choice.labelled(20, 4))


def test_pretraining_on_region_leaves_out_validation_and_test(opened):
    rows = set(users_of(opened, "region", ("train",)))
    for part in ("validation", "test"):
        assert rows.isdisjoint(opened.split("region", part))
        chosen = Choice(opened, "region", [0], Everybody()).held_out(part, 3, 0)
        assert set(chosen) <= set(opened.split("region", part))
        assert len(chosen) <= 3


def test_users_tested_by_another_split_are_left_out_and_some_are_drawn_by_the_seed(opened):
    rows = users_of(opened, "region", ("train",))
    left = without(opened, rows, {"random": ("validation", "test")})
    elsewhere = users_of(opened, "random", ("validation", "test"))
    assert set(left) == set(rows) - set(elsewhere)
    assert len(left) < len(rows)
    few = some(left, 3, 1)
    assert set(few) < set(left)
    assert len(few) == 3
    assert list(few) != list(some(left, 3, 2))
    assert np.array_equal(some(left, None, 1), left)
    with pytest.raises(ValueError, match="leaves nobody"):
        without(opened, rows, {"region": ("train",)})


def test_users_without_sight_see_none_of_the_stations(opened):
    everyone = np.arange(60)
    interactions = opened.dataset["interactions"].values
    sight, heard = (interactions == 0).any(-1), (interactions >= 0).any(-1)
    hidden = np.flatnonzero(~sight[:, 0] & heard[:, 0])
    assert WithoutSight()(opened, everyone, [0]).tolist() == hidden.tolist()
    both = WithoutSight()(opened, everyone, [0, 1])
    assert both.tolist() == np.flatnonzero(~sight.any(1) & heard.any(1)).tolist()
    silent = Silent(opened, everyone[:3])
    assert not set(WithoutSight()(silent, everyone, [0])) & {0, 1, 2}


class Silent:
    """A store of whose users some have no path at all."""

    def __init__(self, store, users):
        self.dataset = store.dataset[["interactions"]].copy(deep=True)
        self.dataset["interactions"].values[users] = -1


def test_mistakes_about_users_and_stations_are_one_line(opened, everyone):
    for call, message in (
        (lambda: Choice(opened, "random", [0], Everybody()).labelled(999, 0), "labels=999"),
        (lambda: station_columns(opened, ["west", "north"]), "no station north: it has west, east"),
        (lambda: PretrainBatches(everyone, RECEIVER, 999), "batch must be from 1 to"),
        (lambda: LabelledBatches(everyone, RECEIVER, 5, 3), "fewest_stations=3"),
        (lambda: users_of(opened, "random", ()), "no part"),
        (lambda: Receiver(snr_db=(5.0, 1.0)), "lowest, highest"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
