"""The page about locating runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

from radiofix.serving.sites import read_site

PAGE = (Path(__file__).parents[2] / "docs" / "locating.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_python_of_the_page_locates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(block, "locating.md", "exec"), names)
    assert names["fixes"].position.shape == (5, 3)
    assert np.isfinite(names["fixes"].covariance).all()


def test_the_stations_of_the_page_can_be_read(tmp_path):
    (block,) = blocks("yaml")
    (tmp_path / "stations.yaml").write_text(block)
    roof, mast = read_site(tmp_path / "stations.yaml").stations
    assert roof.orientation[0].item() == pytest.approx(np.pi / 2)
    # 0.0008 degrees of latitude are 89 m, 0.0006 of longitude 45 m.
    assert mast.position.tolist() == pytest.approx([44.7, 89.0, 10.0], abs=0.3)
