"""What error to expect of a number of labels: learnt where curves are known, bent by what is here.

Errors fall with labels as log e = a - b log(1 + n / HALF): flat for the first few labels, a power
of their number later. What is known of b is learnt from sites whose curves were measured
(`learning.json`, which says which); a is told by the site itself: by the error that the model
states without a label, and, where there are labelled points, by fine-tuning with some of them and
looking at the others. Both are joined by Bayes' rule for a straight line with normal errors, so
that little knowledge gives a wide interval and not a wrong number.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radiofix.models.localizer import Localizer
from radiofix.objectives.tasks import PositionTask
from radiofix.types import Sounding, Truth

LABELS = (50, 100, 500)
HALF = 50.0
"""Labels at which a curve bends: the number tried with which the known curves' b are alike."""
UNKNOWN_SLOPE = 0.2
"""Deviation of b that is assumed at least: few sites are known."""
UNKNOWN_STATED = 0.5
"""Likewise, of the logarithm of the true error over the stated one."""
UNKNOWN_MEASURED = 0.15
"""Deviation of the logarithm of an error from run to run."""
LIKELY = 0.8
"""Share of the cases that an interval is made to hold."""
_TEN_PERCENT = 1.2815515655446004
"""Deviations on either side that hold `LIKELY` of a normal distribution."""
STEPS, BATCH, RATE = 100, 16, 1e-3
FEWEST = 40
"""Labelled points from which on some are learnt from and the others asked."""
_ASIDE = 0.25


@dataclass(frozen=True, slots=True)
class Known:
    """The median error of one site at some number of labels."""

    labels: int
    median: float
    """[m]."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What was measured at one site."""

    site: str
    method: str
    known: tuple[Known, ...]

    @property
    def slope(self) -> float:
        """The curve's b, by least squares."""
        x = np.array([math.log1p(k.labels / HALF) for k in self.known])
        y = np.log([k.median for k in self.known])
        return float(-np.polyfit(x, y, 1)[0])


@dataclass(frozen=True, slots=True)
class Claim:
    """What a model stated of one site without a label, and how it was."""

    site: str
    stated: float
    """Median error by its covariances [m]."""
    median: float
    """[m]."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What the known sites teach."""

    slope: float
    slope_deviation: float
    stated_deviation: float
    """Of the logarithm of true over stated error without a label."""
    basis: str
    """Which sites, in words."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The median error to expect, and what it will stay between in four of five cases."""

    labels: int
    median: float
    low: float
    high: float


def known_curves() -> list[Curve]:
    """The curves that come with the package."""
    return [_curve(entry) for entry in _packaged()["curves"]]


def known_claims() -> list[Claim]:
    """What stated errors were worth at the sites that come with the package."""
    return [Claim(c["site"], c["stated"], c["median"]) for c in _packaged()["claims"]]


def read_results(folder: Path) -> list[Curve]:
    """Curves out of a folder of results that `radiofix bench pretraining` wrote.

    Of runs that differ in rate and steps alone the one with the best validation counts; seeds are
    joined by their median. Methods that were never tried without labels are left out.
    """
    best: dict[tuple[str, str, int, int], tuple[float, float]] = {}
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text())
        if not isinstance(content, Mapping) or not {"run", "errors", "validation"} <= set(content):
            continue
        run, judged = content["run"], content["validation"]
        # Nothing is chosen, and so nothing judged, where nothing was trained.
        judged = math.inf if judged is None else float(judged)
        key = (run["condition"], run["method"], int(run["labels"]), int(run["seed"]))
        if key not in best or judged < best[key][0]:
            best[key] = (judged, float(np.median(content["errors"])))
    grouped: dict[tuple[str, str], dict[int, list[float]]] = {}
    for (condition, method, labels, _), (_, median) in best.items():
        grouped.setdefault((condition, method), {}).setdefault(labels, []).append(median)
    return [
        Curve(site, method, tuple(Known(n, float(np.median(e))) for n, e in sorted(found.items())))
        for (site, method), found in sorted(grouped.items())
        if 0 in found and len(found) > 1
    ]


def learn(curves: Sequence[Curve], claims: Sequence[Claim] = ()) -> Prior:
    """What curves and claims of known sites say of the next one."""
    if not curves:
        raise ValueError("no site's learning curve is known: give results of bench pretraining")
    slopes = [curve.slope for curve in curves]
    spread = float(np.std(slopes, ddof=1)) if len(slopes) > 1 else 0.0
    away = [math.log(claim.median / claim.stated) for claim in claims]
    stated = math.sqrt(float(np.mean(np.square(away)))) if away else 0.0
    runs = "; ".join(
        f"{c.site} ({c.method}, {', '.join(str(k.labels) for k in c.known)} labels)" for c in curves
    )
    basis = f"{len(curves)} measured curve{'s' * (len(curves) != 1)}: {runs}"
    if claims:
        told = "; ".join(f"{c.site} {c.stated:.1f} stated, {c.median:.1f} m true" for c in claims)
        basis += f"; errors stated without a label: {told}"
    return Prior(
        float(np.mean(slopes)), max(UNKNOWN_SLOPE, spread), max(UNKNOWN_STATED, stated), basis
    )


def expect(
    prior: Prior,
    stated: float,
    measured: Sequence[Known] = (),
    labels: Sequence[int] = LABELS,
) -> list[Expectation]:
    """The errors to expect, by Bayes' rule for log e = a - b x with x = log(1 + n / HALF).

    Args:
        prior: of b, and of how far stated errors are to be believed.
        stated: median error that the model states at the site without a label [m].
        measured: at the site, by fine-tuning with some of its labels.
        labels: to tell the error at.
    """
    noise = [prior.stated_deviation, *(UNKNOWN_MEASURED for _ in measured)]
    x = np.array([0.0, *(math.log1p(k.labels / HALF) for k in measured)])
    y = np.log([stated, *(k.median for k in measured)])
    # A line (a, b): of a nothing is known beforehand, of b what the prior says.
    design = np.stack([np.ones_like(x), -x], 1) / np.array(noise)[:, None]
    information = design.T @ design + np.diag([0.0, prior.slope_deviation**-2])
    covariance = np.linalg.inv(information)
    pull = np.array([0.0, prior.slope * prior.slope_deviation**-2])
    line = covariance @ (design.T @ (y / np.array(noise)) + pull)
    found = []
    for n in labels:
        at = np.array([1.0, -math.log1p(n / HALF)])
        deviation = math.sqrt(float(at @ covariance @ at) + UNKNOWN_MEASURED**2)
        middle, reach = float(at @ line), _TEN_PERCENT * deviation
        found.append(
            Expectation(n, math.exp(middle), math.exp(middle - reach), math.exp(middle + reach))
        )
    return found


def stated_median(covariance: NDArray[np.float64], seed: int = 0) -> float:
    """Median error on the ground, were every error drawn from its stated covariance [m].

    Args:
        covariance: (fix, 3, 3) [m^2].
        seed: of the draws.
    """
    plane = covariance[:, :2, :2]
    factor = np.linalg.cholesky(plane + 1e-9 * np.eye(2))
    normal = np.random.default_rng(seed).standard_normal((16, len(plane), 2, 1))
    return float(np.median(np.linalg.norm((factor @ normal)[..., 0], axis=-1)))


def measure(
    localizer: Localizer,
    sounding: Sounding,
    truth: Truth,
    seed: int = 0,
    steps: int = STEPS,
) -> list[Known]:
    """Errors of single links after fine-tuning with a quarter, a half and all of some labels.

    A quarter of the labelled users is kept aside to be found.
    """
    users = np.random.default_rng(seed).permutation(np.unique(sounding.user.numpy()))
    if len(users) < FEWEST:
        raise ValueError(f"{len(users)} labelled points are too few to measure by: {FEWEST} do")
    aside = torch.from_numpy(np.isin(sounding.user.numpy(), users[: int(_ASIDE * len(users))]))
    learnt = users[int(_ASIDE * len(users)) :]
    found = []
    for share in (4, 2, 1):
        some = np.isin(sounding.user.numpy(), learnt[: len(learnt) // share])
        mine = torch.from_numpy(some)
        taught = fine_tuned(localizer, sounding[mine], truth[mine], seed, steps)
        error = taught.fix(sounding[aside]).position - truth.position[aside]
        found.append(Known(len(learnt) // share, float(error[:, :2].norm(dim=-1).median())))
    return found


def fine_tuned(
    localizer: Localizer, sounding: Sounding, truth: Truth, seed: int = 0, steps: int = STEPS
) -> Localizer:
    """A copy of a localizer after a short fine-tuning on labelled links; not calibrated anew."""
    taught = copy.deepcopy(localizer).train()
    task = PositionTask()
    task.fit([sounding], [truth])
    adam = torch.optim.AdamW(taught.parameters(), lr=RATE, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        drawn = torch.randint(len(sounding), (min(BATCH, len(sounding)),), generator=generator)
        part = sounding[drawn]
        loss = task.loss(taught(part), part, truth[drawn]).mean()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's has no types
        torch.nn.utils.clip_grad_norm_(taught.parameters(), 1.0)
        adam.step()
        rates.step()
    return taught.eval()


def _curve(entry: Mapping[str, Any]) -> Curve:
    known = tuple(Known(int(k["labels"]), float(k["median"])) for k in entry["known"])
    return Curve(entry["site"], entry["method"], known)


def _packaged() -> dict[str, Any]:
    text = (resources.files("radiofix.serving") / "learning.json").read_text()
    return dict(json.loads(text))
