"""What a method may learn from and what it is then asked: all that a run depends on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from radiofix.benchmark.runs.questions import QUESTIONS, Question
from radiofix.physics.arrays import ISOTROPIC, Pattern, Sector

ALL_LABELS = 10_000
"""Fine-tuning samples unless something else is said."""
STATION = ("3",)
"""The paper's representative for one station."""
NOISE_FIGURE_DB = 5.0
"""Of a station's receiver, where a link budget makes the noise."""
PATTERNS: dict[str, Pattern] = {"isotropic": ISOTROPIC, "sector": Sector()}
"""Of the stations' elements."""
WITHOUT_SIGHT = "radiofix.training.users.WithoutSight"
"""Class that picks those who see none of the stations that are asked about."""


@dataclass(frozen=True)
class Users:
    """Whose links are asked about."""

    name: str
    store: str
    """Which of the given stores."""
    among: str = "radiofix.training.users.Everybody"
    """Class that picks them."""
    mapped: bool = True
    """Whether the store knows the buildings around them."""


EVERYBODY = Users("all", "o1")
HIDDEN = Users("hidden", "cross", WITHOUT_SIGHT)
TWELVE = Users("twelve", "twelve")
NEAR_WALLS, FAR_WALLS = Users("near-walls", "near-walls"), Users("far-walls", "far-walls")
WHOLE = Users("whole", "whole")
NLOS = Users("nlos", "whole", WITHOUT_SIGHT)
CITIES = Users("cities", "cities")
UNSEEN = tuple(
    Users(name, name)
    for name in ("munich", "etoile", "florence", "san_francisco", "kept-1", "kept-2", "kept-3")
)
DEEPMIMO = Users("deepmimo", "deepmimo", mapped=False)
USERS = {
    users.name: users
    for users in (
        *(EVERYBODY, HIDDEN, TWELVE, NEAR_WALLS, FAR_WALLS),
        *(WHOLE, NLOS, CITIES, *UNSEEN, DEEPMIMO),
    )
}
"""Of all benches: a file of results is read without knowing whose it is."""


@dataclass(frozen=True)
class Lesson:
    """What a method may learn from: one run teaches it once."""

    question: Question
    split: str
    labels: int = ALL_LABELS
    """As the paper counts them; a scale may take fewer. 0: none are used."""
    stations: tuple[str, ...] = STATION
    """By name; empty: all of the store."""
    bandwidth: float = 10e6
    """[Hz]."""
    pilots: tuple[int, ...] = (1,)
    """On every n-th antenna and subcarrier; of several, each link draws one."""
    snr_db: float | None = None
    users: Users = EVERYBODY
    power_dbm: float | None = None
    """Of users, for noise by a link budget in place of a ratio."""
    clock: float = 0.0
    """Deviation of a user's clock, the same to all its stations [s]."""
    pattern: str = "isotropic"
    """Of the stations' elements, a name of `PATTERNS`."""
    map_error: float = 0.0
    """Deviation, along either axis, of each building of the map that is told when it is asked; it
    learns with the right one [m]."""

    @property
    def noisy(self) -> bool:
        """Whether there is noise at all."""
        return self.snr_db is not None or self.power_dbm is not None

    @property
    def name(self) -> str:
        """For people and for files."""
        noise = "clean" if self.snr_db is None else f"{self.snr_db:g}dB"
        if self.power_dbm is not None:
            noise = f"{self.power_dbm:g}dBm"
        pilots = "pilots" + "".join(str(n) for n in self.pilots)
        stations = "st" + ("+".join(self.stations) or "all")
        labels = f"{self.labels}labels"
        band = f"{self.bandwidth / 1e6:g}MHz"
        clock = [f"clock{self.clock * 1e9:g}ns"] if self.clock else []
        pattern = [self.pattern] if self.pattern != "isotropic" else []
        told = [f"map{self.map_error:g}m"] if self.map_error else []
        parts = (self.question.name, self.split, labels, stations, band, pilots, noise)
        return "-".join((*parts, *clock, *pattern, *told, self.users.name))

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        own = {**self.__dict__, "question": self.question.name, "users": self.users.name}
        return {**own, "stations": list(self.stations), "pilots": list(self.pilots)}

    @staticmethod
    def parse(content: dict[str, Any]) -> Lesson:
        """From JSON."""
        return Lesson(
            **{
                **content,
                "question": QUESTIONS[content["question"]],
                "users": USERS[content["users"]],
                "stations": tuple(content["stations"]),
                "pilots": tuple(content["pilots"]),
            }
        )


@dataclass(frozen=True)
class Trial:
    """What it is then asked about, all else as in the lesson."""

    stations: tuple[str, ...] = STATION
    pilots: int = 1

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "stations": list(self.stations)}

    @staticmethod
    def parse(content: dict[str, Any]) -> Trial:
        """From JSON."""
        return Trial(tuple(content["stations"]), content["pilots"])
