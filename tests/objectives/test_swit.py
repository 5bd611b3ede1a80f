"""SWiT: views cut and resized rightly, a teacher that follows, a loss that cannot collapse."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from miniature import write_miniature
from models.soundings import ANTENNAS, SUBCARRIERS, gradient, random_sounding, replaced
from objectives.views import generator, random_views
from radiofix.models.swit import FrequencyPlace, SwitEncoder
from radiofix.objectives.mixture import Mixture
from radiofix.objectives.swit import Swit, across_views
from radiofix.objectives.swit_views import SwitViews, cropped, faded, resized
from radiofix.training.checkpoints import RunFolder
from radiofix.training.encoding import build
from radiofix.training.finetune import finetune
from radiofix.training.launch import launch, single
from radiofix.training.loop import Loop
from radiofix.training.pretrain import pretrain
from radiofix.training.recipe import FinetuneRecipe, PretrainRecipe, load_recipe, read_recipe

RECIPES = Path(__file__).parents[2] / "recipes" / "baselines"
DIM, LINKS = 16, 4
VIEWS = SwitViews(subcarriers=12, local_views=2, local_share=0.3, local_subcarriers=8)


def made(**options):
    """A small encoder, the objective that teaches it, and a mixture of it alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = SwitEncoder(ANTENNAS, DIM)
        small = {"steps": 100, "views": VIEWS, "prototypes": 30, "token_prototypes": 20}
        objective = Swit(encoder, **{**small, **options})
    return encoder, objective, Mixture({"swit": objective}, {"swit": 1.0})


def wave(sounding, delay, angle=0.3):
    """A single wave's channel at the sounding's frequencies; delay of each link [s]."""
    phase = -2 * math.pi * sounding.frequency.double() * delay[:, None]
    across = 2 * math.pi * angle * sounding.antenna[..., 1].double()
    turned = across[:, :, None] + phase[:, None]
    return torch.polar(torch.ones_like(turned), turned).to(torch.complex64)


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("subcarriers", [7, 16, 40])
def test_a_part_of_the_band_of_one_wave_is_that_wave_at_its_own_frequencies(share, subcarriers):
    sounding = random_sounding(LINKS)
    # From no turn to nearly half a one between subcarriers.
    steps = torch.tensor([0.0, 0.2, 0.45, -0.3], dtype=torch.float64)
    spacing = (sounding.frequency[:, 1] - sounding.frequency[:, 0]).double()
    sounding = sounding.with_csi(wave(sounding, steps / spacing))
    view = cropped(sounding, share, subcarriers, generator())
    assert view.csi.shape == (LINKS, ANTENNAS, subcarriers)
    expected = wave(view, steps / spacing)
    torch.testing.assert_close(view.csi, expected, rtol=0, atol=2e-4)
    gap = view.frequency.diff(dim=1).double()
    width = round(share * SUBCARRIERS) - 1
    torch.testing.assert_close(gap.sum(1), width * spacing, rtol=1e-5, atol=0)
    assert (view.frequency >= sounding.frequency[:, :1]).all()
    assert (view.frequency <= sounding.frequency[:, -1:]).all()


def test_at_its_own_subcarriers_a_channel_is_resized_to_itself():
    csi = random_sounding(LINKS).csi
    place = torch.arange(4.0, 15.0).expand(LINKS, -1)
    torch.testing.assert_close(resized(csi, place), csi[..., 4:15], rtol=1e-4, atol=1e-8)


def test_parts_begin_anywhere_from_the_first_to_the_last_place():
    sounding = replaced(random_sounding(500), frequency=torch.arange(16.0).expand(500, -1))
    starts = cropped(sounding, 0.5, 8, generator()).frequency[:, 0]
    assert sorted(set(starts.tolist())) == list(range(9))


def test_views_are_mirrored_scaled_and_the_last_global_one_faded_by_their_shares():
    ones = random_sounding(2000)
    ramp = torch.arange(1.0, 17.0).expand(2000, ANTENNAS, -1).to(torch.complex64)
    views = SwitViews(shares=(1.0, 1.0), subcarriers=16, local_views=1, fading=0.2).draw(
        ones.with_csi(ramp), generator()
    )
    assert [tuple(v.csi.shape[1:]) for v in views] == [(8, 16), (8, 16), (8, 16)]
    plain, changed = views[0].csi, views[1].csi
    mirrored = plain[:, 0, 0].abs() > plain[:, 0, -1].abs()
    assert float(mirrored.float().mean()) == pytest.approx(0.4, abs=0.04)
    gain = torch.where(mirrored, plain[:, 0, 0].abs() / 16, plain[:, 0, 0].abs())
    assert (float(gain.min()), float(gain.max())) == pytest.approx((0.9, 1.1), abs=0.002)
    assert (plain.real > 0).all()
    flipped = changed.real.mean((1, 2)) < 0
    assert float(flipped.float().mean()) == pytest.approx(0.5, abs=0.04)
    factor = faded(torch.ones(500, 8, 16, dtype=torch.complex64), 0.2, generator()).real.abs()
    assert float(factor.std()) == pytest.approx(0.2, rel=0.02)


def test_the_teacher_begins_as_the_student_and_follows_it():
    encoder, objective, mixture = made(momentum=0.9, steps=10)
    with torch.no_grad():
        encoder.values.weight.add_(1)
    mixture(encoder, mixture.prepare(random_views(), generator()))
    expected = encoder.values.weight.detach().double().numpy().copy()
    assert np.array_equal(objective.teacher.values.weight, encoder.values.weight.detach())
    heads = objective.heads.token.directions.detach().double().numpy().copy()
    for step in range(3):
        with torch.no_grad():
            encoder.values.weight.mul_(1.5)
            objective.heads.token.directions.sub_(0.25)
        mixture(encoder, mixture.prepare(random_views(), generator()))
        kept = 1 - (1 - 0.9) * (1 + math.cos(math.pi * step / 10)) / 2
        student = encoder.values.weight.detach().double().numpy()
        expected = kept * expected + (1 - kept) * student
        tokens = objective.heads.token.directions.detach().double().numpy()
        heads = kept * heads + (1 - kept) * tokens
    np.testing.assert_allclose(objective.teacher.values.weight, expected, rtol=1e-5)
    np.testing.assert_allclose(
        objective.teacher_heads.token.directions, heads, rtol=1e-5, atol=1e-7
    )
    encoder.scale.largest.fill_(5)
    objective.follow(encoder)
    assert objective.teacher.scale.largest.tolist() == [5, 5, 5]
    ends = torch.tensor([0, 5, 10, 12])
    momenta = [float(objective.momentum_after(step)) for step in ends]
    assert momenta == pytest.approx([0.9, 0.95, 1, 1])


def test_the_teacher_stays_while_a_model_is_judged():
    encoder, objective, mixture = made()
    prepared = mixture.prepare(random_views(), generator())
    mixture(encoder, prepared)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    with torch.no_grad():
        encoder.values.weight.add_(1)
        mixture.eval()(encoder, prepared)
        mixture.train()(encoder, prepared)
    assert all(value.equal(before[name]) for name, value in objective.state_dict().items())


def softmax(x):
    grown = np.exp(x - x.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


def test_the_loss_is_the_papers_by_numpy():
    encoder, objective, mixture = made()
    prepared = mixture.prepare(random_views(LINKS), generator())
    mixture(encoder, prepared)
    with torch.no_grad():
        encoder.values.weight.mul_(2)
        found, _ = mixture.eval()(encoder.eval(), prepared)
        views = prepared["swit"].soundings
        student = [objective.heads.whole(encoder(v).summary).numpy() for v in views]
        by_token = [objective.heads.token(encoder(v).tokens).numpy() for v in views[:2]]
        told = [objective.teacher.among_neighbours(v, 6, 3) for v in views[:2]]
        teacher = [objective.teacher_heads.whole(t.summary).numpy() for t in told]
        of_token = [objective.teacher_heads.token(t.tokens).numpy() for t in told]
    centre, token_centre = objective.centre.numpy(), objective.token_centre.numpy()
    assert abs(centre).max() > 0
    pairs = []
    for i in range(2):
        for j in range(4):
            if i != j:
                target = softmax((teacher[i] - centre) / 0.04)
                pairs.append(-(target * np.log(softmax(student[j] / 0.1))).sum(-1).mean())
    singles = [
        -(softmax((t - token_centre) / 0.04) * np.log(softmax(s / 0.1))).sum(-1).mean()
        for t, s in zip(of_token, by_token, strict=True)
    ]
    expected = np.mean(pairs) + 0.1 * np.mean(singles)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_one_pair_of_views_by_hand():
    logits = torch.tensor([[[9.0, 0.0]], [[0.0, math.log(3.0)]]])
    target = torch.tensor([[[0.0, 1.0]]])
    assert float(across_views(logits, target, 1.0)) == pytest.approx(-math.log(0.75), rel=1e-5)


def test_centring_makes_an_answer_that_is_always_the_same_worth_nothing():
    _, objective, _ = made(centre_memory=0.5)
    always = torch.zeros(LINKS, 30)
    always[:, 7] = 1.0
    sharp = objective._target(always, objective.centre)
    assert float(sharp[:, 7].min()) > 0.99
    for _ in range(20):
        objective._recentre(objective.centre, always)
    level = objective._target(always, objective.centre)
    torch.testing.assert_close(level, torch.full_like(level, 1 / 30), rtol=1e-3, atol=0)
    other = always.roll(1, -1)
    assert float(objective._target(other, objective.centre)[:, 8].min()) > 0.99


def test_gradient_reaches_all_of_the_student_and_nothing_of_the_teacher():
    _, objective, _ = made()
    encoder = SwitEncoder(ANTENNAS, DIM, place=FrequencyPlace(DIM))
    objective = Swit(encoder, 100, VIEWS, 30, 20)
    mixture = Mixture({"swit": objective}, {"swit": 1.0})
    prepared = mixture.prepare(random_views(), generator())
    # A second step, when the teacher's answers have moved away from the centre.
    for _ in range(2):
        total, _ = mixture(encoder, prepared)
    total.backward()
    assert min(gradient(encoder).values()) > 0
    found = gradient(objective)
    assert {n.split(".")[0] for n, size in found.items() if size > 0} == {"heads"}
    assert {n.split(".")[0] for n, size in found.items() if size < 0} == {
        "teacher",
        "teacher_heads",
    }
    assert all(size != 0 for size in found.values())


def test_what_cannot_be_is_refused_in_one_line():
    cases = [
        ({"momentum": 1.5}, r"momentum must lie in \[0, 1\], got 1.5"),
        ({"teacher_temperature": 0.2}, "teacher_temperature=0.2 must be positive and at most"),
        ({"steps": 0}, "steps must be positive, got 0"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            made(**options)
    with pytest.raises(ValueError, match=r"share must lie in \(0, 1\], got 1.2"):
        SwitViews(shares=(1.2,))
    with pytest.raises(ValueError, match="one view has no other"):
        SwitViews(shares=(0.9,), local_views=0)


ENCODER = {
    "class_path": "radiofix.models.swit.SwitEncoder",
    "init_args": {"antennas": ANTENNAS, "dim": DIM},
}
RECEIVER = {"bandwidths": [50e6], "antennas": ANTENNAS, "subcarriers": SUBCARRIERS}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(write_miniature(tmp_path_factory.mktemp("swit") / "store.zarr"))


def recipe(store, **training):
    views = {"subcarriers": 12, "local_views": 2, "local_share": 0.3, "local_subcarriers": 8}
    small = {"views": views, "prototypes": 30, "token_prototypes": 20}
    content = {
        "encoder": ENCODER,
        "objectives": {"swit": {"class_path": "radiofix.objectives.swit.Swit", "init_args": small}},
        "weights": {"swit": 1},
        "receiver": RECEIVER,
        "store": store,
        "split": "random",
        "training": {"steps": 10, "batch": 8, "validate_every": 5, "keep": "last", **training},
    }
    return read_recipe(PretrainRecipe, content, "test")


class PowerCut(Exception):
    pass


def test_a_run_that_was_cut_off_resumes_to_the_same_teacher_bit_for_bit(
    tmp_path, store, monkeypatch
):
    told = recipe(store, checkpoint_every=4, rate=1e-3, precision="bf16-mixed")

    def run(name, **others):
        pretrain(single(told.training), told, RunFolder(tmp_path / name), **others)
        return RunFolder(tmp_path / name).weights()

    whole = run("whole")
    step = Loop.step

    def cut(self):
        if self.progress.step == 6:
            raise PowerCut
        step(self)

    with monkeypatch.context() as patched:
        patched.setattr(Loop, "step", cut)
        with pytest.raises(PowerCut):
            run("cut")
    resumed = run("cut", resume=True)
    assert whole.keys() == resumed.keys()
    assert all(whole[name].equal(resumed[name]) for name in whole)
    assert int(whole["mixture.objectives.swit.step"]) == 10
    assert whole["mixture.objectives.swit.centre"].abs().max() > 0
    ours, slow = whole["encoder.values.weight"], "mixture.objectives.swit.teacher.values.weight"
    assert not ours.equal(whole[slow])


def column(folder, name):
    lines = (folder / "training.csv").read_text().splitlines()
    place = lines[0].split(",").index(name)
    return [float(line.split(",")[place]) for line in lines[1:]]


def test_two_processes_follow_the_loss_curve_and_the_centre_of_one(tmp_path, store):
    told = recipe(store, steps=3, log_every=1, rate=1e-3, validate_every=3)
    folders = [RunFolder(tmp_path / name) for name in ("one", "two")]
    for processes, folder in enumerate(folders, 1):
        launch(pretrain, "cpu", processes, "32-true", told, folder)
    one, two = (column(folder.path, "loss") for folder in folders)
    assert two == pytest.approx(one, rel=1e-5)
    key = "mixture.objectives.swit.centre"
    torch.testing.assert_close(*(f.weights()[key] for f in folders), rtol=1e-3, atol=1e-5)


def test_the_recipe_has_the_published_values():
    told = load_recipe(PretrainRecipe, RECIPES / "swit.yaml")
    training = told.training
    links = 4 * 277_351
    assert (training.rate, training.batch) == (1.5e-4, 256)
    assert training.steps == 100 * links // 256
    assert training.warmup == training.steps // 10
    # The rate falls with 1 + cos, the published decay rises with 1 - cos.
    falling = [training.rate_factor(s) for s in range(training.warmup, training.steps, 100)]
    published = [0.04 + 0.36 * (1 - share) for share in falling]
    assert training.weight_decay == pytest.approx(np.average(published, weights=falling), rel=1e-2)
    objective = build(told).mixture.objectives["swit"]
    assert objective.steps == training.steps
    assert (len(objective.centre), len(objective.token_centre)) == (25_000, 1_024)
    layers = [m for m in objective.heads.whole.projector if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in layers] == [1024, 1024, 256]
    laptop = load_recipe(PretrainRecipe, RECIPES / "swit-laptop.yaml")
    assert (laptop.encoder, laptop.receiver) == (told.encoder, told.receiver)


def test_a_pretrained_encoder_is_fine_tuned_and_learns(tmp_path, store):
    told = recipe(store, rate=1e-3)
    pretrain(single(told.training), told, RunFolder(tmp_path / "pretrained"))
    content = {
        "from": str(tmp_path / "pretrained"),
        "encoder": None,
        "head": {"class_path": "radiofix.models.heads.PositionHead"},
        "task": {"class_path": "radiofix.objectives.tasks.PositionTask"},
        "receiver": RECEIVER,
        "store": store,
        "split": "random",
        "labels": 20,
        "training": {"steps": 100, "batch": 10, "rate": 3e-3, "validate_every": 100},
    }
    finetune(
        single(told.training),
        read_recipe(FinetuneRecipe, content, "test"),
        RunFolder(tmp_path / "run"),
    )
    losses = column(tmp_path / "run", "loss")
    assert min(losses[-3:]) < 0.7 * losses[0]
