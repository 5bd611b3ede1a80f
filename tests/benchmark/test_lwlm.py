"""The figures of the LWLM paper as protocols, and the runs that they need."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from radiofix.benchmark.lwlm.methods import methods
from radiofix.benchmark.lwlm.paper import LWLM, OMP, PAPER_FIGURES, printed
from radiofix.benchmark.lwlm.protocols import AGENDA, BY_NAME, HEADLINE, PROTOCOLS, trials_of
from radiofix.benchmark.lwlm.scales import LAPTOP, PAPER, SMOKE
from radiofix.benchmark.runs.answers import ask
from radiofix.benchmark.runs.choosing import wanted
from radiofix.benchmark.runs.classical import (
    Known,
    averaged,
    multilaterated,
    placed,
    sided,
    weighed_by_distance,
)
from radiofix.benchmark.runs.learned import chosen, held_out_links
from radiofix.benchmark.runs.lessons import (
    EVERYBODY,
    FAR_WALLS,
    HIDDEN,
    NEAR_WALLS,
    TWELVE,
    Lesson,
    Trial,
)
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.runs.questions import AOA, FUSION, POSITION, TOA
from radiofix.benchmark.runs.recipes import InLesson, asked_receiver, changed, with_stations
from radiofix.classic.waves import Waves
from radiofix.data.store import open_paths
from radiofix.models.heads import Estimate, fuse
from radiofix.physics.rotation import rotation
from radiofix.physics.strongest import Wave
from radiofix.training.batches import Receiver
from radiofix.training.recipe import PretrainRecipe, load_recipe
from radiofix.types import SPEED_OF_LIGHT, Truth

from .conftest import RECIPES, TINY


def network(name):
    return chosen(methods(), [name])[0]


def points(name):
    return BY_NAME[name].at("region")


def test_every_figure_is_on_the_headline_split_and_the_papers_own_on_its_too():
    for protocol in PROTOCOLS:
        splits = ["region"] if protocol.ours else ["region", "random"]
        each = [split for split in splits for _ in protocol.points]
        assert [p.lesson.split for p in protocol.every] == each


def test_bandwidths_go_up_to_fifty_and_pretraining_has_seen_three_of_them():
    found = [(p.x, p.lesson.bandwidth) for p in points("fig10c")]
    assert found == [(b, b * 1e6) for b in (10, 20, 30, 40, 50)]
    for name in ("base", "sfmcm", "dti", "picl"):
        recipe = load_recipe(PretrainRecipe, RECIPES / "lwlm" / f"{name}.yaml")
        assert recipe.receiver.bandwidths == (10e6, 20e6, 50e6)


def test_pilots_are_thinned_for_training_as_for_the_test_or_once_for_all():
    each = [(p.x, p.lesson.pilots, p.test.pilots) for p in points("fig10d")]
    assert each == [(n, (n,), n) for n in (1, 2, 3, 4, 5)]
    once = {p.lesson for p in points("fig10d-once")}
    assert [lesson.pilots for lesson in once] == [(1, 2, 3, 4, 5)]
    assert [p.test.pilots for p in points("fig10d-once")] == [1, 2, 3, 4, 5]


def test_stations_are_added_one_by_one_to_a_single_lesson():
    assert {p.lesson for p in points("fig11b")} == {points("fig11a")[0].lesson}
    assert [p.test.stations for p in points("fig11b")] == [
        ("3",), ("3", "4"), ("3", "4", "9"), ("3", "4", "9", "10"),
    ]  # fmt: skip
    assert points("fig11b")[0].lesson.stations == ("3", "4", "9", "10")


def test_labels_are_the_papers_and_some_below():
    assert [p.x for p in points("fig10b")] == [p.lesson.labels for p in points("fig10b")]
    assert {250, 500, 1_000, 2_000, 10_000} <= {p.x for p in points("fig10b")}
    assert min(p.x for p in points("fig11c")) == 2_000


def test_figures_ask_for_what_their_captions_name():
    questions = {p.name: p.points[0].lesson.question for p in PROTOCOLS}
    assert (questions["fig8"], questions["fig9"]) == (TOA, AOA)
    assert {questions[n] for n in ("fig10a", "fig10b", "fig10c", "fig10d", "snr")} == {POSITION}
    assert {questions[n] for n in ("fig11a", "fig11b", "fig11c")} == {FUSION}
    for protocol in PROTOCOLS:
        for point in protocol.points:
            assert point.test in trials_of(point.lesson)
    assert [p.lesson.snr_db for p in points("snr")] == [0, 10, 20, 30]
    assert {p.lesson.users for p in points("hidden")} == {HIDDEN}
    assert [p.lesson.power_dbm for p in points("budget")] == [3, 13, 23]
    assert {p.lesson.pattern for p in points("sector")} == {"sector"}
    assert [p.lesson.users for p in points("walls")] == [NEAR_WALLS, EVERYBODY, FAR_WALLS]


def test_the_headline_is_run_first():
    assert PROTOCOLS[: len(HEADLINE)] == HEADLINE
    assert [p.name for p in HEADLINE] == ["fig10a", "fig10b", "fig8", "fig9"]


def test_a_station_never_seen_is_asked_beside_those_that_were():
    (lesson,) = {p.lesson for p in points("unseen")}
    assert lesson.stations == ("4", "9", "10")
    assert [p.test.stations for p in points("unseen")] == [("3",), ("4",), ("9",), ("10",)]
    # A fingerprint knows nothing of channels that it never looked at; a network can be asked.
    asked = [network("kNN").hears(lesson, p.test) for p in points("unseen")]
    assert asked == [False, True, True, True]
    assert network("LWLM").hears(lesson, points("unseen")[0].test)


def test_twelve_stations_are_one_lesson_too():
    (lesson,) = {p.lesson for p in points("fig11b-twelve")}
    assert lesson.users == TWELVE
    assert sorted(map(int, lesson.stations)) == list(range(1, 13))
    for point in points("fig11b-twelve"):
        assert point.test.stations == lesson.stations[: int(point.x)]


def test_clocks_are_off_by_the_same_for_all_stations():
    for name, stations in (("fig10-clock", 1), ("fig11-clock", 4)):
        found = [(p.x, p.lesson.clock, len(p.test.stations)) for p in points(name)]
        assert found == [(ns, ns * 1e-9, stations) for ns in (0, 10, 30, 100)]
    assert points("fig10-clock")[0].lesson == points("fig10a")[0].lesson


def test_lessons_have_names_of_their_own_and_are_read_as_they_were_written():
    lessons = {p.lesson for protocol in PROTOCOLS for p in protocol.every}
    assert len({lesson.name for lesson in lessons}) == len(lessons)
    assert {Lesson.parse(lesson.plain()) for lesson in lessons} == lessons


def test_one_run_serves_all_figures_that_ask_the_same():
    lesson = points("fig10a")[0].lesson
    for name, x in (("fig10b", 10_000), ("fig10c", 10), ("fig10d", 1)):
        assert next(p for p in points(name) if p.x == x).lesson == lesson


def test_a_sparing_scale_asks_ablations_what_the_paper_prints_of_them_and_once(
    site, town, tmp_path
):
    stores = dict.fromkeys(AGENDA.stores, str(town))
    site = replace(site, scale=LAPTOP, stores=stores, out=tmp_path, agenda=AGENDA)

    def asked(name: str) -> dict[str, set[int]]:
        runs = wanted([network(name)], PROTOCOLS, site)
        return {
            lesson: {r.seed for r in runs if r.lesson.name == lesson}
            for lesson in sorted({r.lesson.name for r in runs})
        }

    dti = asked("LWLM-DTI")
    assert all(seeds == {0} for seeds in dti.values())
    # Time, angle, one station, 30 MHz; on two splits. Four stations of what is compared there.
    assert len(dti) == 2 * 4
    assert len(asked("SWiT")) == len(asked("LWLM-Base")) == 2 * 4
    ours = asked("radiofix-nano")
    for figure, x, seeds in (("fig10a", 10_000, 3), ("fig10b", 2_000, 1), ("fig10c", 50, 1)):
        lesson = next(p.lesson.name for p in points(figure) if p.x == x)
        assert len(ours[lesson]) == seeds
    # LWLM answers the paper's figures and what noise does, no sensitivity; ours all of them.
    lwlm, told = asked("LWLM"), {"fig10d": True, "snr": True, "walls": False, "sector": False}
    for figure, there in told.items():
        lesson = points(figure)[-1].lesson.name
        assert (lesson in lwlm, lesson in ours) == (there, True)
    scratch = asked("radiofix-nano-scratch")
    assert points("snr")[0].lesson.name in scratch
    assert points("budget")[0].lesson.name not in scratch
    assert len(lwlm[points("fig10a")[0].lesson.name]) == 3
    generous = replace(site, scale=replace(LAPTOP, sparing=False))
    every = wanted([network("LWLM-DTI")], PROTOCOLS, generous)
    assert {r.seed for r in every} == {0, 1, 2}
    assert {p.lesson for f in PROTOCOLS for p in f.every if p.lesson.labels in LAPTOP.labels} == {
        run.lesson for run in every
    }
    assert AGENDA.beside | set(AGENDA.limited) <= {method.name for method in methods()}


def expect_as_asked(recipe, lesson, scale):
    assert recipe.split == lesson.split
    assert recipe.stations == lesson.stations
    assert recipe.labels == scale.labels[lesson.labels]
    assert recipe.task.class_path == lesson.question.task
    assert recipe.among.class_path == lesson.users.among
    receiver = recipe.receiver
    assert receiver.bandwidths == (lesson.bandwidth,)
    assert (receiver.antennas, receiver.subcarriers, receiver.paths) == (32, 128, 5)
    assert receiver.snr_db == lesson.snr_db
    assert receiver.lesson == lesson
    assert receiver.impairments.user_timing == lesson.clock
    every = receiver.pilots.every_antenna if receiver.pilots else 1
    assert every == (lesson.pilots[0] if len(lesson.pilots) == 1 else 1)
    assert recipe.fewest_stations == (1 if lesson.question.together else None)


@pytest.mark.parametrize("scale", [SMOKE, PAPER], ids=lambda scale: scale.name)
def test_a_recipe_holds_what_its_figure_says_at_every_scale(scale, site, town):
    stores = dict.fromkeys(("o1", "cross", "near-walls", "far-walls"), str(town))
    site = replace(site, scale=scale, stores=stores)
    for protocol in PROTOCOLS:
        if protocol.name == "fig11b-twelve":
            continue
        lesson = protocol.at("random")[-1].lesson
        recipe = network("LWLM-Base").recipe(Run("LWLM-Base", lesson, 7, 1e-3), site)
        expect_as_asked(recipe, lesson, scale)
        assert (recipe.seed, recipe.training.rate) == (7, 1e-3)


@pytest.mark.parametrize("name", ["radiofix-nano-scratch", "ResNet-34", "SWiT"])
@pytest.mark.parametrize("question", [AOA, FUSION], ids=lambda question: question.name)
def test_all_networks_are_asked_the_same(name, question, site):
    stations = {False: ("3",), True: ("3", "4", "9", "10")}[question.together]
    lesson = Lesson(question, "random", stations=stations)
    recipe = network(name).recipe(Run(name, lesson, 0, 1e-3), site)
    expect_as_asked(recipe, lesson, TINY)
    assert {"aoa": "AoaHead", "fusion": "FusionHead"}[question.name] in recipe.head.class_path


def test_the_published_sizes_are_those_of_the_scale_paper(site):
    run = Run("LWLM-Base", points("fig10a")[0].lesson, 0, 1e-3)
    dims = {
        scale.name: network("LWLM-Base").recipe(run, replace(site, scale=scale)).encoder.init_args
        for scale in (SMOKE, LAPTOP, PAPER)
    }
    assert (dims["paper"]["dim"], dims["paper"]["layers"]) == (256, 4)
    assert dims["smoke"]["dim"] < dims["laptop"]["dim"] < 256


@pytest.mark.parametrize(
    ("figure", "x", "method", "value"),
    [
        ("fig8", 10_000, LWLM, "0.36"),
        ("fig8", 10_000, "LWLM-DTI", "0.43"),
        ("fig9", 10_000, "LWLM-Base", "0.49"),
        ("fig10a", 10_000, LWLM, "0.67"),
        ("fig10b", 2_000, LWLM, "2.21"),
        ("fig10c", 30, LWLM, "0.80"),
        ("fig10d", 5, LWLM, "2.86"),
        ("fig11a", 10_000, "LWLM-Base", "0.74"),
        ("fig11b", 4, LWLM, "0.57"),
        ("fig11c", 2_000, LWLM, "0.96"),
        ("fig8", 10_000, OMP, "0.95*"),
        ("fig10a", 10_000, OMP, "3.68*"),
        ("fig10a", 10_000, "LWLM-Base", "5.36*"),
        ("fig10c", 10, "ResNet-34", "1.38*"),
        ("fig10d", 1, "LWLM-SFMCM", "1.06 to 1.37*"),
        ("fig10c", 30, "LWLM-PICL", "1.25 to 1.81*"),
        ("fig11c", 10_000, "LWLM-DTI", "0.65 to 0.79*"),
        ("fig11c", 2_000, "LWLM-Base", "1.29 to 1.88*"),
    ],
)
def test_the_papers_numbers_are_those_that_it_prints(figure, x, method, value):
    assert str(printed(figure, x, method)) == value


def test_every_printed_number_stands_at_a_point_of_its_figure():
    names = [method.name for method in methods()]
    for one in PAPER_FIGURES:
        assert one.x in [p.x for p in BY_NAME[one.figure].points]
        assert one.method in names
        assert one.statistic == BY_NAME[one.figure].statistic
    assert printed("fig10c", 40, LWLM) is None


def test_combs_are_drawn_link_by_link(town):
    paths = open_paths(town).links(range(60), 0)
    paths = paths[paths.present.any(-1)]
    plain = Receiver(bandwidths=(10e6,), paths=5)
    band = torch.zeros(len(paths), dtype=torch.long)
    whole = plain.sound(paths, band, torch.Generator().manual_seed(0)).csi
    lesson = points("fig10d-once")[0].lesson
    thin = InLesson(plain, lesson).sound(paths, band, torch.Generator().manual_seed(0)).csi
    found = set()
    for link, csi in zip(whole, thin, strict=True):
        every = [n for n in range(1, 6) if csi.count_nonzero() == link[::n, ::n].numel()]
        (n,) = every
        assert csi[::n, ::n].equal(link[::n, ::n])
        found.add(n)
    assert found == {1, 2, 3, 4, 5}


def heard_by(town, lesson, pilots=1):
    paths = open_paths(town).links(range(60), 0)
    paths = paths[paths.present.any(-1)]
    receiver = asked_receiver(lesson, Trial(lesson.stations, pilots))
    band = torch.zeros(len(paths), dtype=torch.long)
    return paths, receiver.sound(paths, band, torch.Generator().manual_seed(0))


def test_a_budget_makes_far_users_noisier_and_a_ratio_does_not(town):
    _, clean = heard_by(town, Lesson(POSITION, "random"))
    spread = {}
    for name, lesson in (
        ("budget", Lesson(POSITION, "random", power_dbm=3.0)),
        ("ratio", Lesson(POSITION, "random", snr_db=20.0)),
    ):
        _, noisy = heard_by(town, lesson)
        noise = (noisy.csi - clean.csi).abs().square().mean((1, 2))
        spread[name] = noise.std() / noise.mean()
        power = clean.csi.abs().square().mean((1, 2))
        ratio = 10 * torch.log10(power / noise)
        if name == "budget":
            # k T B F at 10 MHz and 5 dB is -98.98 dBm.
            told = 3.0 + 10 * torch.log10(power.double()) + 98.98
            torch.testing.assert_close(ratio.double(), told, atol=0.3, rtol=0.0)
    assert spread["budget"] < 0.1 < spread["ratio"]


def test_sector_elements_look_away_from_the_wall_behind_them(town):
    paths, plain = heard_by(town, Lesson(POSITION, "random"))
    _, sector = heard_by(town, Lesson(POSITION, "random", pattern="sector"))
    power = [s.csi.abs().square().mean((1, 2)) for s in (sector, plain)]
    gain = 10 * torch.log10(power[0] / power[1])
    away = paths.user_position - paths.station_position
    aside = torch.atan2(away[:, 1], away[:, 0]).abs().rad2deg()
    assert (gain[aside < 10] > 6).all()
    assert gain[aside > 60].max() < gain[aside < 10].min()


def test_a_clock_s_offset_is_one_for_all_stations_of_a_user(site):
    stations = ("3", "4", "9", "10")
    found = []
    for clock in (0.0, 100e-9):
        lesson = Lesson(FUSION, "random", stations=stations, clock=clock)
        ((sounding, _),) = held_out_links(Run("any", lesson, 0), Trial(stations), site, "test")
        found.append(sounding)
    # The phase over subcarriers turns by the offset and nothing else.
    turned = (found[1].csi * found[0].csi.conj()).sum(1)
    step = (turned[:, 1:] * turned[:, :-1].conj()).sum(-1).angle()
    offset = -step / (2 * math.pi * 10e6 / 128)
    for user in found[0].user.unique():
        each = offset[found[0].user == user]
        torch.testing.assert_close(each, each[:1].expand_as(each), rtol=1e-3, atol=1e-10)
    first = torch.stack([offset[found[0].user == u][0] for u in found[0].user.unique()])
    assert 20e-9 < first.std() < 300e-9


def test_parts_with_stations_of_their_own_are_given_the_lesson_s():
    content = {
        "encoder": {"init_args": {"stations": [0, 1], "dim": 4}},
        "head": {"init_args": {"estimator": {"init_args": {"stations": [0]}}}},
        "stations": ["3", "4"],
    }
    found = with_stations(content, [2, 5])
    assert found["encoder"]["init_args"] == {"stations": [2, 5], "dim": 4}
    assert found["head"]["init_args"]["estimator"]["init_args"]["stations"] == [2, 5]
    assert found["stations"] == ["3", "4"]


def test_a_change_of_what_is_not_there_is_left_out():
    content = {"a": {"b": {"c": 1, "d": 2}}}
    found = changed(content, {"a.b": {"c": 3}, "x.y": 1, "a.z": 5})
    assert found == {"a": {"b": {"c": 3, "d": 2}, "z": 5}}
    assert content == {"a": {"b": {"c": 1, "d": 2}}}


def links_of(site, question, stations=("3",)):
    run = Run("any", Lesson(question, "random", stations=stations), 0)
    return held_out_links(run, Trial(stations), site, "test")


def test_answers_are_measured_against_the_truth_and_their_ellipses(site):
    links = links_of(site, POSITION)
    truth = {int(u): p for s, t in links for u, p in zip(s.user, t.position, strict=True)}
    away = torch.tensor([3.0, 4.0, 0.0])

    def answer(sounding):
        right = torch.stack([truth[int(u)] for u in sounding.user])
        scale = torch.tensor([[3.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
        return Estimate(right + away, scale.expand(len(right), 2, 2))

    found = ask(answer, POSITION.make_task(), links, together=False)
    np.testing.assert_allclose(found.error, 5.0, rtol=1e-6)
    np.testing.assert_allclose(found.squared, 1 + 4, rtol=1e-6)
    np.testing.assert_allclose(found.radius, math.sqrt(-2 * math.log(0.1) * 6), rtol=1e-6)
    assert set(found.user) == set(truth)


def test_a_fused_user_is_one_answer(site):
    links = links_of(site, FUSION, ("3", "4", "9", "10"))
    heard = torch.cat([sounding.user for sounding, _ in links])

    def answer(sounding):
        position = sounding.station_position.double()
        return Estimate(position, logit=torch.zeros(len(position), dtype=torch.float64))

    found = ask(answer, FUSION.make_task(), links, together=True)
    assert len(heard) > len(found.error) == len(heard.unique())
    assert sorted(found.user) == sorted(set(heard.tolist()))


def test_the_error_of_an_angle_is_told_as_a_direction_too(site):
    links = list(links_of(site, AOA))
    task = AOA.make_task()
    bend = 0.1

    def answer(sounding):
        truth = next(t for s, t in links if s is sounding)
        return task.quantity(sounding, truth) + bend

    found = ask(answer, task, links, together=False)
    np.testing.assert_allclose(found.error, np.rad2deg(bend), rtol=1e-5)
    (sounding, truth), *_ = links
    away = (truth.position - sounding.station_position).numpy()
    azimuth = task.quantity(sounding, truth).numpy()
    level = np.linalg.norm(away[:, :2], axis=1) / np.linalg.norm(away, axis=1)
    plain = level * np.abs(np.sin(azimuth + bend) - np.sin(azimuth))
    np.testing.assert_allclose(found.direction[: len(plain)], plain, rtol=1e-5)


@pytest.fixture
def heard(site):
    """Delays and directions of the straight way, all stations of each user."""
    ((sounding, truth),) = links_of(site, FUSION, ("3", "4", "9", "10"))
    away = (truth.position - sounding.station_position).double()
    delay = away.norm(dim=-1) / SPEED_OF_LIGHT
    across = torch.cos(sounding.station_orientation[:, 0].double()) * away[:, 1]
    wave = Wave(delay, across / away.norm(dim=-1), torch.ones(len(delay), dtype=torch.complex64))
    return sounding, wave, truth


def test_a_direction_without_a_delay_still_says_where_to(heard):
    sounding, wave, truth = heard
    front = sounding.station_orientation[:, 0].cos()
    seen = front * (truth.position - sounding.station_position)[:, 0] > 0
    toward = replace(wave, delay=torch.full_like(wave.delay, torch.nan))
    for join in (placed, averaged):
        away = join(sounding, toward, Known(1.5)).position - sounding.station_position
        true = (truth.position - sounding.station_position)[seen].double()
        cosine = torch.cosine_similarity(away[seen][:, :2].double(), true[:, :2])
        assert cosine.quantile(0.1) > 0.98


def test_what_stations_see_rightly_meets_at_the_user(heard):
    sounding, wave, truth = heard
    seen = (
        sounding.station_orientation[:, 0].cos()
        * (truth.position - sounding.station_position)[:, 0]
    )
    for join in (averaged, weighed_by_distance):
        alone = join(sounding, wave, Known(1.5)).position[seen > 0]
        assert (alone - truth.position[seen > 0]).norm(dim=-1).max() < 0.01
    in_front = {int(u) for u in sounding.user} - {int(u) for u in sounding.user[seen <= 0]}
    kept = torch.tensor([int(u) in in_front for u in sounding.user])
    joined = multilaterated(sounding, wave, Known(1.5)).position
    assert kept.any()
    assert (joined - truth.position)[kept].norm(dim=-1).max() < 0.1


def test_a_clock_that_is_off_is_solved_for_where_it_is_known_that_it_may_be(heard):
    sounding, wave, truth = heard
    # Seen from all four stations, which are known to look to where the user is.
    seen = (
        sounding.station_orientation[:, 0].cos()
        * (truth.position - sounding.station_position)[:, 0]
    )
    links = torch.bincount(sounding.user[seen > 0], minlength=int(sounding.user.max()) + 1)
    kept = links[sounding.user] >= 3
    assert kept.any()
    late = replace(wave, delay=wave.delay + 30e-9)
    told, untold = (
        multilaterated(sounding, late, Known(1.5, offset)).position for offset in (30.0, 0.0)
    )
    away = [(position - truth.position)[kept].norm(dim=-1).median() for position in (told, untold)]
    assert away[0] < 0.5 < 2.0 < away[1]


def test_a_station_behind_whom_a_user_may_stand_is_believed_there(heard):
    # The first looks east, the second north; the user is west of the first.
    place = torch.tensor([-40.0, 20.0, 1.5], dtype=torch.float64)
    station = torch.tensor([[0.0, 0.0, 6.0], [5.0, -30.0, 6.0]], dtype=torch.float64)
    yaw = torch.tensor([[0.0, 0.0, 0.0], [math.pi / 2, 0.0, 0.0]], dtype=torch.float64)
    pair = replace(
        heard[0][:2],
        user=torch.tensor([7, 7]),
        station=torch.tensor([0, 1]),
        station_position=station,
        station_orientation=yaw,
    )
    away = place - station
    across = (rotation(yaw)[:, :, 1] * away).sum(-1)
    wave = Wave(away.norm(dim=-1) / SPEED_OF_LIGHT, across / away.norm(dim=-1), torch.ones(2) + 0j)
    found = multilaterated(pair, wave, Known(1.5, front=False)).position
    assert (found - place).norm(dim=-1).max() < 0.01
    assert (multilaterated(pair, wave, Known(1.5)).position[:, 0] > 0).all()
    # Users whose places are known say which of both it is, where their street reaches there.
    truth = Truth(place.expand(2, 3), torch.ones(2, dtype=torch.bool))

    both_told = torch.ones(2, 2, dtype=torch.bool)

    def seen(sounding):
        told = (wave.delay[:, None], wave.direction[:, None], wave.gain[:, None])
        return Waves(*told, *both_told)

    both_sides = Known(1.5, area=torch.tensor([[-60.0, 0.0], [60.0, 80.0]]))
    assert not sided(both_sides, seen, [(pair, truth)]).front
    east = Known(1.5, area=torch.tensor([[0.0, 0.0], [60.0, 80.0]]))
    assert sided(east, seen, [(pair, truth)]).front
    in_front = replace(pair, station_orientation=yaw + torch.tensor([math.pi, 0.0, 0.0]))
    told = (wave.delay[:, None], -wave.direction[:, None], wave.gain[:, None])
    turned = Waves(*told, *both_told)
    assert sided(both_sides, lambda _: turned[:1], [(in_front[:1], truth[:1])]).front


def test_a_link_in_which_no_wave_was_found_says_nothing(heard):
    sounding, wave, _ = heard
    area = torch.tensor([[240.0, 280.0], [300.0, 840.0]])
    first = torch.cat([torch.tensor([True]), sounding.user.diff() != 0])
    several = (torch.bincount(sounding.user) > 1)[sounding.user]
    lost = first & several
    silent = Wave(
        wave.delay.masked_fill(lost, torch.nan),
        wave.direction.masked_fill(lost, torch.nan),
        wave.gain,
    )
    known = Known(1.5, area=area)
    alone = placed(sounding, silent, known).position
    assert alone[lost].unique(dim=0).tolist() == [[270.0, 560.0, 1.5]]
    kept = Wave(wave.delay[~lost], wave.direction[~lost], wave.gain[~lost])
    for join in (averaged, weighed_by_distance, multilaterated):
        fused, _ = fuse(join(sounding, silent, known), sounding.user)
        without, _ = fuse(join(sounding[~lost], kept, known), sounding.user[~lost])
        torch.testing.assert_close(fused, without, rtol=0, atol=1e-3)
    everywhere = Wave(
        torch.full_like(wave.delay, torch.nan), torch.full_like(wave.delay, torch.nan), wave.gain
    )
    for join in (placed, averaged, weighed_by_distance, multilaterated):
        assert join(sounding, everywhere, known).position.unique(dim=0).tolist() == [
            [270.0, 560.0, 1.5]
        ]


def test_weights_fall_with_the_square_of_the_distance(heard):
    sounding, wave, _ = heard
    estimate = weighed_by_distance(sounding, wave, Known(1.5))
    share = estimate.logit.exp() * (SPEED_OF_LIGHT * wave.delay) ** 2
    torch.testing.assert_close(share, torch.ones_like(share))
    assert averaged(sounding, wave, Known(1.5)).logit.unique().tolist() == [0.0]
