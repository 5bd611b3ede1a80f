"""How fixes are written: block by block, to a binary stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import IO

from radiofix.serving.columns import Style
from radiofix.serving.fixes import Fixes


class FixWriter(ABC):
    """Writes fixes to a binary stream; what it is used in closes the stream."""

    def __init__(self, stream: IO[bytes], style: Style) -> None:
        self.stream, self.style = stream, style

    @abstractmethod
    def write(self, fixes: Fixes) -> None:
        """Adds a block."""

    @abstractmethod
    def finish(self) -> None:
        """Writes what comes after the last block."""

    def __enter__(self) -> FixWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
