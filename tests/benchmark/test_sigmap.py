"""The SigMap paper's tables as protocols: what is asked, of whom, beside which numbers."""

import json
from dataclasses import replace

import pytest
import torch

from radiofix.benchmark.runs.choosing import points_of, rated, wanted
from radiofix.benchmark.runs.learned import chosen
from radiofix.benchmark.runs.lessons import NLOS, UNSEEN, WHOLE, Lesson
from radiofix.benchmark.runs.networks import Network
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.protocols import RANDOM, REGION
from radiofix.benchmark.runs.questions import FUSION, POSITION
from radiofix.benchmark.runs.running import Bench
from radiofix.benchmark.sigmap import stores
from radiofix.benchmark.sigmap.arms import SLOWER
from radiofix.benchmark.sigmap.methods import (
    KRIGED,
    MASKS,
    SCRATCH,
    SHARE,
    TOLD_OTHER,
    methods,
)
from radiofix.benchmark.sigmap.paper import (
    FAVOURABLE,
    FEW,
    GRID,
    NO_MAP,
    PAPER_FIGURES,
    SIGMAP,
    STRIP,
    UNTOLD,
    printed,
)
from radiofix.benchmark.sigmap.protocols import AGENDA, BY_NAME, CURVED, PROTOCOLS, RIGHT
from radiofix.benchmark.sigmap.scales import LAPTOP, PAPER, SMOKE
from radiofix.models.parts import Part

from .arms import first, network

MUNICH = next(users for users in UNSEEN if users.name == "munich")


def test_tables_ask_for_what_they_name():
    alone, together = first("table1"), first("table2")
    assert (alone.question, alone.stations, alone.users) == (POSITION, ("3",), NLOS)
    assert alone.users.among.endswith("WithoutSight")
    assert (together.question, together.users) == (FUSION, WHOLE)
    assert together.stations == ("3", "4", "9", "10")
    assert first("table3") == together
    assert {lesson.labels for lesson in (alone, together)} == {10_000}
    assert {p.lesson.labels for p in BY_NAME["table4"].points} == {100}
    assert {p.lesson.labels for p in BY_NAME["maps"].points} == {0}
    assert sorted({p.x for p in BY_NAME["labels"].points}) == [0, 10, 30, 100, 300, 1_000]
    for figure, cities in (("maps", UNSEEN), ("table4", UNSEEN), ("labels", CURVED)):
        asked = {p.lesson.users for p in BY_NAME[figure].points}
        assert asked == set(cities)
        assert all(p.lesson.stations == p.test.stations == () for p in BY_NAME[figure].points)


def test_every_method_of_a_protocol_is_there_and_every_method_is_in_one():
    known = [method.name for method in methods()]
    assert len(set(known)) == len(known)
    asked = [name for protocol in PROTOCOLS for name in protocol.methods]
    assert set(asked) == set(known)


def test_the_arms_that_decide_about_a_map_are_in_each_comparison():
    adaptations = ("low-rank", "full", "scratch")
    needed = {
        "table1": ("no-map", "constant", "other-map", "walls", "eq11"),
        "table2": ("no-map", "constant", "other-map", "walls"),
        "table4-munich": ("no-map", "constant", "other-map", "walls", *adaptations),
    }
    for figure, arms in needed.items():
        assert {SIGMAP, *(f"SigMap-{arm}" for arm in arms)} <= set(BY_NAME[figure].methods)
        assert {"LWLM", "SWiT", "ResNet-34", "kNN", "OMP", "NOMP"} <= set(BY_NAME[figure].methods)
        assert {RIGHT, SCRATCH, TOLD_OTHER} <= set(BY_NAME[figure].methods)
    arms = ("no-map", "constant", "pooled", "pooled-asked-other", "echoes-asked-other")
    arms = (*arms, "waves", "waves-constant", "walls", "reader")
    assert {RIGHT, *(f"cities-{arm}" for arm in arms)} <= set(BY_NAME["maps"].methods)


def test_new_cities_are_all_asked_what_the_claim_needs():
    for figure in ("table4", *(f"table4-{city.name}" for city in UNSEEN)):
        assert {RIGHT, SCRATCH, "LWLM", "radiofix-nano", "kNN"} <= set(BY_NAME[figure].methods)


def test_three_seeds_are_for_what_a_table_is_about_and_one_for_what_is_beside_it(shared, tmp_path):
    stores = dict.fromkeys(AGENDA.stores, "any.zarr")
    site = replace(shared, scale=LAPTOP, stores=stores, out=tmp_path)
    every = {method.name: method for method in methods()}
    taught = (RIGHT, f"{RIGHT}-asked-other", "cities-waves", "cities-waves-constant")
    tabled = (RIGHT, SIGMAP, NO_MAP, "SigMap-constant", "radiofix-nano", "LWLM", "kNN")
    beside = (SCRATCH, TOLD_OTHER, "SigMap-low-rank", "SigMap-eq11", "ResNet-34", "SWiT")
    beside = (*beside, "OMP", "NOMP")

    def seeds(name: str, figure: str, split: str | None = None) -> set[int]:
        runs = wanted([every[name]], AGENDA.named([figure]), site)
        return {run.seed for run in runs if split in (None, run.lesson.split)}

    assert all(seeds(name, "maps") == {0, 1, 2} for name in taught)
    assert all(seeds(name, "table1") == {0, 1, 2} for name in tabled)
    assert all(seeds(name, "table1") == {0} for name in beside)
    # A curve draws its users again, and no network.
    assert all(seeds(name, "labels") == {0} for name in (RIGHT, SIGMAP, "LWLM"))
    # Four stations take longest: the headline split has three, what is beside it is asked of one.
    for name, figure in ((SIGMAP, "table2"), ("LWLM", "table2"), (GRID, "table3")):
        assert seeds(name, figure, REGION) == {0, 1, 2}
        assert seeds(name, figure, RANDOM) == {0}
    assert seeds(RIGHT, "table2") == {0}
    assert seeds("SigMap-other-map", "table2") == {0}
    assert not any(seeds(name, "table2") for name in (SCRATCH, TOLD_OTHER, "SigMap-low-rank"))
    curve = wanted([every[NO_MAP]], AGENDA.named(["labels"]), site)
    assert {run.lesson.labels for run in curve} == {FEW}
    named = {*AGENDA.beside, *AGENDA.dear, *AGENDA.limited}
    assert named <= set(every)
    assert {figure for figures in AGENDA.dear.values() for figure in figures} <= set(BY_NAME)
    generous = replace(site, scale=replace(LAPTOP, sparing=False))
    runs = wanted([every[SCRATCH]], AGENDA.named(["table2"]), generous)
    assert {run.seed for run in runs} == {0, 1, 2}


def test_the_curve_by_labels_has_baselines_and_the_laptop_every_number_of_them():
    assert {RIGHT, SCRATCH, SIGMAP, "LWLM", "kNN", "NOMP"} <= set(BY_NAME["labels"].methods)
    for scale in (LAPTOP, PAPER):
        (labels,) = AGENDA.named(["labels"])
        asked = {p.x for p in points_of(labels, scale, ("munich",))}
        assert asked == {0, 10, 30, 100, 300, 1_000}
        # Nothing else is asked with numbers of labels that this curve alone has.
        for protocol in PROTOCOLS:
            if protocol is not labels:
                points = points_of(protocol, scale, tuple(AGENDA.stores))
                some = {p.lesson.labels for p in points}
                assert not some & {10, 30, 300}


def test_lessons_are_read_as_they_were_written_and_have_names_of_their_own():
    lessons = {p.lesson for protocol in PROTOCOLS for p in protocol.every}
    assert len({lesson.name for lesson in lessons}) == len(lessons)
    again = {Lesson.parse(json.loads(json.dumps(lesson.plain()))) for lesson in lessons}
    assert again == lessons


@pytest.mark.parametrize(
    ("figure", "x", "method", "numbers"),
    [
        ("table1", 10_000, SIGMAP, (1.564, 5.675, 0.605)),
        ("table1", 10_000, NO_MAP, (2.275, 8.532, 0.31)),
        ("table1", 10_000, "OMP", (3.287, 9.851, 0.154)),
        ("table2", 10_000, SIGMAP, (0.673, 1.099, 0.845)),
        ("table2", 10_000, "LWLM", (0.828, 1.178, 0.756)),
        ("table2", 10_000, "ResNet-34", (1.398, 1.731, 0.593)),
        ("table3", 10_000, STRIP, (0.753, 0.972, 0.753)),
        ("table3", 10_000, GRID, (0.770, 1.176, 0.803)),
        ("table4", 100, SIGMAP, (1.026, 1.551, 0.6643)),
        ("table4-munich", 100, "LWLM", (2.213, 11.837, 0.6322)),
    ],
)
def test_the_papers_numbers_are_those_that_it_prints(figure, x, method, numbers):
    found = {p.statistic: p.low for p in printed(figure, x, method)}
    assert found == pytest.approx(
        dict(zip(("mean", "rmse", "within_1"), numbers, strict=True)), abs=1e-9
    )


def test_every_printed_number_stands_in_its_table():
    assert len(PAPER_FIGURES) == 3 * (6 + 6 + 3 + 3)
    for one in PAPER_FIGURES:
        assert one.x in {p.x for p in BY_NAME[one.figure].points}
        assert one.method in BY_NAME[one.figure].methods
    assert printed("table4", 10, SIGMAP) == printed("maps", 0, SIGMAP) == ()


def test_all_masks_hide_the_same_share_and_each_is_pretrained_with_its_own(shared):
    csi = torch.randn(6, 32, 128, dtype=torch.complex64)
    classes = set()
    for name, mask in MASKS.items():
        hidden = Part(**mask).build()(csi, torch.Generator().manual_seed(0))
        assert (hidden.double().mean((1, 2)) == SHARE).all()
        (preparation,) = network(name).preparations(2)
        recipe = preparation.plan(shared)
        assert (preparation.name[-6:], recipe.seed) == ("-seed2", 2)
        assert recipe.objectives["masked"].init_args["mask"]["class_path"] == mask["class_path"]
        assert recipe.store == shared.stores["whole"]
        classes.add((preparation.name, mask["class_path"]))
    assert len(classes) == 4


def test_the_grid_s_cells_hide_whole_tokens_of_every_scale():
    cells = MASKS[GRID]["init_args"]["patch"]
    for scale in (SMOKE, LAPTOP, PAPER):
        patch = scale.sizes.get("sigmap", {}).get("encoder.init_args", {}).get("patch", [4, 4])
        assert all(cell % side == 0 for cell, side in zip(cells, patch, strict=True))


def test_arms_that_are_compared_learn_at_one_rate():
    arms = (NO_MAP, "SigMap-constant", "SigMap-other-map", "SigMap-walls", "SigMap-eq11")
    assert {rated(network(name)) for name in (SIGMAP, *arms, GRID, STRIP)} == {SIGMAP}
    assert rated(network("SigMap-full")) == "SigMap-full"
    follow = (RIGHT, TOLD_OTHER, KRIGED, "cities-waves", "cities-waves-constant")
    assert {rated(network(name)) for name in follow} == {RIGHT}
    assert {network(name).rates(LAPTOP) for name in (*follow, SCRATCH)} == {LAPTOP.rates}


def test_whose_head_begins_with_nothing_learns_few_labels_for_longer(shared):
    laptop = replace(shared, scale=replace(LAPTOP, labels={**LAPTOP.labels, 100: 6, 10_000: 16}))
    for labels, longer in ((100, 4), (10_000, 1)):
        lesson = replace(first("table4-munich"), labels=labels)
        steps = {
            name: network(name).recipe(Run(name, lesson, 0, 1e-3), laptop).training.steps
            for name in (SCRATCH, "SigMap-scratch", NO_MAP, SIGMAP, "SigMap-full", "LWLM", RIGHT)
        }
        short = steps.pop(RIGHT)
        assert set(steps.values()) == {longer * short}


def test_a_new_head_on_a_frozen_encoder_has_rates_of_its_own_and_prompts_a_tenth(shared):
    assert max(LAPTOP.frozen_rates) > max(LAPTOP.rates)
    frozen = [m for m in methods() if isinstance(m, Network) and m.frozen]
    assert {SIGMAP, NO_MAP, "SigMap-constant", GRID, STRIP} <= {m.name for m in frozen}
    assert {m.rates(LAPTOP) for m in frozen} == {LAPTOP.frozen_rates}
    # The paper's scale has the paper's rate for all.
    assert {m.rates(PAPER) for m in frozen} == {PAPER.rates}
    run = Run(SIGMAP, first("table1"), 0, 1e-2)
    for scale, factor in ((LAPTOP, SLOWER), (PAPER, 1.0)):
        recipe = network(SIGMAP).recipe(run, replace(shared, scale=scale))
        assert recipe.adaptation.build().factor == factor
    whole = network("SigMap-full").recipe(Run("SigMap-full", first("table1"), 0, 1e-3), shared)
    assert whole.adaptation.class_path.endswith("FullTuning")


def test_without_a_label_no_rate_is_searched_and_none_is_in_the_run_s_name(shared):
    bare = Bench(shared, chosen(methods(), [RIGHT, "radiofix-nano"]), AGENDA.named(["maps"]))
    assert bare.searches() == ()
    assert {run.rate for run in bare.runs()} == {None}


def test_in_many_cities_the_last_step_is_kept(shared):
    for scale in (SMOKE, LAPTOP, PAPER):
        assert scale.schooling["keep"] == "last"
    (school,) = network(RIGHT).preparations(0)
    recipe = school.plan(shared)
    assert recipe.training.keep == "last"
    # The encoder learns at the scale's rate, the head that follows waves ahead of it.
    slower = recipe.adaptation.build().factor
    assert recipe.training.rate > shared.scale.schooling["rate"]
    assert slower * recipe.training.rate == pytest.approx(shared.scale.schooling["rate"])


def test_cities_that_are_asked_about_are_none_of_those_learnt_in(tmp_path):
    for sizes in stores.SIZES.values():
        learnt = {wanted.plan.scene for wanted in stores.learnt(tmp_path, sizes)}
        asked = {name: w.plan for name, w in stores.asked(tmp_path, sizes).items()}
        assert len(learnt) == sizes.cities
        assert not learnt & {plan.scene for plan in asked.values()}
        assert {*asked, "cities", "deepmimo"} == set(AGENDA.stores)
        assert asked["whole"].groups == (1, 2, 3)
        assert all(plan.diffraction for plan in asked.values())
    with pytest.raises(ValueError, match="no stores of scale huge"):
        stores.fill(tmp_path, "huge", None, print)
    with pytest.raises(ValueError, match="no store paris: there are whole, munich"):
        stores.fill(tmp_path, "laptop", ["paris"], print)


def test_stores_that_are_there_are_not_traced_again(tmp_path, towns):
    (tmp_path / "munich.zarr").symlink_to(towns["munich"])
    told_of = []
    made = stores.fill(tmp_path, "laptop", ["munich"], told_of.append)
    assert made == [tmp_path / "munich.zarr"]
    assert not told_of


def test_what_is_favourable_in_table_4_is_said_beside_it():
    from radiofix.benchmark.sigmap.subject import SUBJECT

    assert "most favourable of its three unseen scenes" in FAVOURABLE
    assert SUBJECT.remarks["table4"] == FAVOURABLE
    assert SUBJECT.remarks["table4-munich"] == FAVOURABLE
    assert "never says how its users without line of sight were chosen" in UNTOLD
    assert UNTOLD in SUBJECT.remarks["table1"]
    assert {SIGMAP, RIGHT} <= set(SUBJECT.held_against["table1"])


def test_scales_are_the_papers_where_it_says(shared):
    assert PAPER.pretraining["steps"] * 32 == 300 * 480_000
    assert PAPER.pretraining["warmup"] * 32 == 10 * 480_000
    assert PAPER.finetuning["steps"] * 32 == 300 * 10_000
    assert PAPER.finetuning["warmup"] * 32 == 10 * 10_000
    assert (PAPER.finetuning["batch"], PAPER.rates) == (32, (1e-4,))
    assert len(PAPER.seeds) == 5
    lesson = first("table1", "random")
    run = Run(NO_MAP, lesson, 0, 1e-4)
    sizes = [
        network(NO_MAP).recipe(run, replace(shared, scale=scale)).encoder.init_args["dim"]
        for scale in (SMOKE, LAPTOP, PAPER)
    ]
    assert sizes == [32, 128, 512]
    assert len(LAPTOP.seeds) >= 3


def test_with_few_labels_no_step_is_chosen_by_more_validation_users(shared):
    for labels, kept in ((100, "last"), (10_000, "best")):
        lesson = replace(first("table4-munich"), labels=labels)
        recipe = network(NO_MAP).recipe(Run(NO_MAP, lesson, 0, 1e-3), shared)
        assert recipe.training.keep == kept


def test_a_figure_s_missing_store_leaves_its_runs_out(shared):
    bare = replace(shared, stores={"munich": shared.stores["munich"]})
    assert [p.lesson.users for p in points_of(BY_NAME["table4"], SMOKE, ("munich",))] == [MUNICH]
    runs = wanted(chosen(methods(), ["kNN"]), PROTOCOLS, bare)
    assert {run.lesson.users for run in runs} == {MUNICH}
