"""Pictures of pretraining: what is drawn is what was measured, where its axes say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from radiofix.physics.transforms import delay_angle
from radiofix.pictures import style
from radiofix.pictures.pretraining_view import (
    BEFORE,
    Curve,
    DelayAngle,
    FilledIn,
    Reading,
    aligned,
    delay_angle_picture,
    filled_in_picture,
    losses_picture,
    probes_picture,
)

BAND = 20e6


def _panels(figure: Figure) -> list[Axes]:
    """The axes but those of colour bars."""
    return [a for a in figure.axes if a.get_label() != "<colorbar>"]


def _wave(delay_bin: float, sine: float, antennas: int = 16, subcarriers: int = 64) -> torch.Tensor:
    """One path by the channel's equation, half a wavelength between antennas."""
    antenna = torch.arange(antennas, dtype=torch.float64)[:, None]
    cycles = antenna * sine / 2 - torch.arange(subcarriers) * delay_bin / subcarriers
    return torch.exp(2j * torch.pi * cycles)


def test_losses_are_drawn_where_they_were_measured_and_the_bound_beside_the_contrast() -> None:
    samples, contrast = [16_000, 32_000, 64_000], [4.5, 3.5, 3.0]
    bound = [math.log(64) - loss for loss in contrast]
    masked = Curve("SF-MCM", "hidden NMSE", [0.5, 0.2, 0.1], {"zero": 1.0}, logarithmic=True)
    picl = Curve("PICL", "contrast [nat]", contrast, {"most": math.log(64)}, bound=bound)
    first, second = _panels(losses_picture(samples, [masked, picl]))
    drawn = {to_hex(line.get_color()).upper(): line for line in second.lines}
    np.testing.assert_allclose(drawn[style.BLUE].get_xydata(), np.c_[[16, 32, 64], contrast])
    np.testing.assert_allclose(drawn[style.VERMILION].get_xydata(), np.c_[[16, 32, 64], bound])
    np.testing.assert_allclose(drawn[style.GREY].get_ydata(), math.log(64))
    np.testing.assert_allclose(first.lines[0].get_ydata(), [0.5, 0.2, 0.1])
    assert first.get_yscale() == "log"
    assert second.get_yscale() == "linear"
    assert first.get_legend() is None
    assert [text.get_text() for text in first.texts] == ["zero"]
    assert (first.get_ylabel(), first.get_xlabel()) == ("hidden NMSE", "samples seen [thousands]")


def test_what_is_hidden_is_grey_before_and_filled_in_after() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, found = torch.randn(2, 8, 12, dtype=torch.complex64, generator=generator)
    hidden = torch.rand(8, 12, generator=generator) < 0.5
    figure = filled_in_picture(FilledIn(truth, found, hidden, BAND))
    panels = _panels(figure)
    assert len(panels) == 8
    masked, filled, true, away = (np.ma.asarray(a.images[0].get_array()) for a in panels[4:])
    assert np.array_equal(np.ma.getmaskarray(masked), hidden.numpy())
    assert np.array_equal(np.ma.getmaskarray(away), ~hidden.numpy())
    np.testing.assert_allclose(true, truth.real.numpy())
    np.testing.assert_allclose(filled, torch.where(hidden, found, truth).real.numpy())
    np.testing.assert_allclose(away.compressed(), (found - truth).real.numpy()[hidden.numpy()])
    level = np.ma.asarray(panels[2].images[0].get_array())
    np.testing.assert_allclose(level, 20 * np.log10(truth.abs().numpy()), rtol=1e-4, atol=1e-4)
    grey = panels[4].images[0].get_cmap()(np.ma.masked_all(1))[0]
    assert to_hex(grey).upper() == style.GREY
    # The carrier is at subcarrier 6 of 12, whose middle is 0.
    left, right, *_ = panels[0].images[0].get_extent()
    step = BAND / 12 / 1e6
    assert (left, right) == pytest.approx((-6.5 * step, 5.5 * step))


def test_a_wave_is_drawn_at_its_delay_and_its_angle() -> None:
    for delay_bin, sine in ((0, 0.5), (3, -0.25), (-2, 0.75)):
        view = delay_angle(_wave(delay_bin, sine))
        panels = _panels(delay_angle_picture([DelayAngle("one", view, 2j * view, BAND)]))
        for axes in panels:
            (image,) = axes.images
            level = np.asarray(image.get_array())
            assert level.max() == pytest.approx(0, abs=1e-6)
            row, column = np.unravel_index(level.argmax(), level.shape)
            left, right, low, high = image.get_extent()
            delay = left + (column + 0.5) * (right - left) / level.shape[1]
            height = low + (row + 0.5) * (high - low) / level.shape[0]
            assert delay == pytest.approx(delay_bin / BAND * 1e9, abs=1e-6)
            assert height == pytest.approx(sine, abs=1e-9)


def test_end_fire_is_drawn_at_both_ends() -> None:
    view = delay_angle(_wave(0, 1.0))
    axes = _panels(delay_angle_picture([DelayAngle("one", view, view, BAND)]))[0]
    level = np.asarray(axes.images[0].get_array())
    assert level[0, BEFORE] == pytest.approx(0, abs=1e-6)
    assert level[-1, BEFORE] == level[0, BEFORE]
    names = [text.get_text() for text in axes.get_yticklabels()]
    heights = dict(zip(names, axes.get_yticks(), strict=True))
    assert heights["90"] == 1
    assert heights["\N{MINUS SIGN}45"] == pytest.approx(-math.sqrt(0.5))


def test_what_the_loss_leaves_open_is_a_factor_that_is_taken_off() -> None:
    view = delay_angle(_wave(1.3, 0.2))
    again = aligned(DelayAngle("", view, (0.2 - 3j) * view, BAND))
    np.testing.assert_allclose(again, view.numpy(), atol=1e-12)
    nothing = aligned(DelayAngle("", view, torch.zeros_like(view), BAND))
    assert not nothing.any()


def test_readings_are_told_apart_by_row_colour_and_shape() -> None:
    readings = [
        Reading("sfmcm: summary", "pretrained", "ridge", 3.0),
        Reading("sfmcm: summary", "untrained", "ridge", 5.0),
        Reading("strongest wave", "no encoder", "as it is", 20.0),
    ]
    figure = probes_picture({"position": readings, "ToA": readings[:1]}, UNITS)
    first, second = _panels(figure)
    found = [(*line.get_xydata()[0], line.get_marker()) for line in first.lines]
    assert found == [(3, 0, "o"), (5, 0, "o"), (20, 1, "s")]
    assert len({line.get_color() for line in first.lines}) == 3
    assert len(second.lines) == 1
    assert [t.get_text() for t in first.get_yticklabels()] == ["sfmcm: summary", "strongest wave"]
    assert first.get_ylim()[0] > first.get_ylim()[1]
    assert second.get_xlabel() == "median error [ns]"
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["pretrained", "untrained", "no encoder", "ridge", "as it is"]


UNITS = {"position": "m", "ToA": "ns"}
