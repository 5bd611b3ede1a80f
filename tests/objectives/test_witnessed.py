"""Supervision by witnesses: what is learnt, from whom, and who teaches nothing."""

from dataclasses import replace

import pytest
import torch

from objectives.views import generator, random_views
from radiofix.models.frame import FrameHead
from radiofix.models.latent import Latent
from radiofix.objectives.objective import Prepared
from radiofix.objectives.witnessed import Witnessed


def latents(links):
    return Latent(torch.randn(links, 32, generator=generator()), torch.zeros(links, 1, 32))


def seen_views(links=6):
    place = 50 * torch.randn(links, 3, generator=generator(3), dtype=torch.float64)
    return replace(random_views(links), place=place)


def test_the_target_is_where_witnesses_saw_the_user():
    views = seen_views()
    prepared = Witnessed(FrameHead(32), thinned=0.0, mirrored_share=0.0).prepare(views, generator())
    assert torch.equal(prepared.targets[0], views.place)
    assert torch.equal(prepared.soundings[0].csi, views.first.csi)


def test_the_loss_falls_to_the_volume_alone_where_the_place_is_met():
    objective = Witnessed(FrameHead(32))
    prepared = objective.prepare(seen_views(), generator())
    latent = latents(6)
    estimate = objective.head(latent, prepared.soundings[0])
    met = Prepared(prepared.soundings, (estimate.position.detach(),))
    volume = torch.logdet(estimate.scale).mean() + torch.log(torch.tensor(2 * torch.pi / 3))
    assert torch.isclose(objective([latent], met), volume.float(), atol=1e-4)
    missed = Prepared(prepared.soundings, (estimate.position.detach() + 3.0,))
    assert objective([latent], missed) > objective([latent], met)


def test_users_on_whom_stations_disagree_teach_nothing():
    objective = Witnessed(FrameHead(32), thinned=0.0, mirrored_share=0.0)
    views = seen_views()
    unknown = views.place.clone()
    unknown[2:] = torch.nan
    latent = latents(6)
    some = objective([latent], objective.prepare(replace(views, place=unknown), generator()))
    few = Prepared((views.first[slice(0, 2)],), (views.place[:2],))
    both = objective([latent[slice(0, 2)]], few)
    # A mean over all six links: two of them count.
    assert torch.isclose(some, both * 2 / 6)
    some.backward()
    assert all(p.grad.isfinite().all() for p in objective.head.parameters())


def test_without_witnesses_the_recipe_is_told_what_to_add():
    with pytest.raises(ValueError, match="witnesses"):
        Witnessed(FrameHead(32)).prepare(random_views(), generator())
