"""The arms of the SigMap bench: who is told which map, what learns, and who is asked."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from radiofix.benchmark.runs.learned import chosen, held_out_links, labelled_users
from radiofix.benchmark.runs.lessons import DEEPMIMO, UNSEEN, Trial
from radiofix.benchmark.runs.networks import Network
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.running import Bench
from radiofix.benchmark.runs.telling import map_of
from radiofix.benchmark.sigmap.methods import JOINED, KRIGED, TOLD_OTHER, methods
from radiofix.benchmark.sigmap.paper import (
    NO_MAP,
    SIGMAP,
)
from radiofix.benchmark.sigmap.protocols import BY_NAME, PROTOCOLS, RIGHT
from radiofix.benchmark.sigmap.wrong import AnotherCitys, MisledMap, elsewhere
from radiofix.data.store import open_paths
from radiofix.models.echo_head import WaveHead
from radiofix.models.fusing import Fusion
from radiofix.models.map_prompt import ConstantPrompter
from radiofix.models.map_reading import read_map
from radiofix.models.site_map import CarriedMap
from radiofix.training.localizing import build_localizer, pretrained

from .arms import carried, first, network, prepared, told, weights_of


def test_arms_differ_in_nothing_but_what_they_are_told(place):
    lesson = first("table1")
    recipes = {
        name: network(name).recipe(Run(name, lesson, 0, 1e-3), place)
        for name in (SIGMAP, NO_MAP, "SigMap-constant", "SigMap-other-map", "SigMap-walls")
    }
    bare = {
        name: replace(r, prompter=None, adaptation=recipes[NO_MAP].adaptation)
        for name, r in recipes.items()
    }
    for recipe in bare.values():
        assert replace(recipe, receiver=bare[NO_MAP].receiver) == bare[NO_MAP]
        assert recipe.receiver.lesson == lesson
    assert recipes[NO_MAP].prompter is None
    assert "Squared" in recipes[NO_MAP].task.class_path


@pytest.mark.parametrize("name", [SIGMAP, "SigMap-walls"])
def test_the_right_map_is_that_of_the_store(name, place):
    module, right = told(name, first("table1"), place), read_map(open_paths(place.stores["whole"]))
    assert torch.equal(carried(module).vertices, right.vertices)
    assert torch.equal(carried(module).stations, right.stations)


@pytest.mark.parametrize("figure", ["table1", "table4"])
def test_another_city_s_map_is_of_a_city_that_is_not_the_one_asked_about(figure, place):
    lesson = first(figure)
    module = told("SigMap-other-map", lesson, place)
    assert any(isinstance(part, MisledMap) for part in module.modules())
    found = carried(module)
    right = read_map(open_paths(place.store(lesson.users)))
    assert torch.equal(found.stations, right.stations)
    other = {"table1": "munich", "table4": "whole"}[figure]
    theirs = read_map(open_paths(place.stores[other]))
    assert found.buildings == theirs.buildings != right.buildings
    by = right.stations.mean(0) - theirs.stations.mean(0)
    torch.testing.assert_close(found.vertices, theirs.vertices + by)


def test_a_constant_prompt_is_as_large_and_knows_no_map(place):
    tellers = [
        told(name, first("table1"), place).localizer.encoder.teller
        for name in ("SigMap-constant", SIGMAP)
    ]
    assert isinstance(tellers[0], ConstantPrompter)
    assert [t.prompts for t in tellers] == [1, 1]
    assert tellers[0].dim == tellers[1].dim
    assert carried(tellers[0]) is None
    plans = [
        network(name).preparations(0)[-1].plan(place)
        for name in ("cities-constant", "cities-walls")
    ]
    assert plans[0].prompter.class_path.endswith("ConstantPrompter")
    assert replace(plans[0], prompter=plans[1].prompter) == plans[1]
    assert [p.prompter.init_args for p in plans] == [{"prompts": 8}] * 2


def test_several_cities_are_told_the_next_one_s_buildings_and_one_needs_another_store(towns):
    joined, munich = (read_map(open_paths(towns[n])) for n in ("cities", "munich"))
    found = AnotherCitys(())(joined)
    assert found.buildings == joined.buildings
    assert not torch.equal(found.vertices, joined.vertices)
    with pytest.raises(ValueError, match="no store of another city is given"):
        AnotherCitys((towns["munich"],))(munich)


def test_a_procedural_city_is_told_another_procedural_one_s_houses_first(shared):
    given = {name: f"{name}.zarr" for name in ("munich", "kept-1", "kept-2", "whole")}
    for store, expected in (("kept-1", "kept-1.zarr"), ("etoile", "munich.zarr")):
        users = next(u for u in UNSEEN if u.store == store)
        assert elsewhere(replace(shared, stores=given), users).stores[0] == expected


def test_without_a_second_store_there_is_no_other_map(shared, tmp_path):
    # Nothing has been taught in this place: what has needs its cities no more.
    alone = replace(shared, stores={"whole": shared.stores["whole"]}, work=tmp_path)
    missing = Bench(alone, methods()).missing()
    assert missing["SigMap-other-map"] == "another city's map needs a second store"
    assert SIGMAP not in missing
    assert missing[RIGHT] == "no store named cities is given"


@pytest.mark.parametrize(("name", "kept"), [(SIGMAP, True), (NO_MAP, True), ("SigMap-full", False)])
def test_a_frozen_backbone_is_the_same_in_every_arm(name, kept, shared):
    method = prepared(shared, name)
    (preparation,) = method.preparations(0)
    assert preparation.name == f"backbone-{SIGMAP}-seed0"
    before = weights_of(pretrained(str(shared.prepared(preparation.name))).encoder)
    module, _ = method.taught(Run(name, first("table1"), 0, 1e-3), shared)
    encoder = module.localizer.encoder
    after = weights_of(getattr(encoder, "encoder", encoder))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before) == kept


def test_who_was_taught_in_many_cities_is_asked_with_the_map_of_the_new_one(place):
    method = prepared(place, RIGHT)
    (schooling,) = method.preparations(0)
    assert schooling.plan(place).store == place.stores["cities"]
    run = Run(RIGHT, first("maps-munich"), 0, 1e-3)
    right = read_map(open_paths(place.stores["munich"]))
    module, _ = method.taught(run, place)
    assert torch.equal(carried(module).vertices, right.vertices)
    wrong, _ = network(f"{RIGHT}-asked-other").taught(run, place)
    assert carried(wrong).buildings == read_map(open_paths(place.stores["whole"])).buildings
    # The very same weights, so that nothing but the map can make a difference.
    weights = [dict(m.localizer.named_parameters()) for m in (module, wrong)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    ((sounding, _), *_) = held_out_links(run, Trial(()), place, "test")
    with torch.no_grad():
        places = [m.localizer(sounding).position for m in (module, wrong)]
    assert (places[0] - places[1]).norm(dim=-1).max() > 1e-3


def test_an_inexact_map_is_told_to_those_that_are_told_one_and_changes_no_other_question(place):
    method = prepared(place, RIGHT)
    exact, *_, worst = (point.lesson for point in BY_NAME["maps-off"].at("region")[::2])
    assert (exact.map_error, worst.map_error) == (0.0, 3.0)
    assert exact == first("maps-munich")
    right = read_map(open_paths(place.stores["munich"]))
    module, _ = method.taught(Run(RIGHT, worst, 0), place)
    told = carried(module)
    by = (told.middles - right.middles)[:, :2]
    assert 0.5 < float(by.norm(dim=-1).mean()) / (3.0 * (math.pi / 2) ** 0.5) < 1.6
    assert torch.equal(told.stations, right.stations)
    assert torch.equal(map_of(Run(RIGHT, exact, 0), place).walls, right.walls)
    # And it makes a difference to what is answered.
    ((sounding, _), *_) = held_out_links(Run(RIGHT, worst, 0), Trial(()), place, "test")
    with torch.no_grad():
        placed = [
            method.taught(Run(RIGHT, lesson, 0), place)[0].localizer(sounding).position
            for lesson in (exact, worst)
        ]
    assert (placed[0] - placed[1]).norm(dim=-1).max() > 0.1
    # A wrong map stays a wrong one.
    other, _ = network(f"{RIGHT}-asked-other").taught(Run(RIGHT, worst, 0), place)
    assert carried(other).buildings == read_map(open_paths(place.stores["whole"])).buildings
    # Others of that seed are told the same, those of another seed something else.
    assert torch.equal(map_of(Run("NOMP-map", worst, 0), place).walls.double(), told.walls)
    assert not torch.equal(map_of(Run(RIGHT, worst, 1), place).walls, told.walls)
    # Who is told no map has one answer to all, who follows walls without a network has not.
    assert network("cities-waves-constant").lesson(worst) == exact
    (nomp,) = chosen(methods(), ["NOMP-map"])
    assert nomp.lesson(worst) == worst


def test_what_was_taught_with_right_maps_is_fine_tuned_with_another_city_s(place):
    prepared(place, RIGHT)
    runs = {name: Run(name, first("table1"), 0, 1e-3) for name in (RIGHT, TOLD_OTHER)}
    recipes = {name: network(name).recipe(run, place) for name, run in runs.items()}
    assert replace(recipes[TOLD_OTHER], head=recipes[RIGHT].head) == recipes[RIGHT]
    modules = {name: network(name).taught(run, place)[0] for name, run in runs.items()}
    munich, whole = (read_map(open_paths(place.stores[n])) for n in ("munich", "whole"))
    assert carried(modules[RIGHT]).buildings == whole.buildings
    assert carried(modules[TOLD_OTHER]).buildings == munich.buildings
    assert torch.equal(carried(modules[TOLD_OTHER]).stations, whole.stations)
    # They begin with the same weights, and learn something else.
    assert recipes[RIGHT].pretrained == str(place.prepared(f"{RIGHT}-seed0"))
    learnt = [dict(m.localizer.named_parameters()) for m in modules.values()]
    assert learnt[0].keys() == learnt[1].keys()
    assert any(not torch.equal(learnt[0][key], learnt[1][key]) for key in learnt[0])


@pytest.mark.parametrize("name", [RIGHT, JOINED])
def test_stations_are_joined_by_what_is_stated_of_each(place, name):
    method = prepared(place, name)
    run = Run(name, first("together"), 0, 1e-3)
    assert run.lesson.question.together
    learned = method.learn(run, place)
    module, _ = method.taught(run, place)
    ((sounding, truth), *_) = held_out_links(run, Trial(()), place, "test")
    users, count = torch.unique_consecutive(sounding.user, return_counts=True)
    assert count.max() > 1
    told, task = learned.answer(sounding), run.lesson.question.make_task()
    error = task.error(told, sounding, truth)
    fix = module.localizer.fix(sounding)
    for user in users.tolist():
        own = sounding.user == user
        one = fix[own]
        fused = Fusion().join(one, np.zeros(len(one), dtype=np.int64), 1)
        place_of = torch.from_numpy(fused.position[0])
        assert torch.allclose(told.position[own], place_of.expand(len(one), 3), atol=1e-4)
        off = (place_of - truth.position[own][0])[:2].norm()
        assert torch.allclose(error[own].double(), off.double(), atol=1e-3)
    assert (fix.mixture is None) == (name == JOINED)
    # Taught link by link: every link at every step, and no weights of stations are learnt.
    assert type(module.localizer.head).__name__ != "FusionHead"
    assert method.recipe(run, place).fewest_stations is None


@pytest.mark.parametrize("name", [SIGMAP, "LWLM"])
def test_nobody_leaves_stations_out_where_all_are_asked(place, name):
    (point,) = BY_NAME["table2"].at("region")
    recipe = network(name).recipe(Run(name, point.lesson, 0, 1e-3), place)
    assert recipe.task.build().together
    assert recipe.fewest_stations is None


def test_the_published_prompt_can_be_asked_with_a_wrong_map(place):
    prepared(place, "cities-pooled")
    run = Run("cities-pooled", first("maps-munich"), 0, 1e-3)
    asked = ("cities-pooled", "cities-pooled-asked-other")
    right, wrong = (network(name).taught(run, place)[0] for name in asked)
    munich, whole = (read_map(open_paths(place.stores[n])) for n in ("munich", "whole"))
    assert torch.equal(carried(right).vertices, munich.vertices)
    assert carried(wrong).buildings == whole.buildings
    weights = [dict(m.localizer.named_parameters()) for m in (right, wrong)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_the_constant_control_of_waves_has_their_head_and_is_taught_as_they_are(place):
    plans = {}
    for name in ("cities-waves", "cities-waves-constant", RIGHT):
        (schooling,) = network(name).preparations(0)
        plans[name] = schooling.plan(place)
    waves, constant, right = plans.values()
    assert replace(constant, prompter=None, receiver=waves.receiver) == waves
    assert constant.prompter.init_args == {"prompts": 8}
    assert (constant.training, constant.adaptation) == (right.training, right.adaptation)
    prepared(place, "cities-waves-constant")
    run = Run("cities-waves-constant", first("table4-munich"), 0, 1e-3)
    module, outcome = network(run.method).taught(run, place)
    teller = module.localizer.encoder.teller
    assert isinstance(teller, ConstantPrompter)
    assert teller.prompts == 8
    assert type(module.localizer.head) is WaveHead
    assert carried(module) is None
    assert outcome.learns.teller == 8 * teller.dim
    # They learn in cities, and are what a new one is asked with.
    drawn = build_localizer(constant, pretrained("radiofix-nano")).localizer.encoder.teller
    begun = pretrained(str(place.prepared("cities-waves-constant-seed0"))).encoder.teller
    assert not torch.equal(begun.tokens, drawn.tokens)
    asked = Run(run.method, first("maps-munich"), 0, None)
    module, _ = network(run.method).taught(asked, place)
    assert torch.equal(module.localizer.encoder.teller.tokens, begun.tokens)


def test_arms_that_decide_about_waves_are_asked_wherever_these_are():
    for figure in ("maps", "together"):
        asked = BY_NAME[figure].methods
        assert {RIGHT, "cities-waves", "cities-waves-constant"} <= set(asked)
    assert "cities-pooled-asked-other" in BY_NAME["maps-munich"].methods


def test_a_reader_begins_as_the_network_it_reads_for(place):
    method = prepared(place, "cities-reader")
    (schooling,) = method.preparations(0)
    begun = pretrained(str(place.prepared(schooling.name) / "begun"))
    plain = pretrained("radiofix-nano")
    run = Run("radiofix-nano", first("maps-munich"), 0, 1e-3)
    ((sounding, _), *_) = held_out_links(run, Trial(()), place, "test")
    for part in begun.encoder.modules():
        if isinstance(part, CarriedMap):
            part.put(read_map(open_paths(place.stores["munich"])))
    with torch.no_grad():
        found = [s.head(s.encoder.eval()(sounding), sounding).position for s in (begun, plain)]
    torch.testing.assert_close(*found)


def test_labels_are_never_test_users_and_nothing_is_learnt_in_a_new_city(place):
    for protocol in PROTOCOLS:
        for point in protocol.every:
            lesson = point.lesson
            known = lesson.labels in place.scale.labels and lesson.users.store in place.stores
            if not known or not lesson.labels:
                continue
            run = Run("any", lesson, 0)
            labelled = set(labelled_users(run, place).tolist())
            for part in ("validation", "test"):
                links = held_out_links(run, point.test, place, part)
                asked = {int(user) for sounding, _ in links for user in sounding.user}
                assert asked
                assert not labelled & asked
    for method in methods():
        if isinstance(method, Network):
            for preparation in method.preparations(0):
                assert preparation.plan(place).store not in {
                    place.stores[users.store] for users in UNSEEN if users.store in place.stores
                }


def test_a_store_without_a_map_is_left_to_those_who_need_none(shared):
    lesson = next(p.lesson for p in BY_NAME["table4-deepmimo"].points)
    assert lesson.users == DEEPMIMO
    assert network(SIGMAP).lesson(lesson) is None
    assert network(RIGHT).lesson(lesson) is None
    for name in (NO_MAP, "SigMap-constant", "cities-no-map", "LWLM"):
        assert network(name).lesson(lesson) == lesson


def test_without_labels_only_those_are_asked_who_can_place_users():
    lesson = first("maps")
    for name in (SIGMAP, NO_MAP, "LWLM", "SWiT", "SigMap-scratch"):
        assert network(name).lesson(lesson) is None
    for name in (RIGHT, "cities-no-map", "radiofix-nano"):
        assert network(name).lesson(lesson) == lesson


def test_places_are_moved_by_labelled_users_after_the_same_fine_tuning(place):
    method = prepared(place, KRIGED)
    run = Run(KRIGED, first("table1"), 0, 1e-3)
    recipe = method.recipe(run, place)
    assert recipe.krige
    assert replace(recipe, krige=False) == network(RIGHT).recipe(run, place)
    module, _ = method.taught(run, place)
    assert carried(module).buildings == read_map(open_paths(place.stores["whole"])).buildings
