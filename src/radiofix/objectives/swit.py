"""SWiT's self-distillation (Salihu, Schwarz and Rupp): a student agrees with its slow teacher."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, distributed, nn

from radiofix.models.latent import Encoder, Latent
from radiofix.models.swit import SwitEncoder
from radiofix.objectives.objective import Objective, Prepared, Views
from radiofix.objectives.swit_views import SwitViews
from radiofix.types import Sounding


class Prototypes(nn.Module):
    """How alike a projected token is to each of many learnt directions."""

    def __init__(self, dim: int, prototypes: int, hidden: int = 1024, width: int = 256) -> None:
        super().__init__()
        self.projector = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, width),
        )
        self.directions = nn.Parameter(torch.randn(prototypes, width) / math.sqrt(width))

    def forward(self, tokens: Float[Tensor, "*any dim"]) -> Float[Tensor, "*any prototype"]:
        """Cosines."""
        projected = self.projector(tokens).float()
        # The teacher's temperature makes of bfloat16's last digit a tenth of a probability.
        with torch.autocast(tokens.device.type, enabled=False):
            directions = F.normalize(self.directions, dim=-1)
            return F.linear(F.normalize(projected, dim=-1), directions)


class Heads(nn.Module):
    """Prototypes of whole channels and of single tokens."""

    def __init__(self, dim: int, prototypes: int, token_prototypes: int) -> None:
        super().__init__()
        self.whole = Prototypes(dim, prototypes)
        self.token = Prototypes(dim, token_prototypes)


class Swit(Objective):
    """The student tells from any view what its teacher tells from another, global one.

    Beside it, token by token, what the teacher tells of a subcarrier of the same global view,
    having looked at the most similar of its neighbours. The teacher is a moving average of the
    encoder and of the heads; it is taken from them at the first step.
    """

    step: Int[Tensor, ""]
    centre: Float[Tensor, " prototype"]
    token_centre: Float[Tensor, " token_prototype"]

    def __init__(
        self,
        encoder: SwitEncoder,
        steps: int,
        views: SwitViews | None = None,
        prototypes: int = 25_000,
        token_prototypes: int = 1_024,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        momentum: float = 0.996,
        centre_memory: float = 0.9,
        of_tokens: float = 0.1,
        neighbours: int = 6,
        similar: int = 3,
    ) -> None:
        """Takes the published values, unless told others.

        Args:
            encoder: the student's, of which the teacher is a copy.
            steps: until the momentum has risen to 1.
            views: of each link; None: as published.
            prototypes: of whole channels.
            token_prototypes: of single tokens.
            temperature: of the student.
            teacher_temperature: of the teacher.
            momentum: of the teacher at the start.
            centre_memory: what the centres keep of themselves at each step.
            of_tokens: weight of the loss that is taken token by token.
            neighbours: of a subcarrier that the teacher looks at.
            similar: of them, that its token gathers from.
        """
        super().__init__()
        for name, value in (("momentum", momentum), ("centre_memory", centre_memory)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {value:g}")
        for name, value in (("temperature", temperature), ("steps", steps)):
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value:g}")
        if not 0 < teacher_temperature <= temperature:
            raise ValueError(
                f"teacher_temperature={teacher_temperature:g} must be positive and at most the "
                f"student's {temperature:g}: the teacher is the sharper one"
            )
        self.views = views or SwitViews()
        self.steps, self.momentum, self.centre_memory = steps, momentum, centre_memory
        self.temperature, self.teacher_temperature = temperature, teacher_temperature
        self.of_tokens, self.neighbours, self.similar = of_tokens, neighbours, similar
        self.heads = Heads(encoder.dim, prototypes, token_prototypes)
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        self.teacher_heads = copy.deepcopy(self.heads).requires_grad_(False)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("centre", torch.zeros(prototypes))
        self.register_buffer("token_centre", torch.zeros(token_prototypes))

    def prepare(self, views: Views, generator: torch.Generator) -> Prepared:
        """All views of the first channel of each user."""
        return Prepared(self.views.draw(views.first, generator))

    @torch.no_grad()
    def follow(self, encoder: Encoder) -> None:
        """Moves the teacher toward the student, by less and less; at the first step, onto it."""
        assert isinstance(encoder, SwitEncoder)
        share = torch.where(self.step == 0, 1.0, 1 - self.momentum_after(self.step - 1))
        for slow, fast in zip(self._teachers(), self._students(encoder), strict=True):
            slow.lerp_(fast, share.to(slow.dtype))
        for kept, now in zip(self.teacher.buffers(), encoder.buffers(), strict=True):
            kept.copy_(now)
        self.step += 1

    def momentum_after(self, step: Int[Tensor, ""]) -> Float[Tensor, ""]:
        """What the teacher keeps of itself after a step, from 0: half a cosine up to 1."""
        done = (step.double() / self.steps).clamp(max=1)
        return 1 - (1 - self.momentum) * (1 + (math.pi * done).cos()) / 2

    def forward(self, latents: Sequence[Latent], prepared: Prepared) -> Tensor:
        """Cross-entropy over all pairs of a global view and another, and that over tokens."""
        count = len(self.views.shares)
        whole, tokens = self._taught(prepared.soundings[:count])
        logits = self.heads.whole(torch.cat([latent.summary for latent in latents]))
        token_logits = self.heads.token(torch.cat([latent.tokens for latent in latents[:count]]))
        loss = across_views(
            torch.stack(logits.chunk(len(latents))),
            torch.stack(self._target(whole, self.centre).chunk(count)),
            self.temperature,
        )
        token_loss = cross_entropy(
            token_logits, self._target(tokens, self.token_centre), self.temperature
        ).mean()
        if self.training and torch.is_grad_enabled():
            self._recentre(self.centre, whole)
            self._recentre(self.token_centre, tokens)
        return loss + self.of_tokens * token_loss

    @torch.no_grad()
    def _taught(
        self, views: Sequence[Sounding]
    ) -> tuple[Float[Tensor, "row prototype"], Float[Tensor, "row token token_prototype"]]:
        """The teacher's cosines of the global views, one view after the other."""
        latent = self.teacher.among_neighbours(Sounding.join(views), self.neighbours, self.similar)
        whole: Tensor = self.teacher_heads.whole(latent.summary)
        tokens: Tensor = self.teacher_heads.token(latent.tokens)
        return whole, tokens

    def _target(
        self, cosines: Float[Tensor, "*any prototype"], centre: Float[Tensor, " prototype"]
    ) -> Float[Tensor, "*any prototype"]:
        return ((cosines - centre) / self.teacher_temperature).softmax(-1)

    @torch.no_grad()
    def _recentre(
        self, centre: Float[Tensor, " prototype"], cosines: Float[Tensor, "*any prototype"]
    ) -> None:
        """Moves a centre toward the mean of all processes' rows, each having as many."""
        mean = cosines.flatten(0, -2).mean(0)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(mean)
            mean /= distributed.get_world_size()
        centre.lerp_(mean, 1 - self.centre_memory)

    def _teachers(self) -> Iterator[nn.Parameter]:
        yield from self.teacher.parameters()
        yield from self.teacher_heads.parameters()

    def _students(self, encoder: SwitEncoder) -> Iterator[nn.Parameter]:
        yield from encoder.parameters()
        yield from self.heads.parameters()


def across_views(
    logits: Float[Tensor, "view link prototype"],
    target: Float[Tensor, "global link prototype"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of every global view's target and every other view's student."""
    surprise = -(logits / temperature).log_softmax(-1)
    # All the others at once: what all views say, less what the target's own says.
    others = surprise.sum(0) - surprise[: len(target)]
    return (target * others).sum(-1).mean() / (len(logits) - 1)


def cross_entropy(
    logits: Float[Tensor, "*any prototype"],
    target: Float[Tensor, "*any prototype"],
    temperature: float,
) -> Float[Tensor, "*any"]:
    """Of a student and its target [nat]."""
    return -(target * (logits / temperature).log_softmax(-1)).sum(-1)
