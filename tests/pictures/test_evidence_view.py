"""Curves of a bench: points that can be told apart wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from radiofix.pictures.evidence_view import draw_curves
from radiofix.pictures.style import Array


@dataclass
class Line:
    x: Array
    y: Array
    name: str = "ours"
    family: int = 0
    member: int = 0
    low: Array | None = None
    high: Array | None = None
    marks: Sequence[tuple[float, float]] = ()


@dataclass
class Panel:
    lines: Sequence[Line]
    title: str = "split region"


@pytest.mark.parametrize(
    ("points", "scale"),
    [
        ((0.0, 0.1, 0.3, 1.0, 3.0), "symlog"),
        ((0.0, 10.0, 30.0, 100.0, 300.0, 1000.0), "symlog"),
        ((250.0, 1000.0, 2000.0, 10000.0), "log"),
        ((0.0, 10.0, 20.0, 30.0), "linear"),
        ((3.0, 4.0, 9.0, 10.0), "linear"),
    ],
)
def test_points_are_told_apart_however_far_they_spread(
    points: tuple[float, ...], scale: str
) -> None:
    x = np.array(points)
    (axes,) = draw_curves([Panel([Line(x, 1 + x)])], "so much", "m").axes
    assert axes.get_xscale() == scale
    assert axes.get_xticks().tolist() == list(points)
    place = axes.transData.transform(np.column_stack([x, 1 + x]))[:, 0]
    width = axes.get_window_extent().width
    assert np.diff(place).min() > 0.08 * width


def test_no_line_crosses_a_place_where_a_method_was_not_asked():
    whole, ends = Line(np.array([1.0, 2.0, 3.0]), np.ones(3)), np.array([1.0, 3.0])
    (axes,) = draw_curves([Panel([whole, Line(ends, 2 * ends, "theirs")])], "so much", "m").axes
    drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}
    np.testing.assert_array_equal(drawn["ours"], np.ones(3))
    np.testing.assert_array_equal(drawn["theirs"], [2.0, np.nan, 6.0])
