"""What is remembered of stations: each its own, strangers nothing, nobody confused."""

from dataclasses import replace

import torch

from models.soundings import random_sounding
from radiofix.models.memory import StationMemory, meet
from radiofix.models.radiofix import RadiofixEncoder


def links(places, yaw=0.0):
    """One link for each station, that stands at the given x."""
    one = random_sounding(len(places))
    position = torch.zeros(len(places), 3, dtype=torch.float64)
    position[:, 0] = torch.tensor(places, dtype=torch.float64)
    orientation = torch.zeros(len(places), 3, dtype=torch.float64)
    orientation[:, 0] = yaw
    return replace(one, station_position=position, station_orientation=orientation)


def filled(slots=3):
    memory = StationMemory(slots, 4)
    with torch.no_grad():
        memory.vectors.copy_(torch.arange(1.0, slots + 1)[:, None].expand(-1, 4))
    return memory


def test_each_station_that_was_met_has_its_own_vector_and_a_stranger_none():
    memory = filled()
    memory.meet(links([0.0, 50.0, 0.0]))
    memory.meet(links([50.0]))
    assert memory(links([50.0, 0.0, 20.0]))[:, 0].tolist() == [2.0, 1.0, 0.0]


def test_a_station_that_looks_elsewhere_is_another_one_however_the_angle_is_written():
    memory = filled()
    memory.meet(links([0.0], yaw=3.14159))
    assert memory(links([0.0], yaw=0.0))[0, 0] == 0
    assert memory(links([0.0], yaw=-3.14159))[0, 0] == 1


def test_a_full_memory_leaves_the_rest_strangers():
    memory = filled(slots=1)
    memory.meet(links([0.0, 10.0]))
    assert memory(links([0.0, 10.0]))[:, 0].tolist() == [1.0, 0.0]


def test_stations_are_remembered_with_the_weights():
    memory, other = filled(), StationMemory(3, 4)
    memory.meet(links([0.0, 50.0]))
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other(links([50.0, 7.0])), memory(links([50.0, 7.0])))


def test_an_encoder_tells_stations_apart_only_once_it_has_met_them_and_learnt():
    torch.manual_seed(0)
    encoder = RadiofixEncoder(16, 1, 2, 8, 16, known_stations=2).eval()
    here, there = links([0.0]), links([50.0])
    there = replace(there, csi=here.csi)
    with torch.no_grad():
        assert torch.equal(encoder(here).summary, encoder(there).summary)
        meet(encoder, [here, there])
        assert torch.equal(encoder(here).summary, encoder(there).summary)
        encoder.memory.vectors[0] = torch.linspace(-1, 1, 16)
        assert not torch.allclose(encoder(here).summary, encoder(there).summary)
        moved = replace(here, station_position=here.station_position + 500)
        assert torch.equal(encoder(moved).summary, encoder(there).summary)


def test_learning_reaches_the_vectors_of_the_stations_that_are_heard_alone():
    memory = StationMemory(3, 4)
    memory.meet(links([0.0, 50.0]))
    memory(links([50.0])).sum().backward()
    assert memory.vectors.grad[:, 0].tolist() == [0.0, 1.0, 0.0]
