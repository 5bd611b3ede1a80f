"""Readers can do what the pages say: their Python runs, their commands are commands.

Shell lines are read by the command line's own parser; what is cheap is done as well, on some users
of the street that comes with the package, in a folder of its own. A block whose fence says
test="skip: why" is left out.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

import radiofix
from radiofix.cli import main, parser
from radiofix.data.packing import pack
from radiofix.data.store import open_paths
from radiofix.demo.contest import STORE
from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe, load_recipe

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/getting-started.md",
    "docs/concepts.md",
    "docs/your-own-csi.md",
    "docs/your-own-city.md",
    "docs/channels.md",
    "docs/models.md",
    "docs/sigmap.md",
    "docs/map-prompts.md",
    "docs/classic.md",
    "docs/training.md",
    "docs/export.md",
    "docs/survey.md",
)
SLOW = {"docs/training.md"}
"""Pages of commands that take minutes: they are read, what they say of recipes is tried."""
RECIPES = {"pretrain": PretrainRecipe, "finetune": FinetuneRecipe}
CHEAP = {"scenes", "info", "check", "plot", "locate", "import", "survey"}
"""Commands that take seconds, done where what they read is there."""
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    skipped: bool


def blocks(page):
    found = FENCE.findall((ROOT / page).read_text())
    return [Block(language, text, "skip" in told) for language, told, text in found]


def commands(block):
    """Lines that call radiofix, continued ones joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [w[1:] for w in words if w[:1] == ["radiofix"]]


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    path = tmp_path_factory.mktemp("street") / "o1.zarr"
    pack(open_paths(STORE), path, users=240, user_angles=True)
    return path


@pytest.fixture
def folder(street, request, tmp_path, monkeypatch):
    """Where a reader would be: not in the clone, a store of the street beside."""
    if request.node.callspec.params["page"] == "docs/export.md":
        out = tmp_path / "radiofix-nano.onnx"
        assert main(["export", "radiofix-nano", "--out", str(out)]) == 0
    (tmp_path / "o1.zarr").symlink_to(street)
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed_from_its_top_to_its_end(page, folder, capfd):
    names: dict[str, object] = {}
    found = blocks(page)
    done = 0
    for block in found:
        if block.skipped:
            continue
        if block.language == "python":
            exec(compile(block.text, page, "exec"), names)
            done += 1
        for words in commands(block) if block.language == "sh" else ():
            options = parser().parse_args(words)
            assert callable(options.run)
            if words[0] in RECIPES:
                recipe = load_recipe(RECIPES[words[0]], options.recipe, options.set)
                assert adapts(recipe), words
            if words[0] in CHEAP and all_there(words):
                assert main(words) == 0, words
                done += 1
    assert done or page in SLOW
    assert names.get("rf", radiofix) is radiofix


def adapts(recipe):
    """Whether a recipe's parts can be made, where it has one that says what learns."""
    return isinstance(recipe, PretrainRecipe) or recipe.adaptation.build() is not None


def all_there(words):
    """Whether the first thing that a command reads is in the folder, and the run it is to use."""
    named = [word for word in words[1:] if re.search(r"\.(zarr|npz|osm|csv)$", word)][:1]
    named += [word for word in words[1:] if word.startswith("runs/")]
    return all(Path(word.removeprefix("osm:")).exists() for word in named)


def test_a_command_that_is_none_is_found_out(capsys):
    (line,) = commands(Block("sh", "radiofix locate a.npz \\\n  --everywhere  # a slip\n", False))
    assert line == ["locate", "a.npz", "--everywhere"]
    with pytest.raises(SystemExit):
        parser().parse_args(line)
    capsys.readouterr()


def test_fences_are_read_with_what_they_say():
    found = FENCE.findall('```python test="skip: no"\na = 1\n```\n\n```sh\nradiofix info\n```\n')
    assert [f[0] for f in found] == ["python", "sh"]
    assert "skip" in found[0][1]


def test_every_page_of_the_docs_is_in_the_navigation():
    listed = set(re.findall(r"^  - (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")}
