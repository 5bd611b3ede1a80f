"""The share of a latent that an objective works on."""

from __future__ import annotations


def width_of(part: tuple[int, int]) -> int:
    """Dimensions from the first to before the last."""
    start, stop = part
    if not 0 <= start < stop:
        raise ValueError(f"part=({start}, {stop}) of the latent is empty or out of order")
    return stop - start


def expect_width(part: tuple[int, int], dim: int) -> None:
    """Refuses a decoder that does not fit the latent part it is given."""
    width = width_of(part)
    if width != dim:
        raise ValueError(
            f"part=({part[0]}, {part[1]}) is {width} wide, but its decoder takes dim={dim}"
        )
