from __future__ import annotations

import math

import pytest
import torch

from radiofix.physics.arrays import Isotropic, Sector, elements, uca, ula, upa


def test_ula_runs_up_the_local_y_axis_about_its_centre():
    expected = torch.tensor([[0, -0.75, 0], [0, -0.25, 0], [0, 0.25, 0], [0, 0.75, 0]])
    torch.testing.assert_close(ula(4).positions, expected.double())


def test_upa_goes_down_a_column_before_the_next_column():
    expected = [[0, -0.5, 0.6], [0, -0.5, 0], [0, -0.5, -0.6], [0, 0.5, 0.6]]
    got = upa(3, 2, row_spacing=0.6, column_spacing=1.0).positions
    torch.testing.assert_close(got[:4], torch.tensor(expected, dtype=torch.float64))


def test_uca_keeps_its_radius_and_starts_on_x():
    positions = uca(8, radius=1.5).positions
    torch.testing.assert_close(positions.norm(dim=-1), torch.full((8,), 1.5).double())
    torch.testing.assert_close(positions[2], torch.tensor([0.0, 1.5, 0.0]).double())


def test_elements_are_in_metres():
    assert elements(torch.zeros(3, 3)).unit == "metre"


def test_sector_element_has_the_numbers_of_table_7_3_1():
    half = math.radians(65) / 2
    azimuth = torch.tensor([0.0, half, 0.0, math.pi, -math.pi, half, math.pi], dtype=torch.float64)
    zenith = math.pi / 2 + torch.tensor(
        [0.0, 0.0, half, 0.0, 0.0, half, math.pi / 2], dtype=torch.float64
    )
    gain_db = 20 * Sector()(azimuth, zenith).log10()
    expected = torch.tensor([8.0, 5.0, 5.0, -22.0, -22.0, 2.0, -22.0], dtype=torch.float64)
    torch.testing.assert_close(gain_db, expected)


def test_sector_element_loses_1_8_db():
    """Its beam alone would give 9.8 dBi, of which the table grants 8 dBi."""
    zenith = torch.linspace(0, math.pi, 361, dtype=torch.float64)
    azimuth = torch.linspace(-math.pi, math.pi, 721, dtype=torch.float64)[:-1]
    grid = torch.meshgrid(azimuth, zenith, indexing="ij")
    power = Sector()(*grid).square() * grid[1].sin()
    radiated_db = 10 * math.log10(float(power.mean() * math.pi / 2))
    assert -1.9 < radiated_db < -1.8


def test_isotropic_element_has_gain_one_everywhere():
    angle = torch.linspace(-3, 3, 7)
    assert (Isotropic()(angle, angle) == 1).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ula(0), "antennas must be a whole number of at least 1, got 0"),
        (lambda: upa(-1, 2), "rows must be a whole number of at least 1, got -1"),
        (lambda: ula(4, spacing=0.0), "spacing must be positive, got 0"),
        (lambda: uca(4, radius=-1.0), "radius must be positive, got -1"),
        (lambda: elements(torch.full((2, 3), math.nan)), "positions must be finite"),
        (lambda: Sector(beamwidth=0.0), "beamwidth must be in"),
        (lambda: Sector(side_lobe=-1.0), "side_lobe must be at least 0 dB, got -1"),
    ],
)
def test_what_is_no_array_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
