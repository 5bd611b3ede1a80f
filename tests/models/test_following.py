"""What people are shown of a link's waves: from the station by the wall to the user."""

import pytest
import torch

from models.sites import ECHOING, HEIGHT, SOUTH, STATIONS, heard, reflected, street
from radiofix.models.following import followed_waves


def test_a_reflected_wave_is_shown_by_the_wall_to_the_user():
    for user in range(len(ECHOING)):
        (wave, *_) = followed_waves(reflected()[user : user + 1], street(), HEIGHT, 1)
        begins, bend, *_, ends = wave.folded
        torch.testing.assert_close(begins, torch.tensor(STATIONS[0, :2]), atol=1e-4, rtol=0)
        assert float(bend[1]) == pytest.approx(SOUTH, abs=0.05)
        assert float((ends - torch.tensor(ECHOING[user, :2])).norm()) < 0.6
        image = torch.tensor([ECHOING[user, 0], 2 * SOUTH - ECHOING[user, 1]])
        assert float((wave.straight - image).norm()) < 0.6
        # All legs together are as long as the straight way.
        legs = wave.folded.diff(dim=0).norm(dim=-1).sum()
        assert float(legs) == pytest.approx(float((wave.straight - begins).norm()), rel=3e-3)


def test_a_wave_in_sight_ends_where_it_would_without_walls():
    (wave,) = followed_waves(reflected(direct=True)[:1], street(), HEIGHT, 1)
    torch.testing.assert_close(wave.folded[-1], wave.straight)
    with pytest.raises(ValueError, match="one link at a time, got 6"):
        followed_waves(heard(), street(), HEIGHT)
