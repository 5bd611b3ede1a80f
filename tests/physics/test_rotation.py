from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from radiofix.physics.rotation import angles, rotation, unit_vector, wrap

turn = st.floats(-10, 10)


@given(st.tuples(turn, turn, turn))
def test_rotation_is_yaw_after_pitch_after_roll(orientation):
    got = rotation(torch.tensor(orientation, dtype=torch.float64))
    expected = Rotation.from_euler("ZYX", orientation).as_matrix()
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


def test_yaw_turns_the_broadside_from_x_to_y():
    quarter = torch.tensor([math.pi / 2, 0.0, 0.0], dtype=torch.float64)
    broadside = rotation(quarter) @ torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(broadside, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))


def test_positive_pitch_tilts_the_broadside_down():
    pitch = torch.tensor([0.0, 0.1, 0.0], dtype=torch.float64)
    assert float(rotation(pitch)[2, 0]) == -math.sin(0.1)


@given(st.floats(-3.14, 3.14), st.floats(1e-3, 3.14), st.floats(0.1, 1e3))
def test_angles_undo_unit_vector_at_any_length(azimuth, zenith, length):
    angle = torch.tensor([azimuth, zenith], dtype=torch.float64)
    got = torch.stack(angles(length * unit_vector(angle[0], angle[1])))
    torch.testing.assert_close(got, angle, atol=1e-9, rtol=0)


@given(st.floats(-1e3, 1e3))
def test_wrapped_angle_is_the_same_direction_inside_the_interval(angle):
    got = float(wrap(torch.tensor(angle, dtype=torch.float64)))
    assert -math.pi <= got < math.pi
    assert math.isclose(math.cos(got - angle), 1, abs_tol=1e-12)


def test_pi_wraps_to_minus_pi_and_a_hair_below_minus_pi_stays_inside():
    edge = torch.tensor([math.pi, np.nextafter(-math.pi, -4)], dtype=torch.float64)
    assert ((wrap(edge) >= -math.pi) & (wrap(edge) < math.pi)).all()
    assert float(wrap(edge)[0]) == -math.pi
