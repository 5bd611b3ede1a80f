"""Prompts that depend on the station and on where it looks: read out of the walls around it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from radiofix.models.map_prompt import Prompter, SiteViews, station_poses
from radiofix.models.site_map import NEAR, SiteMap
from radiofix.models.surroundings import (
    SECTOR_FEATURES,
    STATION_FEATURES,
    WALL_FEATURES,
    Surroundings,
    surroundings,
)
from radiofix.types import Sounding


class WallTokens(SiteViews):
    """A token for each wall near a station, for each sector of its sky-line, and for itself."""

    def __init__(
        self, width: int = 64, walls: int = 64, sectors: int = 32, radius: float = NEAR
    ) -> None:
        """Takes its size.

        Args:
            width: of a token.
            walls: told of a station: those in sight, then the nearest.
            sectors: of the sky-line.
            radius: beyond which nothing is told [m].
        """
        super().__init__(radius)
        self.width, self.walls, self.sectors = width, walls, sectors
        self.wall = _embedding(WALL_FEATURES, width)
        self.sector = _embedding(SECTOR_FEATURES, width)
        self.station = _embedding(STATION_FEATURES, width)

    def view(self, near: SiteMap, pose: Float[Tensor, "6"]) -> Surroundings:
        """What the station has around it."""
        return surroundings(near, pose, self.radius, self.walls, self.sectors)

    def forward(
        self, poses: Float[Tensor, "station 6"]
    ) -> tuple[Float[Tensor, "station token width"], Bool[Tensor, "station token"]]:
        """The tokens of each station, and where there is none."""
        around = self.views(poses)
        walls, present, sectors, station = (
            torch.stack([getattr(one, name) for one in around]).to(poses.device)
            for name in ("walls", "present", "sectors", "station")
        )
        # In bfloat16 distances would be rounded to a part in 200.
        with torch.autocast(poses.device.type, enabled=False):
            tokens = torch.cat(
                [self.station(station)[:, None], self.sector(sectors), self.wall(walls)], 1
            )
        always = present.new_zeros(len(present), 1 + self.sectors)
        return tokens, torch.cat([always, ~present], 1)


class WallPrompter(Prompter):
    """A handful of tokens, each of which asks the walls around the link's station."""

    def __init__(
        self,
        dim: int,
        prompts: int = 8,
        width: int = 64,
        heads: int = 4,
        walls: int = 64,
        sectors: int = 32,
        radius: float = NEAR,
    ) -> None:
        """Takes its size.

        Args:
            dim: width of the encoder's tokens.
            prompts: tokens a link is given.
            width: of a wall's token.
            heads: of attention.
            walls: told of a station.
            sectors: of its sky-line.
            radius: beyond which nothing is told [m].
        """
        super().__init__(dim, prompts)
        self.tokens = WallTokens(width, walls, sectors, radius)
        self.questions = nn.Parameter(torch.randn(prompts, width) / width**0.5)
        self.look = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.answer = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, dim))

    def forward(self, sounding: Sounding) -> Float[Tensor, "link prompt dim"]:
        """The prompts of each link's station."""
        poses, of = station_poses(sounding)
        tokens, missing = self.tokens(poses)
        with torch.autocast(poses.device.type, enabled=False):
            asked = self.questions.expand(len(tokens), -1, -1)
            read = self.look(asked, tokens, tokens, key_padding_mask=missing, need_weights=False)
            prompts: Tensor = self.answer(self.norm(asked + read[0]))
        return prompts[of]


class WallReader(nn.Module):
    """What a link's own summary asks of the walls around its station; at first, nothing."""

    def __init__(
        self,
        dim: int,
        width: int = 64,
        heads: int = 4,
        walls: int = 64,
        sectors: int = 32,
        radius: float = NEAR,
    ) -> None:
        """Takes its size.

        Args:
            dim: width of the encoder's summary.
            width: of a wall's token.
            heads: of attention.
            walls: told of a station.
            sectors: of its sky-line.
            radius: beyond which nothing is told [m].
        """
        super().__init__()
        self.tokens = WallTokens(width, walls, sectors, radius)
        self.question = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, width))
        self.look = nn.MultiheadAttention(width, heads, batch_first=True)
        self.hidden = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.answer = nn.Linear(width, dim)
        # A trained head still finds what it knows when this is put before it.
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)

    def forward(
        self, summary: Float[Tensor, "link dim"], sounding: Sounding
    ) -> Float[Tensor, "link dim"]:
        """The summary, and what was read for it."""
        poses, of = station_poses(sounding)
        tokens, missing = self.tokens(poses)
        with torch.autocast(poses.device.type, enabled=False):
            asked = self.question(summary.float())
            read = self._read(asked, tokens, missing, of)
            told: Tensor = summary + self.answer(self.hidden(asked + read))
        return told

    def _read(
        self,
        asked: Float[Tensor, "link width"],
        tokens: Float[Tensor, "station token width"],
        missing: Bool[Tensor, "station token"],
        of: Int[Tensor, " link"],
    ) -> Float[Tensor, "link width"]:
        # Each link's station has its own tokens: one question a row.
        read, _ = self.look(
            asked[:, None], tokens[of], tokens[of], key_padding_mask=missing[of], need_weights=False
        )
        answered: Tensor = read[:, 0]
        return answered


def _embedding(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width))
