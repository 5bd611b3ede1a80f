"""What the loop is told: how long, how fast, how often to look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

COUNTS = ("batch", "validate_every", "checkpoint_every", "log_every")


@dataclass(frozen=True)
class Settings:
    """How one run trains; the defaults are the LWLM paper's (Adam, one rate, no schedule)."""

    steps: int = 10_000
    """With 0 a pretrained head is taken as it is."""
    batch: int = 32
    """Users a step, over all processes."""
    rate: float = 1e-4
    """Of learning, after the warm-up."""
    final_rate: float = 1.0
    """Share of `rate` that the cosine ends at; 1: the rate is constant."""
    warmup: int = 0
    """Steps over which the rate grows from 0 to `rate`."""
    weight_decay: float = 0.0
    """0 is Adam without any."""
    decoupled: bool = True
    """Whether the decay is beside the gradient and of matrices alone (AdamW); else it is added to
    the gradient of all that learns, as torch.optim.Adam does."""
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = None
    """Largest norm of the gradient; None: any."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    average: float | None = None
    """Decay a step of the moving average of the weights, which is then what is kept."""
    validate_every: int = 500
    """Steps."""
    keep: Literal["best", "last"] = "best"
    """Which weights a run ends with: of the best validation, or, where data never end, the last."""
    patience: int | None = None
    """Validations without a better one until the run stops; None: it does not."""
    checkpoint_every: int = 500
    """Steps."""
    log_every: int = 10
    """Steps between looks at the losses; each look waits for the device."""
    divergence: float = 20.0
    """A loss this many times its running median stops the run."""
    compile: bool = False
    """Whether the encoder goes through torch.compile."""

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("rate", "divergence"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value:g}")
        for name in ("steps", "warmup", "weight_decay", "final_rate"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name):g}")
        if self.steps and self.warmup >= self.steps:
            raise ValueError(
                f"training.warmup={self.warmup} must be fewer than training.steps={self.steps}: "
                "set both"
            )
        if self.average is not None and not 0 < self.average < 1:
            raise ValueError(f"average must lie between 0 and 1, got {self.average:g}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive, got {self.clip:g}")
        if self.keep == "last" and self.patience is not None:
            raise ValueError(
                f"patience={self.patience} waits for a best: leave it out, or keep best"
            )
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, got {self.patience}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), got {self.betas}")

    def expect_processes(self, processes: int) -> None:
        """Refuses processes that cannot share a batch evenly."""
        if self.batch % processes:
            raise ValueError(f"batch={self.batch} cannot be shared by {processes} processes evenly")

    def rate_factor(self, step: int) -> float:
        """What `rate` is multiplied with at a step, from 0: a ramp, then half a cosine."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.final_rate + (1 - self.final_rate) * (1 + math.cos(math.pi * share)) / 2
