"""What a run tells while it goes: CSV, TensorBoard, and a progress bar."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from radiofix.files import write_whole

JUDGED = "validation.csv"
"""In a run's folder: the figures of its validation users, step by step."""

_log = logging.getLogger(__name__)


class Table:
    """A CSV file that grows by whole lines, `step` first."""

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        self._keep_until(after)

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Adds one line; the first one brings the header."""
        line = ",".join([str(step), *(f"{value:.9g}" for value in values.values())]) + "\n"
        if not self.path.exists() or not self.path.stat().st_size:
            line = ",".join(["step", *values]) + "\n" + line
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def _keep_until(self, step: int) -> None:
        """Drops what a resumed run will write again, and a line that was cut off."""
        if not self.path.exists():
            return
        whole = [line for line in self.path.read_text().splitlines(True) if line.endswith("\n")]
        kept = [line for line in whole if not line[0].isdigit() or int(line.split(",")[0]) <= step]
        write_whole(self.path, "".join(kept))


class Logs:
    """All of a run's logs, of the process that keeps them."""

    def __init__(self, folder: Path, after: int, steps: int, quiet: bool) -> None:
        self._training = Table(folder / "training.csv", after)
        self._validation = Table(folder / JUDGED, after)
        # Imported here: it takes seconds, and only a training run needs it.
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        from torch.utils.tensorboard.writer import SummaryWriter

        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,} steps"),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet or not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("loss", total=steps, completed=after, pace="")

    def __enter__(self) -> Logs:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        self._board.close()

    def trained(self, step: int, values: Mapping[str, float]) -> None:
        """Logs the losses, the rate and the pace of training."""
        self._training.append(step, values)
        self._send("training", step, values)
        self._progress.update(
            self._task,
            completed=step,
            description=f"loss {values['loss']:.4g}",
            pace=f"{values['samples_per_second']:,.1f} samples/s",
        )

    def validated(self, step: int, values: Mapping[str, float]) -> None:
        """Logs what was measured on held-out users."""
        self._validation.append(step, values)
        self._send("validation", step, values)

    def _send(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)
