"""Localizers go to the Hub and come back as they were; no test asks the network."""

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import hub_mixin

import radiofix as rf
from models.soundings import random_sounding
from radiofix.models import hub
from radiofix.models.frame import FrameHead
from radiofix.models.localizer import Localizer
from radiofix.models.radiofix import RadiofixEncoder


@pytest.fixture(scope="module")
def nano():
    return rf.load("radiofix-nano")


@pytest.fixture
def saved(nano, tmp_path):
    nano.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def same(first, second):
    sounding = random_sounding(4)
    a, b = first.fix(sounding), second.fix(sounding)
    assert torch.equal(a.position, b.position)
    assert torch.equal(a.covariance, b.covariance)
    assert torch.equal(a.trusted, b.trusted)


def test_what_is_saved_is_weights_config_and_card_and_comes_back_as_it_was(nano, saved):
    assert {file.name for file in saved.iterdir()} == set(hub.FILES)
    same(rf.load(saved), nano)
    same(Localizer.from_pretrained(saved), nano)
    config = json.loads((saved / "config.json").read_text())
    assert config == dict(nano.record.config)


def test_the_card_has_what_the_hub_reads_and_then_what_the_run_wrote(nano, saved):
    card = huggingface_hub.ModelCard.load(saved / "README.md")
    assert card.data.library_name == "radiofix"
    assert "localization" in card.data.tags
    assert card.text.strip() == nano.record.card.strip()
    again = rf.load(saved)
    again.save_pretrained(saved)
    assert (saved / "README.md").read_text().count("library_name") == 1


def test_pushing_makes_the_repository_and_uploads_the_files(nano, monkeypatch):
    done = {}

    class Api:
        """Keeps what it is asked to do."""

        def __init__(self, token=None):
            done["token"] = token

        def create_repo(self, repo_id, private, exist_ok):
            done["made"] = (repo_id, private)
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

        def upload_folder(self, repo_id, folder_path, **others):
            done["files"] = {p.name for p in Path(folder_path).iterdir()}
            done["message"] = others["commit_message"]
            return "https://huggingface.co/somebody/street/commit/1"

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    url = nano.push_to_hub("somebody/street", private=True, token="t", commit_message="First")
    assert url.endswith("/commit/1")
    assert done["made"] == ("somebody/street", True)
    assert done["files"] == set(hub.FILES)
    assert (done["token"], done["message"]) == ("t", "First")


def test_an_id_is_fetched_and_nothing_but_our_three_files(nano, saved, monkeypatch, tmp_path):
    asked = []

    def snapshot(name, allow_patterns, **options):
        asked.append((name, tuple(allow_patterns), options))
        return str(saved)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    monkeypatch.chdir(tmp_path)
    same(rf.load("somebody/street"), nano)
    assert asked == [("somebody/street", hub.FILES, {})]

    def config_only(repo_id, filename, **_):
        assert (repo_id, filename) == ("somebody/street", "config.json")
        return str(saved / filename)

    monkeypatch.setattr(hub_mixin, "hf_hub_download", config_only)
    same(Localizer.from_pretrained("somebody/street", revision="v2"), nano)
    assert asked[-1][0] == "somebody/street"
    assert asked[-1][2]["revision"] == "v2"


def test_a_path_is_never_asked_of_the_hub(monkeypatch, tmp_path):
    def snapshot(*_, **__):
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/street", "./street/one", "a/b/c", "/nowhere/here", "../up/one", "nobody"):
        with pytest.raises(ValueError, match="neither a finished run's folder nor"):
            rf.load(name)


def test_what_the_hub_has_not_is_one_line(monkeypatch, tmp_path):
    def snapshot(*_, **__):
        raise OSError("404 Client Error\nRepository Not Found")

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no folder here and could not be had from the Hub") as hit:
        rf.load("somebody/nothing")
    assert "\n" not in str(hit.value)


def test_a_localizer_that_nobody_wrote_down_cannot_be_saved(tmp_path):
    made = Localizer(RadiofixEncoder(dim=16, layers=1, heads=2), FrameHead(16))
    with pytest.raises(ValueError, match="load a finished run or a name"):
        made.save_pretrained(tmp_path / "saved")
