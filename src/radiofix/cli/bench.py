"""`radiofix bench`: how fast, and how good."""

from __future__ import annotations

import argparse
from pathlib import Path

from radiofix.benchmark.channel import measure
from radiofix.cli import evidence, latent, load, pays
from radiofix.cli.terminal import add_command, positive_int, say


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds all that `bench` measures."""
    description = "Measure speed and accuracy."
    kinds = commands.add_parser(
        "bench", help=description, description=description, allow_abbrev=False
    ).add_subparsers(
        metavar="WHAT", required=True, parser_class=type(next(iter(commands.choices.values())))
    )
    command = add_command(kinds, "channel", channel, "Links synthesised a second, noise included.")
    command.add_argument("--links", type=positive_int, default=512)
    command.add_argument("--paths", type=positive_int, default=5)
    command.add_argument("--antennas", type=positive_int, default=32)
    command.add_argument("--subcarriers", type=positive_int, default=128)
    command.add_argument("--repeats", type=positive_int, default=101)
    command.add_argument("--device", default="cpu")
    command = add_command(
        kinds, "train", train, "Samples a second of a pretraining step, beside bare layers."
    )
    told = "of pretraining: a YAML file, or a name of `radiofix recipes`"
    command.add_argument("recipe", metavar="RECIPE", type=Path, help=told)
    command.add_argument("--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE")
    command.add_argument("--repeats", type=positive_int, default=5)
    command.add_argument("--device", default="cpu")
    command = add_command(kinds, "classic", classic, "Links a second of methods without a network.")
    command.add_argument("store", metavar="STORE", type=Path, help="of paths")
    command.add_argument("--links", type=positive_int, default=2_048)
    command.add_argument("--labels", type=positive_int, default=10_000, help="that kNN looks up in")
    command.add_argument("--station", type=int, default=0, help="column of the store")
    command.add_argument("--repeats", type=positive_int, default=5)
    pays.add_command_to(kinds)
    pays.add_witnesses_to(kinds)
    latent.add_command_to(kinds)
    evidence.add_command_to(kinds)
    load.add_command_to(kinds)


def channel(options: argparse.Namespace) -> int:
    """Prints the rate, the bytes written, and their share of the memory bandwidth."""
    found = measure(
        options.links,
        options.paths,
        options.antennas,
        options.subcarriers,
        options.repeats,
        options.device,
    )
    say(
        options,
        found,
        f"{found['links_per_s']:,.0f} links a second ({options.antennas} antennas, "
        f"{options.subcarriers} subcarriers, {options.paths} paths, noise included, float32, "
        f"{found['device']}, {found['threads']} threads)\n"
        f"{found['gigabytes_per_s']:.2f} GB/s of CSI written, "
        f"{100 * found['share_of_memory_bandwidth']:.0f} % of the "
        f"{found['copy_gigabytes_per_s']:.1f} GB/s that a copy reads and writes here",
    )
    return 0


def train(options: argparse.Namespace) -> int:
    """Prints the rate of whole steps, that of the bare layers, and the ratio."""
    from radiofix.benchmark.train import measure as measure_training
    from radiofix.training.recipe import PretrainRecipe, load_recipe

    recipe = load_recipe(PretrainRecipe, options.recipe, options.set)
    found = measure_training(recipe, options.repeats, options.device)
    say(
        options,
        found,
        f"{found['samples_per_s']:,.2f} samples a second (median; at best "
        f"{found['best_samples_per_s']:,.2f}), whole steps of {found['batch']} "
        f"({found['parameters'] / 1e6:.2f} M parameters, {found['precision']}, "
        f"{found['device']}, {found['threads']} threads)\n"
        f"{found['bare_samples_per_s']:,.2f} with the {found['layer_calls']} transformer layers of "
        f"a step alone: a step costs {found['ratio']:.3f} times as much\n"
        f"{1e3 * found['drawing_s']:.1f} of {1e3 * found['step_s']:.1f} ms a step go into drawing "
        "the batch",
    )
    return 0


def classic(options: argparse.Namespace) -> int:
    """Prints the rate of each finder, and of look-ups."""
    from radiofix.benchmark.classic import measure as measure_classic
    from radiofix.data.store import open_paths

    store = open_paths(options.store)
    if not 0 <= options.station < len(store.stations):
        raise ValueError(
            f"--station {options.station}: {store.path} has columns 0 to {len(store.stations) - 1}"
        )
    found = measure_classic(store, options.links, options.labels, options.station, options.repeats)
    lines = [f"{name}: {rate:,.0f} links a second" for name, rate in found["links_per_s"].items()]
    lines.append(
        f"of {found['links']:,} links at 32 antennas, 128 subcarriers, 10 MHz and 20 dB, "
        f"{found['threads']} threads; kNN looks up in {found['labels']:,} labels, "
        f"made ready in {found['fingerprint_seconds']:.1f} s"
    )
    say(options, found, "\n".join(lines))
    return 0
