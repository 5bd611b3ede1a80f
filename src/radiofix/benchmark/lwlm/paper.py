"""Every number that section VI of the LWLM paper prints for a method, with its place."""

from __future__ import annotations

from radiofix.benchmark.runs.printed import Printed

LWLM, BASE, CNN, OMP = "LWLM", "LWLM-Base", "ResNet-34", "OMP"
SFMCM, DTI, PICL = "LWLM-SFMCM", "LWLM-DTI", "LWLM-PICL"
SINGLE = (SFMCM, DTI, PICL)
SWIT = "SWiT"
"""The SigMap paper has it; this one prints nothing of it."""


def _printed(
    figure: str, x: float, statistic: str, place: str, **values: float
) -> tuple[Printed, ...]:
    return tuple(
        Printed(figure, x, _NAMES[name], statistic, value, value, place)
        for name, value in values.items()
    )


def _less(
    figure: str,
    x: float,
    statistic: str,
    ours: float,
    percent: tuple[float, float],
    place: str,
    methods: tuple[str, ...],
) -> tuple[Printed, ...]:
    """What other methods must have had, if LWLM's number is so many percent below theirs."""
    low, high = (round(ours / (1 - share / 100), 3) for share in percent)
    return tuple(Printed(figure, x, m, statistic, low, high, place, True) for m in methods)


_NAMES = {"lwlm": LWLM, "base": BASE, "sfmcm": SFMCM, "dti": DTI, "picl": PICL}
_B, _C, _D, _E = "VI-B, Fig. 8", "VI-C, Fig. 9", "VI-D", "VI-E"


def _clean_single_station(figure: str, x: float) -> tuple[Printed, ...]:
    place = f"{_D}, Fig. 10(a)"
    return (
        *_printed(figure, x, "mean", place, lwlm=0.67),
        *_less(figure, x, "mean", 0.67, (81.8, 81.8), place, (OMP,)),
        # "51.4%-87.5% improvement over LWLM-Base and CNN"; section I-B gives Base the 87.5 %.
        *_less(figure, x, "mean", 0.67, (87.5, 87.5), f"{place} and I-B", (BASE,)),
        *_less(figure, x, "mean", 0.67, (51.4, 51.4), f"{place} and I-B", (CNN,)),
        *_less(figure, x, "mean", 0.67, (36.7, 51.1), place, SINGLE),
    )


PAPER_FIGURES: tuple[Printed, ...] = (
    *_printed("fig8", 10_000, "p50", _B, lwlm=0.36, base=0.48, sfmcm=0.39, dti=0.43, picl=0.41),
    *_less("fig8", 10_000, "p50", 0.36, (16.0, 16.0), _B, (CNN,)),
    *_less("fig8", 10_000, "p50", 0.36, (62.1, 62.1), _B, (OMP,)),
    *_printed("fig9", 10_000, "p50", _C, lwlm=0.32, base=0.49, sfmcm=0.36, dti=0.32, picl=0.47),
    *_less("fig9", 10_000, "p50", 0.32, (25.9, 25.9), _C, (CNN,)),
    *_less("fig9", 10_000, "p50", 0.32, (75.8, 75.8), _C, (OMP,)),
    # One point of four figures: 10,000 labels, 10 MHz, all pilots.
    *(
        one
        for figure, x in (("fig10a", 10_000), ("fig10b", 10_000), ("fig10c", 10), ("fig10d", 1))
        for one in _clean_single_station(figure, x)
    ),
    *_printed("fig10b", 2_000, "mean", f"{_D}, Fig. 10(b)", lwlm=2.21),
    *_printed("fig10c", 30, "mean", f"{_D}, Fig. 10(c)", lwlm=0.80),
    *_less("fig10c", 30, "mean", 0.80, (36.0, 55.8), f"{_D}, Fig. 10(c)", SINGLE),
    *_printed("fig10d", 5, "mean", f"{_D}, Fig. 10(d)", lwlm=2.86),
    *_printed("fig11a", 10_000, "p50", f"{_E}, Fig. 11(a)", lwlm=0.51, base=0.74),
    *_less("fig11a", 10_000, "p50", 0.51, (1.9, 25.9), f"{_E}, Fig. 11(a)", SINGLE),
    # One point of two figures: four stations, 10,000 labels.
    *_printed("fig11b", 4, "mean", f"{_E}, Fig. 11(b)", lwlm=0.57),
    *_printed("fig11c", 10_000, "mean", f"{_E}, Fig. 11(b)", lwlm=0.57),
    *_less("fig11b", 4, "mean", 0.57, (11.9, 27.8), f"{_E}, Fig. 11(b)", SINGLE),
    *_less("fig11c", 10_000, "mean", 0.57, (11.9, 27.8), f"{_E}, Fig. 11(b)", SINGLE),
    *_printed("fig11c", 2_000, "mean", f"{_E}, Fig. 11(c)", lwlm=0.96),
    *_less("fig11c", 2_000, "mean", 0.96, (25.6, 48.9), f"{_E}, Fig. 11(c)", (BASE, *SINGLE)),
)


def printed(figure: str, x: float, method: str) -> Printed | None:
    """What the paper says of a method at a point of a figure; None: nothing."""
    return next(
        (p for p in PAPER_FIGURES if (p.figure, p.x, p.method) == (figure, x, method)), None
    )
