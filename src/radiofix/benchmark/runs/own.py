"""A method of somebody's own, among the others: named on the command line, judged as they are."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from radiofix.benchmark.runs.classical import height_of
from radiofix.benchmark.runs.learned import Learned, Undemanding, labelled_links
from radiofix.benchmark.runs.lessons import Lesson
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.questions import QUESTIONS
from radiofix.benchmark.runs.site import Site
from radiofix.models.heads import Estimate
from radiofix.types import Sounding

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class OwnRow(Undemanding):
    """What tables must know of it: its results are read without its code."""

    name: str
    learns: bool
    """Whether it is given labelled links."""
    questions: tuple[str, ...]
    """Names of those that it answers."""
    family: str = "own"

    def lesson(self, lesson: Lesson) -> Lesson | None:
        """With labels as it is, or without any; of one pattern of pilots."""
        if lesson.question.name not in self.questions or len(lesson.pilots) > 1:
            return None
        # It is told no map by the bench.
        lesson = replace(lesson, map_error=0.0)
        if not self.learns:
            return replace(lesson, labels=0)
        return lesson if lesson.labels else None

    def learn(self, run: Run, site: Site) -> Learned:
        """Without its code it cannot."""
        raise ValueError(f"{self.name} is somebody's own: name it by --method MODULE:MAKE")

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON: no name of a module, so that nothing is ever imported for a table."""
        return {"learns": self.learns, "questions": list(self.questions)}

    @staticmethod
    def parse(content: Mapping[str, Mapping[str, Any]]) -> tuple[OwnRow, ...]:
        """From JSON, by name."""
        return tuple(
            OwnRow(name, bool(told["learns"]), tuple(told["questions"]))
            for name, told in content.items()
        )


@dataclass(frozen=True)
class Own(OwnRow):
    """The same with the code: what is made anew for each run, so that runs share nothing."""

    place: str = ""
    """MODULE:MAKE."""
    source: str | None = None
    """SHA-256 of the module's file: results of another are made again."""

    def learn(self, run: Run, site: Site) -> Learned:
        """Gives labelled links, if it learns, and asks for positions."""
        lesson = run.lesson
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            method = _make(self.place)()
            if self.learns:
                soundings, truths = zip(*labelled_links(run, site), strict=True)
                method.fit(list(soundings), list(truths))
        height = height_of(run, site)

        def answer(sounding: Sounding) -> Any:
            estimate = self.placed(method.locate(sounding), sounding, height)
            return lesson.question.read(estimate, sounding)

        return Learned(answer, start=self.source)

    def placed(self, found: Any, sounding: Sounding, height: float) -> Estimate:
        """What `locate` gave as the other methods give it.

        Args:
            found: an estimate, or positions (link, 2) or (link, 3) [m].
            sounding: that was asked about.
            height: of users, where it gives none [m].
        """
        estimate = found if isinstance(found, Estimate) else Estimate(torch.as_tensor(found))
        position = estimate.position.to(sounding.station_position.device)
        if position.ndim != 2 or len(position) != len(sounding) or position.shape[1] not in (2, 3):
            raise ValueError(
                f"{self.name}.locate gave positions of shape {tuple(position.shape)} for "
                f"{len(sounding)} links: give (link, 2) or (link, 3)"
            )
        if position.shape[1] == 2:
            position = torch.nn.functional.pad(position, (0, 1), value=height)
        logit = torch.zeros_like(position[:, 0]) if estimate.logit is None else estimate.logit
        return replace(estimate, position=position, logit=logit)


def own(place: str) -> Own:
    """The method that a callable makes, by MODULE:MAKE; whatever is wrong with it is one line."""
    method = _guarded(place, "cannot be made", _make(place))
    name = getattr(method, "name", None)
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ValueError(
            f"--method {place} has name={name!r}: give its object a name of letters, digits and -"
        )
    if not callable(getattr(method, "locate", None)):
        raise ValueError(f"--method {place}: {name} has no locate(sounding)")
    questions = tuple(getattr(method, "questions", QUESTIONS))
    strange = sorted(set(questions) - set(QUESTIONS))
    if strange:
        known = ", ".join(QUESTIONS)
        raise ValueError(f"--method {place}: no question {', '.join(strange)}: there are {known}")
    learns = callable(getattr(method, "fit", None))
    return Own(name, learns, questions, place=place, source=_source(place))


def _make(place: str) -> Callable[[], Any]:
    module, colon, name = place.partition(":")
    if not (module and colon and name):
        raise ValueError(f"--method {place} is not of the form MODULE:MAKE, as mine:make")
    # As `python -m` does: what lies where the command is typed can be named.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    found = _guarded(place, "cannot be imported", lambda: importlib.import_module(module))
    make = getattr(found, name, None)
    if not callable(make):
        raise ValueError(f"--method {place}: there is nothing to call named {name} in {module}")
    made: Callable[[], Any] = make
    return made


def _guarded(place: str, what: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (Exception, SystemExit) as error:  # whatever somebody's own code raises
        why = " ".join(str(error).split())
        raise ValueError(f"--method {place} {what}: {type(error).__name__}: {why}") from error


def _source(place: str) -> str | None:
    file = getattr(sys.modules[place.partition(":")[0]], "__file__", None)
    return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
