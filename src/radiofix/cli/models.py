"""`radiofix pretrain`, `finetune`, `evaluate`: recipes to models, and how far off they are."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radiofix.cli.terminal import add_command, count, positive_float, positive_int, say

if TYPE_CHECKING:
    from radiofix.training.loop import Outcome
    from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe


_log = logging.getLogger(__name__)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `pretrain`, `finetune` and `evaluate`."""
    command = add_command(commands, "pretrain", pretrain, "Train an encoder without labels.")
    _add_run(command)
    command = add_command(commands, "finetune", finetune, "Train a head with few labels.")
    _add_run(command)
    command.add_argument(
        "--labels",
        type=count,
        default=None,
        help="labelled users; 0: nothing is trained, what --from names must place users already",
    )
    command.add_argument(
        "--map",
        default=None,
        metavar="STORE",
        help="whose buildings a prompter tells of or an EchoHead follows waves to; None: those of "
        "--store",
    )
    command.add_argument("--seed", type=int, default=None, help="of labels, weights and order")
    command = add_command(commands, "evaluate", evaluate, "Tell how far off a fine-tuned run is.")
    command.add_argument("run_folder", metavar="RUN", type=Path, help="a fine-tuning run")
    command.add_argument("--store", type=Path, required=True)
    command.add_argument("--split", default=None, help="None: the run's own")
    command.add_argument("--part", default="test", help="train, validation or test")
    command.add_argument("--users", type=positive_int, default=None, help="at most; None: all")
    command.add_argument("--device", default="cpu")


def pretrain(options: argparse.Namespace) -> int:
    """Runs a pretraining recipe."""
    from radiofix.training.pretrain import pretrain as work
    from radiofix.training.recipe import PretrainRecipe, load_recipe

    recipe = load_recipe(PretrainRecipe, options.recipe, options.set)
    return _run(options, work, _with(recipe, store=options.store, pretrained=options.pretrained))


def finetune(options: argparse.Namespace) -> int:
    """Runs a fine-tuning recipe."""
    from radiofix.training.finetune import finetune as work
    from radiofix.training.recipe import FinetuneRecipe, load_recipe

    recipe = load_recipe(FinetuneRecipe, options.recipe, options.set)
    names = ("store", "pretrained", "labels", "map", "seed")
    given = {name: getattr(options, name) for name in names}
    return _run(options, work, _with(recipe, **given))


def evaluate(options: argparse.Namespace) -> int:
    """Prints mean, median, RMSE and percentiles of the error on one part of a split."""
    from radiofix.data.store import open_paths
    from radiofix.training.evaluate import evaluate as measure

    store = open_paths(options.store)
    found = measure(
        options.run_folder, store, options.split, options.part, options.users, options.device
    )
    unit = found["unit"]
    names = ("held_at_90", "trusted", "sure", "far_though_sure")
    shares = {name: found[name] for name in names if name in found}
    figures = {k: v for k, v in found.items() if isinstance(v, float) and k not in shares}
    told = "\n".join(f"{name:>15}  {value:.3f} {unit}" for name, value in figures.items())
    told += "".join(f"\n{name:>15}  {100 * value:.1f} %" for name, value in shares.items())
    told += _in_short("joined", found["joined"], "", "m")
    for name, unit in (("toa", "m"), ("aoa", "degrees")):
        told += _in_short(f"{name} implied", found["implied"], f"{name}_", unit)
    where = f"{found['answers']:,} answers, split {found['split']}, part {found['part']}"
    say(options, found, f"{where}\n{told}")
    return 0


def _in_short(title: str, figures: Mapping[str, float], prefix: str, unit: str) -> str:
    """One more line, if there are such figures."""
    names = ("mean", "median", "p90")
    if f"{prefix}mean" not in figures:
        return ""
    each = ", ".join(f"{name} {figures[prefix + name]:.3f}" for name in names)
    return f"\n{title:>15}  {each} {unit}"


def _add_run(command: argparse.ArgumentParser) -> None:
    told = "a YAML file, or a name of `radiofix recipes`"
    command.add_argument("recipe", metavar="RECIPE", type=Path, help=told)
    command.add_argument(
        "--store", default=None, help="of paths or measured CSI; None: the recipe's"
    )
    command.add_argument(
        "--from",
        dest="pretrained",
        default=None,
        metavar="RUN",
        help="a pretraining run, or radiofix-nano, to go on from",
    )
    command.add_argument("--out", type=Path, required=True, metavar="RUN", help="a new folder")
    command.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="of the recipe, e.g. training.steps=1000",
    )
    command.add_argument("--resume", action="store_true", help="go on with RUN")
    command.add_argument(
        "--minutes", type=positive_float, default=None, help="stop then, to be resumed"
    )
    command.add_argument("--processes", type=positive_int, default=1)
    command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")


def _with(recipe: Any, **given: Any) -> Any:
    return dataclasses.replace(recipe, **{k: v for k, v in given.items() if v is not None})


def _run(
    options: argparse.Namespace,
    work: Callable[..., Outcome],
    recipe: PretrainRecipe | FinetuneRecipe,
) -> int:
    from radiofix.training.checkpoints import RunFolder
    from radiofix.training.launch import launch
    from radiofix.training.start import expect_run

    expect_run(options.out, recipe, options.resume)
    recipe.training.expect_processes(options.processes)
    outcome = launch(
        work,
        options.device,
        options.processes,
        recipe.training.precision,
        recipe,
        RunFolder(options.out),
        options.resume,
        float("inf") if options.minutes is None else 60 * options.minutes,
        options.json or not sys.stderr.isatty(),
    )
    if outcome.finished:
        _tell_what_training_brought(options.out, outcome)
    figures = {"finished": outcome.finished, "run": str(options.out), **outcome.figures}
    ending = "finished" if outcome.finished else "out of time, go on with --resume"
    told = "\n".join(f"{name:>24}  {value:.6g}" for name, value in outcome.figures.items())
    if outcome.learns is not None:
        figures["learns"] = outcome.learns.plain
        told = f"{outcome.learns}\n{told}"
    say(options, figures, f"{options.out}: {ending}\n{told}")
    return 0


def _tell_what_training_brought(run: Path, outcome: Outcome) -> None:
    """Warns where validation users are no nearer than before the first step."""
    from radiofix.training.logs import JUDGED

    place = run / JUDGED
    if not place.is_file():
        return
    with place.open(newline="") as table:
        first = next(csv.DictReader(table), None)
    after = outcome.figures.get("validation_mean")
    if first is None or first["step"] != "0" or after is None:
        return
    before = float(first["mean"])
    if after >= before:
        _log.warning(
            "validation users are %s than before training (%.3g, then %.3g): take more steps "
            "(training.steps) or another rate (training.rate)",
            "farther off" if after > before else "no nearer",
            before,
            after,
        )
