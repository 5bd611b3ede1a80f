"""The one training loop, on Lightning Fabric, whatever is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from radiofix.models.prompted import Updated
from radiofix.training.checkpoints import BEST, LAST, RunFolder
from radiofix.training.logs import Logs
from radiofix.training.optimizer import Average, Group, optimizer, set_rate
from radiofix.training.settings import Settings
from radiofix.training.watch import DivergedError, Watch


class Share:
    """What one process works on at a step.

    No dataclass and no collection, so that Fabric hands it to the module as it is: it would turn
    positions into 32 bits.
    """

    def __init__(self, contents: Any) -> None:
        self.contents = contents


class Batch(Protocol):
    """A whole batch; everything random about it is drawn."""

    @property
    def users(self) -> Tensor:
        """Rows of the store."""
        ...

    @property
    def samples(self) -> int:
        """Links that are trained on."""
        ...

    def share(self, rank: int, processes: int) -> Share:
        """The part of one process; the parts' losses average to the whole batch's."""
        ...


class Batches(Protocol):
    """Where batches come from, and how far it got."""

    def draw(self, generator: torch.Generator) -> Batch:
        """The next batch."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The place."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to a place."""
        ...


@dataclass(frozen=True)
class Lesson:
    """What is trained, on what, and how it is judged."""

    module: nn.Module
    """Makes of a `Share` the losses, of which "loss" is the one that is minimised."""
    groups: tuple[Group, ...]
    batches: Batches
    judge: Callable[[nn.Module], Mapping[str, float]]
    """Figures of a module on held-out users; the first decides which weights are best."""
    compiled: tuple[nn.Module, ...] = ()
    """Parts worth compiling."""
    able: bool = False
    """Whether it can do already what it is judged by: then no step may be its best."""


@dataclass
class Progress:
    """How far a run is: what a checkpoint holds beside tensors."""

    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_step: int = 0
    waited: int = 0
    """Validations since the best."""
    figures: dict[str, float] = field(default_factory=dict)
    """Of the best validation."""


@dataclass(frozen=True)
class Outcome:
    """What a run ended with."""

    progress: Progress
    finished: bool
    """False where it was only out of time and can be resumed."""
    samples_per_second: float
    blend: float | None = None
    """Share of what was learnt that was kept, where weights on the way to the last ones are; None:
    those of the best step."""
    learns: Updated | None = None
    """How many parameters did, where only a part may; None: all of the module's."""

    @property
    def figures(self) -> dict[str, float]:
        """What was measured."""
        progress = self.progress
        return {
            "steps": progress.step,
            "best_step": progress.best_step,
            "seconds": progress.seconds,
            "samples_per_second": self.samples_per_second,
            **({} if self.blend is None else {"blend": self.blend}),
            **{f"validation_{name}": value for name, value in progress.figures.items()},
        }


class Loop:
    """Trains a lesson, from its beginning or from the folder's last checkpoint."""

    def __init__(
        self, fabric: Fabric, lesson: Lesson, settings: Settings, folder: RunFolder, seed: int
    ) -> None:
        settings.expect_processes(fabric.world_size)
        self.fabric, self.lesson, self.settings, self.folder = fabric, lesson, settings, folder
        self.progress = Progress()
        lesson.module.to(fabric.device)
        self._average = Average(lesson.module, settings.average) if settings.average else None
        if settings.compile:
            for part in lesson.compiled:
                part.compile()
        self._adam = optimizer(lesson.groups, settings)
        self._module, self._optimizer = fabric.setup(lesson.module, self._adam)
        self._generator = torch.Generator(fabric.device).manual_seed(seed)
        self._watch = Watch(settings.divergence)
        self._pace = Pace()
        self._logs_open: Logs | None = None
        # Dropout draws from torch's own generator, and processes hold different links.
        self._dropout = [seed + 1_000_003 * (1 + rank) for rank in range(fabric.world_size)]
        self._dropout_states: list[dict[str, Tensor]] = []

    def run(self, seconds: float = math.inf, quiet: bool = True) -> Outcome:
        """Trains until the steps, the patience or this call's time are at their end.

        Raises:
            DivergedError: naming the step, its users and the last good checkpoint.
        """
        start, past = time.monotonic(), self.progress.seconds
        device = self.fabric.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []), self._logs(quiet):
            self._restore_dropout()
            if self.lesson.able and not self.progress.step:
                self._validate()
            self._pace.restart()
            late = False
            while not (self._ended or late):
                self._guarded(self.step)
                self.progress.seconds = past + time.monotonic() - start
                if self._due(self.settings.log_every):
                    self._look()
                if self._due(self.settings.validate_every):
                    self._guarded(self._validate)
                late = self._agreed(time.monotonic() - start > seconds, seconds)
                if self._ended or late or self._due(self.settings.checkpoint_every):
                    self._look()
                    self._save()
        return Outcome(self.progress, self._ended, self._pace.overall)

    def resume(self) -> None:
        """Goes to where the folder's last checkpoint was written."""
        state = self.folder.load(LAST)
        try:
            self.lesson.module.load_state_dict(state["module"])
            self._adam.load_state_dict(state["optimizer"])
            if self._average is not None:
                self._average.module.load_state_dict(state["average"])
            self._generator.set_state(state["generator"])
            self.lesson.batches.load_state_dict(state["batches"])
            self._watch.load_state_dict(state["watch"])
            self.progress = Progress(**state["progress"])
            self._dropout_states = state["dropout"]
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"{self.folder.path / LAST} does not fit this recipe: {reason}"
            ) from error

    @property
    def learnt(self) -> nn.Module:
        """The module as it is kept: its moving average if there is one."""
        return self.lesson.module if self._average is None else self._average.module

    def take_best(self) -> nn.Module:
        """The kept module with the weights of its best validation, or of its last."""
        if self.folder.has(BEST) and math.isfinite(self.progress.best):
            self.learnt.load_state_dict(self.folder.load(BEST)["module"])
        return self.learnt.eval()

    @property
    def _ended(self) -> bool:
        patience = self.settings.patience
        return self.progress.step >= self.settings.steps or (
            patience is not None and self.progress.waited >= patience
        )

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0 or self.progress.step == self.settings.steps

    def _agreed(self, late: bool, seconds: float) -> bool:
        """The first process's clock, for all of them."""
        return late if math.isinf(seconds) else bool(self.fabric.broadcast(late))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Does it; matrices of numbers that are none cannot be factored, and the losses tell it."""
        try:
            work()
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # documented, not exported
            raise DivergedError(
                f"the weights are no numbers any more after step {self.progress.step}; "
                f"{self._last_good()}"
            ) from None

    def step(self) -> None:
        """Draws a batch and takes one step of the optimizer."""
        settings = self.settings
        set_rate(self._adam, settings.rate * settings.rate_factor(self.progress.step))
        batch = self.lesson.batches.draw(self._generator)
        share = batch.share(self.fabric.global_rank, self.fabric.world_size)
        losses = self._module(share)
        self.fabric.backward(losses["loss"])
        told = dict(losses)
        if settings.clip is not None:
            told["gradient"] = self.fabric.clip_gradients(
                self._module, self._optimizer, max_norm=settings.clip, error_if_nonfinite=False
            )
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._average is not None:
            self._average.update(self.lesson.module)
        self.progress.step += 1
        self._watch.note(self.progress.step, batch.users, told)
        self._pace.worked(batch.samples)

    def _look(self) -> None:
        """Checks and logs the losses since the last look."""
        try:
            means = self._watch.look(lambda table: self.fabric.all_reduce(table, reduce_op="mean"))
        except DivergedError as error:
            raise DivergedError(f"{error}; {self._last_good()}") from None
        if means:
            told = {
                **means,
                "rate": max(group["lr"] for group in self._adam.param_groups),
                "samples_per_second": self._pace.recent(),
                "seconds": self.progress.seconds,
            }
            if self._logs_open is not None:
                self._logs_open.trained(self.progress.step, told)

    def _last_good(self) -> str:
        if not self.folder.has(LAST):
            return "there is no checkpoint yet: lower the rate or give a clip"
        step = self.folder.load(LAST)["progress"]["step"]
        return f"the last good checkpoint is {self.folder.path / LAST}, step {step}"

    def _validate(self) -> None:
        module = self.learnt.eval()
        with torch.no_grad(), self.fabric.autocast():
            figures = dict(self.lesson.judge(module))
        module.train()
        score = next(iter(figures.values()))
        if self._logs_open is not None:
            self._logs_open.validated(self.progress.step, figures)
        if score < self.progress.best or self.settings.keep == "last":
            self.progress.best, self.progress.best_step = score, self.progress.step
            self.progress.waited, self.progress.figures = 0, figures
            if self.fabric.is_global_zero:
                state = {"module": module.state_dict(), "progress": asdict(self.progress)}
                self.folder.save(BEST, state)
        else:
            self.progress.waited += 1
        self._pace.restart()

    def _save(self) -> None:
        dropout = self._gather_dropout()
        if self.fabric.is_global_zero:
            state = {
                "module": self.lesson.module.state_dict(),
                "optimizer": self._adam.state_dict(),
                "average": {} if self._average is None else self._average.state_dict(),
                "generator": self._generator.get_state(),
                "batches": self.lesson.batches.state_dict(),
                "watch": self._watch.state_dict(),
                "progress": asdict(self.progress),
                "dropout": dropout,
            }
            self.folder.save(LAST, state)
        self.fabric.barrier()

    def _gather_dropout(self) -> list[dict[str, Tensor]]:
        device = self.fabric.device
        mine = {"cpu": torch.get_rng_state()}
        if device.type == "cuda":
            mine["cuda"] = torch.cuda.get_rng_state(device)
        if self.fabric.world_size == 1:
            return [mine]
        states: list[dict[str, Tensor]] = [{} for _ in range(self.fabric.world_size)]
        torch.distributed.all_gather_object(states, mine)
        return states

    def _restore_dropout(self) -> None:
        rank, device = self.fabric.global_rank, self.fabric.device
        torch.manual_seed(self._dropout[rank] + self.progress.step)
        # Another number of processes than before goes on with draws of its own.
        if len(self._dropout_states) == self.fabric.world_size:
            mine = self._dropout_states[rank]
            torch.set_rng_state(mine["cpu"])
            if "cuda" in mine and device.type == "cuda":
                torch.cuda.set_rng_state(mine["cuda"], device)

    @contextmanager
    def _logs(self, quiet: bool) -> Iterator[None]:
        """Opens the logs in the first process; the others tell nobody."""
        if not self.fabric.is_global_zero:
            yield
            return
        with Logs(self.folder.path, self.progress.step, self.settings.steps, quiet) as logs:
            self._logs_open = logs
            yield
            self._logs_open = None


class Pace:
    """Samples a second, without the time that validations take."""

    def __init__(self) -> None:
        self._samples, self._seconds = 0, 0.0
        self._new, self._mark = 0, time.monotonic()

    def restart(self) -> None:
        """Leaves out the time until now."""
        self._new, self._mark = 0, time.monotonic()

    def worked(self, samples: int) -> None:
        """Counts the samples of a step."""
        self._new += samples

    def recent(self) -> float:
        """Since the last call or restart."""
        new, spent = self._new, max(time.monotonic() - self._mark, 1e-9)
        self._samples, self._seconds = self._samples + new, self._seconds + spent
        self.restart()
        return new / spent

    @property
    def overall(self) -> float:
        """Of all that was timed."""
        return self._samples / max(self._seconds, 1e-9)
