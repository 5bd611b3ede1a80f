"""What a method may learn from and what it is then asked: all that a run depends on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from radiofix.benchmark.lwlm.questions import QUESTIONS, Question
from radiofix.physics.arrays import ISOTROPIC, Pattern, Sector

ALL_LABELS = 10_000
"""Fine-tuning samples unless something else is said."""
STATION = ("3",)
"""The paper's representative for one station."""
NOISE_FIGURE_DB = 5.0
"""Of a station's receiver, where a link budget makes the noise."""
PATTERNS: dict[str, Pattern] = {"isotropic": ISOTROPIC, "sector": Sector()}
"""Of the stations' elements."""


@dataclass(frozen=True)
class Users:
    """Whose links are asked about."""

    name: str
    store: str
    """Which of the given stores."""
    among: str = "radiofix.training.users.Everybody"
    """Class that picks them."""


EVERYBODY = Users("all", "o1")
HIDDEN = Users("hidden", "cross", "radiofix.training.users.WithoutSight")
TWELVE = Users("twelve", "twelve")
NEAR_WALLS, FAR_WALLS = Users("near-walls", "near-walls"), Users("far-walls", "far-walls")
USERS = {users.name: users for users in (EVERYBODY, HIDDEN, TWELVE, NEAR_WALLS, FAR_WALLS)}
STORES = {
    "o1": "O1's main street, stations 3, 4, 9 and 10",
    "cross": "users of the cross street, the same stations, with diffraction",
    "twelve": "the main street, stations 1 to 12",
    "near-walls": "as o1, with wall_distance=0.504",
    "far-walls": "as o1, with wall_distance=4.504",
}
"""What the stores are that users are of."""


@dataclass(frozen=True)
class Lesson:
    """What a method may learn from: one run teaches it once."""

    question: Question
    split: str
    labels: int = ALL_LABELS
    """As the paper counts them; a scale may take fewer. 0: none are used."""
    stations: tuple[str, ...] = STATION
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
        stations = "st" + "+".join(self.stations)
        labels = f"{self.labels}labels"
        band = f"{self.bandwidth / 1e6:g}MHz"
        clock = [f"clock{self.clock * 1e9:g}ns"] if self.clock else []
        pattern = [self.pattern] if self.pattern != "isotropic" else []
        parts = (self.question.name, self.split, labels, stations, band, pilots, noise)
        return "-".join((*parts, *clock, *pattern, self.users.name))

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
