"""Which runs figures need, and at which rates networks learn."""

from __future__ import annotations

from collections.abc import Sequence

from radiofix.benchmark.runs import outcomes
from radiofix.benchmark.runs.learned import Method
from radiofix.benchmark.runs.lessons import Lesson, Trial
from radiofix.benchmark.runs.networks import Network
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.protocols import Agenda, Point, Protocol
from radiofix.benchmark.runs.scales import Scale
from radiofix.benchmark.runs.site import Site


def rated(method: Method) -> str:
    """The name of the method by whose runs a rate of learning is chosen."""
    return (isinstance(method, Network) and method.rate_of) or method.name


def searches(method: Method, site: Site) -> tuple[Run, ...]:
    """A method's runs at different rates of learning, of which validation users prefer one."""
    scale, tuned = site.scale, site.agenda.tuned
    rates = [rate for rate in method.rates(scale) if rate is not None]
    there = tuned.labels in scale.labels and tuned.users.store in site.stores
    lesson = method.lesson(tuned)
    if len(rates) < 2 or not there or lesson is None:
        return ()
    return tuple(Run(rated(method), lesson, scale.seeds[0], rate) for rate in rates)


def preferred(method: Method, site: Site) -> float | None:
    """The rate with the lowest validation error; while none is known, the middle one."""
    found = [outcomes.read(site.out, run) for run in searches(method, site)]
    known = {o.run.rate: o.validation for o in found if o is not None and o.validation is not None}
    rates = method.rates(site.scale)
    return min(known, key=known.__getitem__) if known else rates[len(rates) // 2]


def wanted(methods: Sequence[Method], protocols: Sequence[Protocol], site: Site) -> tuple[Run, ...]:
    """The runs that figures need, each once, seed by seed.

    Args:
        methods: to compare.
        protocols: figures.
        site: how much of them, of which stores, and where results lie, for the rates of learning.
    """
    scale, seeds = site.scale, site.agenda.seeds
    rates = {method.name: preferred(method, site) for method in methods}
    asked_for = [(p, point) for p in protocols for point in points_of(p, scale, tuple(site.stores))]
    runs = [
        Run(method.name, lesson, seed, rates[method.name] if lesson.labels else None)
        for seed in scale.seeds
        for protocol, point in asked_for
        for method in methods
        if seed in method.seeds(seeds(method.name, protocol, point.lesson, scale))
        for lesson in (method.lesson(point.lesson),)
        if lesson is not None
    ]
    return tuple(dict.fromkeys(runs))


def points_of(protocol: Protocol, scale: Scale, stores: Sequence[str]) -> list[Point]:
    """Of a figure's points, those that a scale runs and that there is a store for."""
    chosen = []
    for split in protocol.splits:
        points = [
            p
            for p in protocol.at(split)
            if p.lesson.labels in scale.labels and p.lesson.users.store in stores
        ]
        if split in scale.splits:
            chosen += points if scale.points is None else _ends(points, scale.points)
    return chosen


def _ends(points: list[Point], count: int) -> list[Point]:
    """The points at so many places of the axis, those at the ends first."""
    xs = list(dict.fromkeys(point.x for point in points))
    outward = sorted(range(len(xs)), key=lambda n: min(n, len(xs) - 1 - n))
    kept = {xs[n] for n in outward[:count]}
    return [point for point in points if point.x in kept]


def asked(method: Method, lesson: Lesson, agenda: Agenda) -> tuple[Trial, ...]:
    """The tests that a method is put to after a lesson."""
    return tuple(test for test in agenda.trials_of(lesson) if method.hears(lesson, test))
