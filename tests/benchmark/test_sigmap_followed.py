"""An engineer with a plan: the first wave followed to a wall is where the user is, or is not."""

import torch

from models.sites import ECHOING, HEIGHT, SOUTH, STREET, reflected, street
from radiofix.benchmark.sigmap.followed import Walls
from radiofix.classic.nomp import Nomp


def off(site_map, sounding):
    wave = Nomp()(sounding).first()
    found = Walls(site_map, HEIGHT).place(sounding, wave).position
    return (found - torch.tensor(ECHOING)).norm(dim=-1)


def test_users_that_are_heard_in_an_echo_and_in_sight_are_both_found():
    assert off(street(), reflected()).max() < 0.1
    assert off(street(), reflected(direct=True)).max() < 0.1


def test_with_the_wall_elsewhere_the_echo_leads_astray():
    moved = [
        (x, y - (4.0 if y < 0 else 0.0), a, b - (4.0 if y < 0 else 0.0), h)
        for x, y, a, b, h in STREET
    ]
    # A wall 4 m further away puts images 8 m further on.
    found = off(street(moved), reflected())
    assert ((found - 8.0).abs() < 0.1).all()
    assert max(y for _, _, _, y, _ in STREET if y < 0) == SOUTH
