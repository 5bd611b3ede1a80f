"""Supervision by witnesses, ours: where several stations together place a user, one must learn.

In pretraining the same user is heard by several stations whose places are known. Their ranges and
directions, joined by geometry alone, say where the user was: no label is needed, and the network
that learns to say it from one station keeps it when it hears no other.
"""

from __future__ import annotations

import torch

from radiofix.models.heads import StationHead
from radiofix.objectives.mirroring import mirrored
from radiofix.objectives.objective import Prepared, Views
from radiofix.objectives.placing import Placing
from radiofix.objectives.thinning import thin


class Witnessed(Placing):
    """The position that a user's stations agree on, learnt from each of its links."""

    def __init__(
        self, head: StationHead, thinned: float = 0.3, mirrored_share: float = 0.5
    ) -> None:
        """Takes what is learnt from.

        Args:
            head: that places users.
            thinned: share of links with a comb of pilots alone, every 2 to 5.
            mirrored_share: share of links that are replaced by their mirror image.
        """
        super().__init__(head)
        self.thinned, self.mirrored_share = thinned, mirrored_share

    def prepare(self, views: Views, generator: torch.Generator) -> Prepared:
        """The first view, some of it on combs alone, and where the user was."""
        if views.place is None:
            raise ValueError("nobody says where users were: give the recipe `witnesses: {}`")
        device = generator.device
        turned = torch.rand(len(views.first), generator=generator, device=device)
        sounding, place = mirrored(views.first, views.place, turned < self.mirrored_share)
        return Prepared((thin(sounding, self.thinned, generator),), (place,))
