import numpy as np
import pytest

from radiofix.scenes.o1 import o1


def yaws(**arguments) -> dict[int, float]:
    return {n: float(s.orientation[0]) for n, s in o1(**arguments).stations.items()}


def test_stations_are_turned_by_number_or_by_its_text():
    """JSON has no other keys than text."""
    turned = yaws(station_yaw={"3": 0.5, "10": -1.0})
    assert turned == yaws() | {3: 0.5, 10: -1.0}
    assert turned == yaws(station_yaw={3: 0.5, 10: -1.0})
    assert turned[4] == np.pi


@pytest.mark.parametrize("number", [19, "19", "x", "03"])
def test_a_station_that_is_not_there_cannot_be_turned(number):
    with pytest.raises(ValueError, match=f"station_yaw names station {number}: o1 has stations 1"):
        o1(station_yaw={number: 0.5})
