"""`radiofix recipes`: what comes with the package, to be read and changed."""

import json

import yaml

from radiofix.cli import main
from radiofix.training.recipe_files import own_recipes


def test_recipes_are_listed_with_what_each_is_for(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [name for name, _ in own_recipes()]
    (line,) = (line for line in lines if line.startswith("radiofix/position.yaml "))
    assert "Position from station 3 with 1,000 labels" in line
    assert main(["recipes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lwlm/base.yaml"].startswith(
        "lwlm-base as published"
    )


def test_a_recipe_that_is_printed_into_a_file_of_its_name_is_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "radiofix").mkdir()
    # As a shell does, before the command runs.
    mine = tmp_path / "radiofix" / "position.yaml"
    mine.touch()
    assert main(["recipes", "radiofix/position.yaml"]) == 0
    mine.write_text(capsys.readouterr().out)
    assert yaml.safe_load(mine.read_text()) == yaml.safe_load(
        dict(own_recipes())["radiofix/position.yaml"]
    )


def test_an_unknown_name_is_one_line(capsys):
    assert main(["recipes", "radiofix/posture.yaml"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "radiofix: no recipe radiofix/posture.yaml: `radiofix recipes` lists those of the package\n"
    )
