"""Masks beside the channels they hide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from radiofix.objectives.cycles import CycleMask, row_shift
from radiofix.pictures import save
from radiofix.pictures.masking_view import masking_picture

DOCS = Path(__file__).parents[2] / "docs"


def links() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three links of two waves each, their masks and their shifts."""
    antenna, subcarrier = torch.arange(8.0)[:, None], torch.arange(32.0)
    turns = (subcarrier - torch.tensor([2.0, -3, 1])[:, None, None] * antenna) / 9
    csi = 1e-4 * (1 + 0.5 * torch.polar(torch.ones_like(turns), 2 * torch.pi * turns))
    generator = torch.Generator().manual_seed(0)
    return csi, CycleMask(share=0.25)(csi, generator), row_shift(csi, 8)


def shown(figure: Figure) -> list[np.ma.MaskedArray]:
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def test_every_link_has_its_amplitude_above_and_what_is_left_of_it_below() -> None:
    csi, hidden, shift = links()
    panels = shown(masking_picture(csi, hidden, shift, ["a", "b", "c"]))
    assert len(panels) == 6
    for n in range(3):
        amplitude = csi[n].abs().double().numpy()
        above, below = panels[n], panels[n + 3]
        np.testing.assert_allclose(above.filled(np.nan), amplitude / amplitude.max(), rtol=1e-6)
        np.testing.assert_array_equal(np.ma.getmaskarray(below), hidden[n].numpy())
        np.testing.assert_array_equal(below.compressed(), above.data[~hidden[n].numpy()])


def test_titles_tell_the_shift_with_its_sign_and_the_share() -> None:
    figure = masking_picture(*links(), ["10 MHz", "20 MHz", "50 MHz"])
    titles = [axes.get_title(loc="left") for axes in figure.axes[:6]]
    assert titles[:3] == ["10 MHz\nd = +2", "20 MHz\nd = -3", "50 MHz\nd = +1"]
    assert titles[3:] == ["25 % hidden"] * 3


def test_the_first_antenna_is_above() -> None:
    figure = masking_picture(*links(), ["a", "b", "c"])
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top


def test_a_link_without_signal_is_drawn_as_nothing(tmp_path: Path) -> None:
    csi, hidden, shift = links()
    figure = masking_picture(0 * csi, hidden, shift, ["a", "b", "c"])
    assert float(np.abs(shown(figure)[0]).max()) == 0
    assert save(figure, tmp_path / "masks.png").stat().st_size > 1000


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    csi, hidden, shift = links()
    names = ["a", "b", "c"]
    for wrong, message in (
        ((csi.abs(), hidden, shift, names), "csi must be complex"),
        ((csi, hidden[:2], shift, names), "3 links of csi"),
        ((csi, hidden, shift, names[:2]), "2 names do not fit"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            masking_picture(*wrong)
        assert "\n" not in str(error.value)


def test_the_page_shows_bands_of_several_shifts_and_how_to_draw_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (DOCS / "sigmap.md").read_text()
    kept = DOCS / "pictures" / "sigmap-masks.png"
    assert f"(pictures/{kept.name})" in page
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(page.split("```python\n")[1].split("```")[0], "sigmap.md", "exec"), names)
    assert names["shift"].tolist() == [-8, -3, 3, 8]
    drawn, shown_there = (matplotlib.image.imread(f) for f in (tmp_path / kept.name, kept))
    assert drawn.shape == shown_there.shape
    assert np.abs(drawn - shown_there).mean() < 0.01
