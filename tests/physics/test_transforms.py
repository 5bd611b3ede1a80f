from __future__ import annotations

import numpy as np
import torch

from physics.links import one_path
from radiofix.physics.arrays import ula
from radiofix.physics.channel import Channel
from radiofix.physics.transforms import bin_delay, bin_direction, delay_angle, spatial_frequency
from radiofix.types import SPEED_OF_LIGHT


def _random_csi() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 8, 12, dtype=torch.complex128, generator=generator)


def _dft(size: int) -> torch.Tensor:
    turn = torch.outer(torch.arange(size), torch.arange(size)).double() / size
    return torch.exp(-2j * np.pi * turn) / size**0.5


def test_delay_angle_is_the_paper_s_product_of_dft_matrices():
    csi = _random_csi()
    expected = _dft(8).conj().T @ csi @ _dft(12).conj()
    torch.testing.assert_close(delay_angle(csi), expected)


def test_the_energy_is_the_same_in_both_domains():
    csi = _random_csi()
    energy = csi.abs().square().sum((-2, -1))
    torch.testing.assert_close(delay_angle(csi).abs().square().sum((-2, -1)), energy)


def test_spatial_frequency_undoes_delay_angle():
    csi = _random_csi()
    torch.testing.assert_close(spatial_frequency(delay_angle(csi)), csi)


def test_a_path_peaks_at_its_own_delay_and_direction():
    bandwidth, subcarriers, antennas = 50e6, 64, 16
    for angle_bin, delay_bin in ((0, 0), (3, 5), (8, 40), (15, 63)):
        direction = float(bin_direction(antennas)[angle_bin])
        delay = float(bin_delay(subcarriers, bandwidth / subcarriers)[delay_bin])
        paths = one_path(azimuth=float(np.arcsin(direction)), distance=delay * SPEED_OF_LIGHT)
        csi = Channel(bandwidth, subcarriers, ula(antennas)).synthesize(paths)
        power = delay_angle(csi)[0].abs().square()
        assert divmod(int(power.argmax()), subcarriers) == (angle_bin, delay_bin)
        # On the centre of a bin nothing leaks: all the energy is there.
        assert float(power.max() / power.sum()) > 1 - 1e-9


def test_directions_cover_the_ula_s_whole_view_once():
    directions = bin_direction(10)
    assert directions.min() == -1
    torch.testing.assert_close(directions.sort().values, torch.linspace(-1, 0.8, 10).double())
