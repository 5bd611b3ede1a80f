"""ResNet-34 has its published size, sees real and imaginary parts, stacks stations as planes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from miniature import write_miniature
from models.soundings import gradient, normal, random_sounding, random_truth, replaced
from radiofix.models.frame import FrameHead
from radiofix.models.heads import AoaHead, FusionHead, PositionHead, ToaHead
from radiofix.models.latent import unit_power
from radiofix.models.resnet import BasicBlock, ResNet34, ResNetEncoder, StackedResNetEncoder, parts
from radiofix.training.checkpoints import RunFolder
from radiofix.training.finetune import finetune
from radiofix.training.launch import single
from radiofix.training.recipe import FinetuneRecipe, read_recipe

STATIONS = (7, 2, 5)


def count(module):
    return sum(p.numel() for p in module.parameters())


def made(kind, *arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(*arguments)


@pytest.fixture(scope="module")
def encoder():
    return made(ResNetEncoder).eval()


@pytest.fixture(scope="module")
def stacked():
    return made(StackedResNetEncoder, STATIONS).eval()


def several():
    """Users 4 and 9 with links to some of the stations, rows mixed."""
    sounding = random_sounding(5)
    user, station = torch.tensor([9, 4, 9, 4, 9]), torch.tensor([5, 7, 7, 2, 2])
    return replaced(sounding, user=user, station=station)


def test_the_size_is_the_originals_and_with_two_coordinates_the_papers(encoder, stacked):
    stem = 64 * 7 * 7
    body, inputs = 0, 64
    for width, blocks in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
        first = 9 * inputs * width + 9 * width**2 + 4 * width
        around = 0 if inputs == width else inputs * width + 2 * width
        body += first + around + (blocks - 1) * (18 * width**2 + 4 * width)
        inputs = width
    assert count(made(ResNet34, 3)) == 3 * stem + 128 + body == 21_797_672 - 513_000
    assert count(encoder) == 2 * stem + 128 + body == 21_281_536
    assert count(encoder) + count(nn.Linear(512, 2)) == 21_282_562
    assert count(stacked) == count(encoder) + 4 * stem


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 2)])
def test_a_block_is_two_convolutions_and_a_way_around(inputs, outputs, stride):
    block = made(BasicBlock, inputs, outputs, stride).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    x = torch.randn(2, inputs, 6, 8)

    def normed(layer, values, step, padding):
        kernel, norm = layer
        found = F.conv2d(values, kernel.weight, stride=step, padding=padding)
        shift, width = norm.running_mean[:, None, None], norm.running_var[:, None, None]
        return (found - shift) / (width + 1e-5).sqrt()

    updated = normed(block.second, normed(block.first, x, stride, 1).relu(), 1, 1)
    around = x if inputs == outputs else normed(block.around, x, stride, 0)
    torch.testing.assert_close(block(x), (updated + around).relu(), rtol=1e-4, atol=1e-5)


def test_every_stage_but_the_first_halves_the_map_and_the_summary_is_its_mean(encoder):
    csi = normal(2, 32, 128)
    features = encoder.network.pool(encoder.network.stem(parts(csi[:, None])).relu())
    shapes = [tuple(features.shape[1:])]
    for stage in encoder.network.stages:
        features = stage(features)
        shapes.append(tuple(features.shape[1:]))
    assert shapes == [(64, 8, 32), (64, 8, 32), (128, 4, 16), (256, 2, 8), (512, 1, 4)]
    latent = encoder.network(parts(csi[:, None]))
    torch.testing.assert_close(latent.tokens, features[:, :, 0].transpose(1, 2))
    torch.testing.assert_close(latent.summary, features.mean((2, 3)))


def test_planes_are_real_and_imaginary_parts_at_unit_power(encoder):
    sounding = random_sounding(4)
    planes = parts(unit_power(sounding.csi)[:, None])
    assert torch.equal(planes, torch.stack([unit_power(sounding.csi).real, planes[:, 1]], 1))
    assert planes.square().sum(1).mean((1, 2)).tolist() == pytest.approx([1.0] * 4, rel=1e-5)
    latent = encoder(sounding)
    torch.testing.assert_close(latent.summary, encoder.network(planes).summary)
    louder = encoder(sounding.with_csi(30 * sounding.csi)).summary
    torch.testing.assert_close(louder, latent.summary, rtol=1e-3, atol=1e-5)
    turned = encoder(sounding.with_csi(1j * sounding.csi)).summary
    assert (turned - latent.summary).abs().max() > 1e-2


def test_a_link_is_encoded_by_itself(encoder):
    sounding = random_sounding(4)
    whole = encoder(sounding).summary
    torch.testing.assert_close(encoder(sounding[2:3]).summary, whole[2:3], rtol=1e-4, atol=1e-5)


def test_a_station_has_its_own_planes_and_missing_ones_are_zero(stacked):
    sounding = several()
    unit = unit_power(sounding.csi)
    zero = torch.zeros_like(unit[0])
    four = torch.stack([unit[1], unit[3], zero])
    nine = torch.stack([unit[2], unit[4], unit[0]])
    expected = stacked.network(parts(torch.stack([four, nine])))
    planes = parts(torch.stack([four, nine]))
    for place in range(3):
        assert torch.equal(planes[0, 2 * place], four[place].real)
        assert torch.equal(planes[0, 2 * place + 1], four[place].imag)
    latent = stacked(sounding)
    rows = torch.tensor([1, 0, 1, 0, 1])
    torch.testing.assert_close(latent.summary, expected.summary[rows])
    torch.testing.assert_close(latent.tokens, expected.tokens[rows])


def test_the_order_of_rows_means_nothing_and_their_stations_do(stacked):
    sounding = several()
    latent = stacked(sounding).summary
    order = torch.tensor([4, 3, 0, 1, 2])
    torch.testing.assert_close(stacked(sounding[order]).summary, latent[order])
    exchanged = replaced(sounding, station=torch.tensor([7, 7, 5, 2, 2]))
    assert (stacked(exchanged).summary[0] - latent[0]).abs().max() > 1e-3
    torch.testing.assert_close(stacked(exchanged).summary[1], latent[1])


def test_a_station_without_planes_or_with_two_links_is_refused_in_one_line(stacked):
    sounding = several()
    stranger = replaced(sounding, station=torch.tensor([5, 7, 8, 2, 2]))
    with pytest.raises(ValueError, match=r"station 8 has no planes, only \[7, 2, 5\] have"):
        stacked(stranger)
    twice = replaced(sounding, station=torch.tensor([5, 7, 5, 2, 2]))
    with pytest.raises(ValueError, match="user 9 has two links to station 5 in one batch"):
        stacked(twice)
    with pytest.raises(ValueError, match=r"stations=\[1, 1\] must be"):
        StackedResNetEncoder([1, 1])


@pytest.mark.parametrize("kind", [PositionHead, ToaHead, AoaHead, FrameHead])
def test_every_head_reads_it_and_gradient_reaches_every_weight(kind):
    encoder = made(ResNetEncoder)
    head, sounding, truth = kind(encoder.dim), random_sounding(6), random_truth(6)
    head.fit([sounding], [truth])
    output = head(encoder(sounding), sounding)
    number = output if isinstance(output, torch.Tensor) else output.position
    scale = getattr(output, "scale", None)
    number = number.double().square().sum() + (0 if scale is None else scale.square().sum())
    assert number.isfinite()
    number.backward()
    assert min(gradient(encoder).values()) > 0
    assert min(gradient(head).values()) > 0


@pytest.mark.parametrize(
    ("encoder", "head", "task"),
    [
        ({"class_path": "radiofix.models.resnet.ResNetEncoder"}, PositionHead, "PositionTask"),
        (
            {
                "class_path": "radiofix.models.resnet.StackedResNetEncoder",
                "init_args": {"stations": [0, 1]},
            },
            FusionHead,
            "FusedPositionTask",
        ),
    ],
)
def test_fine_tuning_learns(tmp_path, encoder, head, task):
    estimator = {"class_path": "radiofix.models.heads.PositionHead", "init_args": {"dim": 512}}
    content = {
        "encoder": encoder,
        "head": {"class_path": f"radiofix.models.heads.{head.__name__}"},
        "task": {"class_path": f"radiofix.objectives.tasks.{task}"},
        "receiver": {"bandwidths": [50e6], "antennas": 8, "subcarriers": 16},
        "store": str(write_miniature(tmp_path / "store.zarr")),
        "split": "random",
        "labels": 30,
        "training": {"steps": 15, "batch": 15, "rate": 1e-3, "validate_every": 15, "log_every": 5},
    }
    if head is FusionHead:
        content["head"]["init_args"] = {"estimator": estimator}
    recipe = read_recipe(FinetuneRecipe, content, "test")
    finetune(single(recipe.training), recipe, RunFolder(tmp_path / "run"))
    lines = (tmp_path / "run" / "training.csv").read_text().splitlines()
    column = lines[0].split(",").index("loss")
    losses = [float(line.split(",")[column]) for line in lines[1:]]
    assert losses[-1] < 0.7 * losses[0]
