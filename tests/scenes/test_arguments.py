import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiofix.scenes.arguments import expect_arguments


def build(
    file: str | Path = "a.osm",
    height: float = 2.5,
    count: int | None = None,
    blocks: Sequence[int] = (4, 3),
    places: Sequence[Sequence[float]] | None = None,
    yaw: Mapping[int, float] | Mapping[str, float] | None = None,
) -> None: ...


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"file": Path("b.osm"), "height": 3, "count": np.int64(2), "blocks": [1, 2]},
        {"height": np.float32(1.5), "count": None, "blocks": np.array([1, 2])},
        {"places": [[0, 1.5], (2, 3)], "yaw": {"3": 1}},
        {"places": [], "yaw": {3: 0.5}},
    ],
)
def test_what_a_builder_can_use_is_let_through(arguments):
    expect_arguments("place", build, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"file": 3}, "file must be text or a path, got 3 (default \"a.osm\")"),
        ({"height": "abc"}, "height must be a number, got 'abc' (default 2.5)"),
        ({"height": True}, "height must be a number, got True (default 2.5)"),
        ({"height": None}, "height must be a number, got None (default 2.5)"),
        ({"height": float("nan")}, "height must be a number, got nan (default 2.5)"),
        ({"height": np.float32("inf")}, "height must be a number, got "),
        ({"height": float("inf")}, "height must be a number, got inf (default 2.5)"),
        ({"count": 1.5}, "count must be a whole number, got 1.5"),
        ({"blocks": 3}, "blocks must be a list of whole numbers, got 3 (default [4, 3])"),
        ({"blocks": "43"}, "blocks must be a list of whole numbers, got '43' (default [4, 3])"),
        ({"blocks": [4, 2.5]}, "got [4, 2.5] (default [4, 3])"),
        ({"places": [1, 2]}, "places must be a list of lists of numbers, got [1, 2]"),
        ({"yaw": {"3": "a"}}, 'yaw must be an object of numbers, as {"1": 0.5}, got'),
        ({"yaw": [3]}, 'yaw must be an object of numbers, as {"1": 0.5}, got [3]'),
        ({"colour": 1}, "got an unexpected keyword argument 'colour'; it takes file, height"),
    ],
)  # fmt: skip
def test_what_it_cannot_use_is_named_with_its_scene_and_argument(arguments, message):
    with pytest.raises(ValueError, match=f"^scene place: .*{re.escape(message)}"):
        expect_arguments("place", build, arguments)


def test_a_whole_number_past_all_floats_is_refused():
    with pytest.raises(ValueError, match="scene place: height must be a number"):
        expect_arguments("place", build, {"height": 10**400})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(st.sampled_from(["file", "height", "count", "blocks", "places", "yaw"]), json_values)
def test_any_json_is_let_through_or_refused_in_one_line(name, value):
    said = ""
    try:
        expect_arguments("place", build, {name: value})
    except ValueError as error:
        said = str(error)
    assert not said or said.startswith(f"scene place: {name} must be ")
    assert len(said.splitlines()) <= 1
