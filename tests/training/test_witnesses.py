"""Asking stations where users were: geometry against the positions that nobody looked at."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from radiofix.classic.multilateration import Trust
from radiofix.physics.worlds import Worlds
from radiofix.training.batches import PretrainBatches, Receiver
from radiofix.training.witnesses import Witnesses

RECEIVER = Receiver(bandwidths=(10e6, 100e6), antennas=16, subcarriers=64, snr_db=30.0)
CORNERS = torch.tensor(
    [[0.0, 0, 1.5], [60.0, 0, 1.5], [0.0, 90, 1.5], [60.0, 90, 1.5]], dtype=torch.float64
)


class FreeSpace:
    """Users between four stations that look at each other, nothing else anywhere."""

    def __init__(self, users=40, deaf=None):
        generator = torch.Generator().manual_seed(1)
        unit = torch.rand(users, 2, generator=generator, dtype=torch.float64)
        position = torch.tensor([4.0, 5.0]) + unit * torch.tensor([52.0, 80.0])
        self.position = torch.nn.functional.pad(position, (0, 1), value=1.5)
        self.reachable = torch.ones(users, 4, dtype=torch.bool)
        if deaf is not None:
            self.reachable[deaf] = False

    def order(self, generator):
        return torch.randperm(len(self.position), generator=generator)

    def take(self, user, station):
        # One world gives the shape of a link; its only path is the straight one.
        template = Worlds(paths=1, scatterers=0).draw(len(user), torch.Generator().manual_seed(0))
        away = self.position[user] - CORNERS[station]
        distance = away.norm(dim=-1, keepdim=True)
        yaw = torch.where(station % 2 == 0, 0.0, torch.pi).double()
        none = torch.zeros_like(yaw)
        return replace(
            template,
            gain=(1 / distance).to(torch.complex64),
            delay=(distance / 299_792_458.0).float(),
            station_azimuth=torch.atan2(away[:, 1:2], away[:, :1]).float(),
            station_zenith=torch.full_like(distance, torch.pi / 2).float(),
            interactions=torch.zeros(len(user), 1, dtype=torch.int8),
            user_position=torch.full_like(away, torch.nan),
            station_position=CORNERS[station],
            station_orientation=torch.stack([yaw, none, none], -1),
            user=user,
            station=station,
        )


def test_witnesses_place_users_of_whom_no_position_is_known():
    space = FreeSpace()
    place = Witnesses(kept=1.0).places(space, RECEIVER, seed=0)
    off = (place - space.position)[:, :2].norm(dim=-1)
    assert off.median() < 0.1
    assert off.max() < 1.0


def test_the_share_on_whom_stations_agree_worst_is_left_out():
    place = Witnesses(kept=0.75).places(FreeSpace(), RECEIVER, seed=0)
    assert int(place.isnan().any(-1).sum()) == 10


def test_users_that_nobody_hears_are_nowhere():
    place = Witnesses(kept=1.0).places(FreeSpace(deaf=[3, 7]), RECEIVER, seed=0)
    assert place.isnan().any(-1).nonzero()[:, 0].tolist() == [3, 7]


def test_the_same_seed_sees_the_same_and_bandwidth_is_the_widest():
    first, again = (Witnesses().places(FreeSpace(), RECEIVER, seed=2) for _ in range(2))
    assert torch.equal(first.nan_to_num(), again.nan_to_num())
    narrow = replace(RECEIVER, bandwidths=(10e6,), snr_db=10.0)
    wide = replace(RECEIVER, bandwidths=(10e6, 100e6), snr_db=10.0)
    space = FreeSpace()
    off = [
        (Witnesses(kept=1.0).places(space, r, seed=0) - space.position)[:, :2].norm(dim=-1).median()
        for r in (narrow, wide)
    ]
    assert off[1] < off[0]


def test_batches_bring_the_place_of_their_own_users():
    space = FreeSpace()
    place = torch.arange(40.0, dtype=torch.float64)[:, None].expand(40, 3)
    batches = PretrainBatches(space, RECEIVER, 8, place=place)
    views = batches.draw(torch.Generator().manual_seed(0))
    assert np.array_equal(views.place[:, 0].numpy(), views.first.user.numpy())
    assert PretrainBatches(space, RECEIVER, 8).draw(torch.Generator()).place is None


def test_shares_and_deviations_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="kept must be"):
        Witnesses(kept=0.0)
    with pytest.raises(ValueError, match="range must be positive"):
        Witnesses(trust=Trust(range=0.0))
