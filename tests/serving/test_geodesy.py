"""Metres of a scene on WGS 84, against the geodesic of Vincenty."""

import math

import numpy as np
import pytest

from radiofix.serving.geodesy import Origin, origin_of


def geodesic(start, end):
    """Distance [m] and first azimuth [deg] on WGS 84, Vincenty's inverse formula (1975)."""
    a, f = 6378137.0, 1 / 298.257223563
    b = a * (1 - f)
    u1, u2 = (math.atan((1 - f) * math.tan(math.radians(p[0]))) for p in (start, end))
    length = math.radians(end[1] - start[1])
    lam = length
    for _ in range(50):
        x = math.cos(u2) * math.sin(lam)
        y = math.cos(u1) * math.sin(u2) - math.sin(u1) * math.cos(u2) * math.cos(lam)
        sine = math.hypot(x, y)
        cosine = math.sin(u1) * math.sin(u2) + math.cos(u1) * math.cos(u2) * math.cos(lam)
        sigma = math.atan2(sine, cosine)
        alpha = math.cos(u1) * math.cos(u2) * math.sin(lam) / sine
        square = 1 - alpha**2
        middle = cosine - 2 * math.sin(u1) * math.sin(u2) / square if square else 0.0
        c = f / 16 * square * (4 + f * (4 - 3 * square))
        inner = sigma + c * sine * (middle + c * cosine * (2 * middle**2 - 1))
        lam = length + (1 - c) * f * alpha * inner
    second = square * (a**2 - b**2) / b**2
    big_a = 1 + second / 16384 * (4096 + second * (-768 + second * (320 - 175 * second)))
    big_b = second / 1024 * (256 + second * (-128 + second * (74 - 47 * second)))
    delta = (
        big_b
        * sine
        * (
            middle
            + big_b
            / 4
            * (
                cosine * (2 * middle**2 - 1)
                - big_b / 6 * middle * (4 * sine**2 - 3) * (4 * middle**2 - 3)
            )
        )
    )
    return b * big_a * (sigma - delta), math.degrees(math.atan2(x, y)) % 360


def test_the_geodesic_itself_gives_the_published_line():
    """Flinders Peak to Buninyong, GDA technical manual: 54,972.271 m at 306 deg 52' 05.37"."""
    flinders = (-(37 + 57 / 60 + 3.72030 / 3600), 144 + 25 / 60 + 29.52440 / 3600)
    buninyong = (-(37 + 39 / 60 + 10.15610 / 3600), 143 + 55 / 60 + 35.38390 / 3600)
    distance, azimuth = geodesic(flinders, buninyong)
    assert distance == pytest.approx(54972.271, abs=2e-3)
    assert azimuth == pytest.approx(306 + 52 / 60 + 5.37 / 3600, abs=1e-5)


@pytest.mark.parametrize("latitude", [-77.0, -33.9, 0.0, 48.1, 69.6])
@pytest.mark.parametrize("heading", [90.0, 0.0, 217.0])
def test_within_a_kilometre_places_are_right_to_a_centimetre(latitude, heading):
    origin = Origin(latitude, 11.5, 0.0, heading)
    for angle in np.linspace(0, 2 * np.pi, 9, endpoint=False):
        for reach in (10.0, 1000.0):
            place = [reach * np.cos(angle), reach * np.sin(angle), 0.0]
            found = origin.geographic(place)
            distance, azimuth = geodesic((latitude, 11.5), found[:2])
            assert distance == pytest.approx(reach, abs=0.01)
            toward = (heading - np.degrees(angle) - azimuth + 180) % 360 - 180
            assert reach * abs(np.radians(toward)) < 0.01
            # The plane leaves the round earth by d^2 / 2R.
            assert found[2] == pytest.approx(reach**2 / 2 / 6.37e6, rel=0.02)


def test_there_and_back_again():
    rng = np.random.default_rng(0)
    origin = Origin(-33.9, 151.2, 42.0, 33.0)
    places = rng.uniform(-3000, 3000, (200, 3))
    back = origin.local(*np.moveaxis(origin.geographic(places), -1, 0))
    assert np.abs(back - places).max() < 1e-6
    assert np.allclose(origin.geographic([0, 0, 0]), [-33.9, 151.2, 42.0], atol=1e-9)


def test_a_stores_origin_is_known_by_its_attributes():
    told = {"origin_latitude": 1, "origin_longitude": 2, "origin_height": 3, "heading_of_x": 4}
    assert origin_of(told) == Origin(1, 2, 3, 4)
    assert origin_of({"origin_latitude": 1, "origin_longitude": 2}) == Origin(1, 2, 0, 90)
    assert origin_of({"origin_latitude": 1}) is None


def test_places_off_the_globe_are_refused():
    with pytest.raises(ValueError, match="latitude must lie between -90 and 90 degrees, got 91"):
        Origin(91.0, 0.0)
    with pytest.raises(ValueError, match="heading_of_x of the origin must be a number"):
        Origin(0.0, 0.0, 0.0, float("nan"))
