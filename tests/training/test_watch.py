"""Losses that run off stop a run; logs and checkpoints are whole."""

import math
import os

import pytest
import torch

from radiofix.files import write_whole
from radiofix.training.checkpoints import RunFolder
from radiofix.training.logs import Table
from radiofix.training.watch import DivergedError, Watch

USERS = torch.tensor([7, 7, 3])


def fed(watch, losses, start=1):
    for step, loss in enumerate(losses, start):
        watch.note(step, USERS, {"loss": torch.tensor(loss), "part": torch.tensor(2 * loss)})
    return watch.look(lambda table: table)


def test_means_are_over_the_steps_since_the_last_look():
    watch = Watch(20.0)
    assert fed(watch, [1.0, 2.0, 3.0]) == pytest.approx({"loss": 2.0, "part": 4.0})
    assert fed(watch, [5.0], 4) == pytest.approx({"loss": 5.0, "part": 10.0})
    assert watch.look(lambda table: table) == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_names_its_step_and_users(bad):
    with pytest.raises(DivergedError, match=rf"the loss is {bad} at step 3, users 3, 7$"):
        fed(Watch(20.0), [1.0, 1.0, bad, 1.0])


def test_twenty_times_the_median_is_diverging():
    watch = Watch(20.0)
    fed(watch, [1.0] * 30)
    fed(watch, [19.9], 31)
    with pytest.raises(DivergedError, match=r"20\.1 exceeds 20 at step 32"):
        fed(watch, [20.1], 32)


def test_a_likelihood_may_pass_through_zero():
    watch = Watch(20.0)
    fed(watch, [math.sin(k) for k in range(100)])
    fed(watch, [-3.0, 3.0], 101)
    with pytest.raises(DivergedError):
        fed(watch, [200.0], 103)


def test_what_it_remembers_survives_a_checkpoint():
    watch, again = Watch(20.0), Watch(20.0)
    fed(watch, [1.0] * 30)
    again.load_state_dict(watch.state_dict())
    with pytest.raises(DivergedError):
        fed(again, [25.0], 31)


def test_a_resumed_table_has_no_line_twice_and_none_cut_off(tmp_path):
    path = tmp_path / "log.csv"
    table = Table(path, 0)
    for step in (2, 4, 6):
        table.append(step, {"loss": step / 2, "rate": 1e-4})
    with path.open("a") as file:
        file.write("8,4.0,0.0")
    table = Table(path, 4)
    table.append(6, {"loss": 9.0, "rate": 1e-4})
    assert path.read_text() == "step,loss,rate\n2,1,0.0001\n4,2,0.0001\n6,9,0.0001\n"


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_text("before")

    def full(file):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="disk full"):
            write_whole(path, b"half")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["weights"]
    write_whole(path, b"after")
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["weights"]


class Evil:
    def __reduce__(self):
        return (os.system, ("touch evil",))


def test_a_checkpoint_runs_nothing_and_tells_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path)
    torch.save({"module": Evil()}, tmp_path / "last.pt")
    for content in (None, b"no checkpoint"):
        if content is not None:
            (tmp_path / "last.pt").write_bytes(content)
        with pytest.raises(ValueError, match=r"last\.pt is no checkpoint of radiofix") as caught:
            folder.load("last.pt")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "evil").exists()
    with pytest.raises(ValueError, match="has no checkpoint yet"):
        folder.load("best.pt")
    with pytest.raises(ValueError, match="is no finished run"):
        folder.config()
