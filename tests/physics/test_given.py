"""What people hand over is taken in any form that means one thing, and refused in one line."""

import numpy as np
import pytest
import torch

from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.types import Station

CHANNEL = Channel(20e6, 16, ula(4))
HERE = Station(torch.tensor([0.0, 1.0, 10.0]), torch.tensor([0.5, 0.0, 0.0]), 3.5e9)


def channels(links=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(links, 4, 16, generator=generator, dtype=torch.complex128)


@pytest.mark.parametrize(
    "form",
    [
        lambda csi: csi,
        lambda csi: csi.numpy(),
        lambda csi: csi.numpy().astype(np.complex64),
        lambda csi: np.ascontiguousarray(csi.numpy()[::-1])[::-1],
        lambda csi: csi.tolist(),
        lambda csi: csi.clone().requires_grad_(),
    ],
)
def test_csi_is_taken_as_a_tensor_an_array_or_lists_in_single_or_double_precision(form):
    csi = channels()
    found = CHANNEL.describe(form(csi), HERE)
    assert found.csi.dtype == torch.complex64
    assert torch.allclose(found.csi, csi.to(torch.complex64), rtol=1e-6)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("csi", "message"),
    [
        (np.ones((3, 4, 16)), r"csi is real \(float64\): give complex numbers"),
        (torch.ones(3, 4, 16), r"csi is real \(float32\): give complex numbers"),
        (channels()[0], r"got shape \(4, 16\): one link alone is csi\[None\]"),
        (channels()[None], r"must be \(link, antenna, subcarrier\), got shape \(1, 3, 4, 16\)"),
        (channels().mT, "csi has 16 antennas and 4 subcarriers, the channel 4 and 16"),
        ([[1j, 2j], [1j]], "csi must be an array of complex numbers, got list"),
        ("site.npz", "csi must be an array of complex numbers, got str"),
    ],
)
def test_csi_that_is_no_channels_is_refused_in_one_line(csi, message):
    with pytest.raises(ValueError, match=message) as refused:
        CHANNEL.describe(csi, HERE)
    assert "\n" not in str(refused.value)


def test_a_single_subcarrier_is_refused():
    with pytest.raises(ValueError, match="1 subcarrier, which tells no delay: give at least 2"):
        Channel(20e6, 1, ula(4)).describe(channels()[:, :, :1], HERE)


@pytest.mark.parametrize("stations", [HERE, []])
def test_no_links_are_described_as_none(stations):
    found = CHANNEL.describe(np.zeros((0, 4, 16), complex), stations)
    assert tuple(found.csi.shape) == (0, 4, 16)
    assert tuple(found.frequency.shape) == (0, 16)
    assert tuple(found.antenna.shape) == (0, 4, 3)
    assert tuple(found.station_position.shape) == (0, 3)


def test_a_bandwidth_a_link_has_to_fit_the_links():
    channel = Channel(torch.tensor([10e6, 20e6]), 16, ula(4))
    assert torch.allclose(channel.describe(channels(2), HERE).bandwidth, torch.tensor([10e6, 20e6]))
    with pytest.raises(ValueError, match="bandwidth has 2 values for 3 links"):
        channel.describe(channels(3), HERE)


@pytest.mark.parametrize(
    "three", [[0, 1.5, 10], (0, 1.5, 10), np.array([0, 1.5, 10]), torch.tensor([0, 1.5, 10])]
)
def test_a_station_stands_at_any_three_numbers(three):
    station = Station(three, three, 3.5e9)
    assert station.position.tolist() == [0, 1.5, 10]
    assert station.orientation.dtype == torch.float64
    assert CHANNEL.describe(channels(), station).station_position.tolist() == [[0, 1.5, 10]] * 3


@pytest.mark.parametrize(
    "three", [0.3, [1, 2], [[1, 2, 3]], [1, 2, np.nan], "here", None, [1, 2, "x"]]
)
def test_a_station_without_three_numbers_is_refused(three):
    with pytest.raises(ValueError, match=r"position must be three numbers, x, y, z \[m\], got"):
        Station(three, [0, 0, 0], 3.5e9)
    with pytest.raises(ValueError, match="orientation must be three numbers, yaw, pitch, roll"):
        Station([0, 0, 0], three, 3.5e9)


@pytest.mark.parametrize("carrier", [0.0, -1.0, float("nan"), float("inf")])
def test_a_carrier_is_positive_and_finite(carrier):
    with pytest.raises(ValueError, match="carrier_frequency must be positive"):
        Station([0, 0, 0], [0, 0, 0], carrier)
