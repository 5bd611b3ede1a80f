"""Encoders that are told of the map: nothing of the backbone moves, and the map travels along."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from models.sites import STREET, heard, street
from models.soundings import random_sounding, random_truth
from radiofix.models.frame import FrameHead
from radiofix.models.localizer import Localizer
from radiofix.models.lwlm import LwlmEncoder
from radiofix.models.map_prompt import ConstantPrompter, SummedGraphPrompter
from radiofix.models.parts import Part
from radiofix.models.prompted import PromptedEncoder, ReadingEncoder, updated
from radiofix.models.radiofix import RadiofixEncoder
from radiofix.models.sigmap import SigmapEncoder
from radiofix.models.sigmap_heads import ClassTokenHead, DedicatedHeads, SigmapFusionHead
from radiofix.models.site_map import give_map
from radiofix.models.wall_prompt import WallPrompter, WallReader
from radiofix.training.adaptation import FullTuning, LowRank
from radiofix.training.optimizer import Average
from radiofix.training.prompting import PromptTuning

SMALL = {"dim": 16, "layers": 2, "heads": 2, "patch_antennas": 4, "patch_subcarriers": 8}


def backbone():
    torch.manual_seed(0)
    return RadiofixEncoder(**SMALL).eval()


def localizer(prompter=None):
    torch.manual_seed(1)
    encoder = PromptedEncoder(backbone(), prompter or WallPrompter(16, width=8))
    give_map(encoder, street())
    return Localizer(encoder, FrameHead(16))


def test_prompts_stand_behind_the_summary_and_are_no_part_of_the_tokens():
    encoder, sounding = backbone(), random_sounding()
    seen = []
    encoder.blocks[0].register_forward_hook(lambda _, given, __: seen.append(given[0]))
    plain = encoder(sounding)
    prompts = torch.randn(6, 3, 16, generator=torch.Generator().manual_seed(2))
    told = encoder(sounding, prompts)
    torch.testing.assert_close(seen[1][:, 1:4], prompts)
    # Neither the summary token nor the channel's tokens, their places in them, have moved.
    assert torch.equal(seen[1][:, [0, *range(4, seen[1].shape[1])]], seen[0])
    assert told.tokens.shape == plain.tokens.shape
    assert not torch.allclose(told.summary, plain.summary, atol=1e-3)


def test_a_prompt_is_attended_to_as_one_more_token():
    encoder, sounding = backbone(), random_sounding()
    patches = []
    encoder.blocks[0].register_forward_hook(lambda _, given, __: patches.append(given[0][:, 1:]))
    plain = encoder(sounding)
    # Tokens know their places themselves: in another order they give the same summary.
    half = patches[0].shape[1] // 2
    first, second = patches[0][:, :half], patches[0][:, half:]
    one = encoder(sounding, torch.cat([first, second], 1)).summary
    other = encoder(sounding, torch.cat([second, first], 1)).summary
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(one, plain.summary, atol=1e-4)


def test_an_encoder_without_room_for_prompts_and_a_wrong_width_are_refused():
    with pytest.raises(ValueError, match="LwlmEncoder takes no prompts"):
        PromptedEncoder(LwlmEncoder(8, 16, dim=16, layers=1, feedforward=8), ConstantPrompter(16))
    with pytest.raises(ValueError, match="prompts of width 8 do not fit an encoder of width 16"):
        PromptedEncoder(backbone(), ConstantPrompter(8))


def losses(module, steps=3):
    truth, sounding = random_truth(), heard()
    groups = PromptTuning().adapt(module.encoder)
    learning = [p for one in groups for _, _, p in one.parameters]
    adam = torch.optim.Adam([*learning, *module.head.parameters()], lr=1e-2)
    for _ in range(steps):
        adam.zero_grad()
        (module(sounding).position - truth.position).square().mean().backward()
        adam.step()


def test_prompt_tuning_leaves_the_backbone_bit_by_bit_and_moves_all_that_tells_of_the_map():
    for prompter in (WallPrompter(16, width=8), SummedGraphPrompter(16, width=8)):
        module = localizer(prompter)
        before = {k: v.clone() for k, v in module.encoder.state_dict().items()}
        losses(module)
        for name, value in module.encoder.state_dict().items():
            still = name.startswith("encoder.") or ".site." in name
            assert torch.equal(value, before[name]) is still, name


def test_a_frozen_backbone_drops_nothing_out_while_its_prompts_learn():
    class Dropping(torch.nn.Module):
        dim = 16

        def __init__(self):
            super().__init__()
            self.drop, self.weight = torch.nn.Dropout(), torch.nn.Linear(1, 1)

        def forward(self, sounding, prompts=None):
            raise NotImplementedError

    encoder = PromptedEncoder(Dropping(), ConstantPrompter(16))
    assert encoder.train().encoder.training
    PromptTuning().adapt(encoder)
    encoder.train()
    assert encoder.teller.training
    assert not encoder.encoder.training
    PromptTuning().settle(encoder)
    assert encoder.train().encoder.training


@pytest.mark.parametrize("adaptation", [FullTuning(0.5), LowRank(2)])
def test_any_adaptation_of_the_backbone_goes_with_prompts(adaptation):
    module = localizer()
    tuning = PromptTuning(adaptation)
    groups = tuning.adapt(module.encoder)
    teller = {id(p) for p in module.encoder.teller.parameters()}
    assert {id(p) for _, _, p in groups[-1].parameters} == teller
    rest = [p for one in groups[:-1] for _, _, p in one.parameters]
    assert rest
    assert not teller & {id(p) for p in rest}
    names = set(module.encoder.state_dict())
    tuning.settle(module.encoder)
    if isinstance(adaptation, LowRank):
        assert names != set(module.encoder.state_dict())
    assert set(module.encoder.state_dict()) == set(localizer().encoder.state_dict())


def test_a_recipe_names_prompt_tuning_and_what_becomes_of_the_backbone():
    low_rank = Part("radiofix.training.adaptation.LowRank", {"rank": 3}).plain
    named = Part("radiofix.training.prompting.PromptTuning", {"backbone": low_rank})
    assert named.build() == PromptTuning(LowRank(3))
    assert Part("radiofix.training.prompting.PromptTuning").build() == PromptTuning()
    with pytest.raises(ValueError, match="RadiofixEncoder has no prompts to tune"):
        PromptTuning().adapt(backbone())


def test_a_moving_average_of_the_weights_has_the_same_map():
    module = localizer()
    average = Average(module, 0.5)
    with torch.no_grad():
        module.encoder.teller.questions.add_(1.0)
    average.update(module)
    kept = average.module.encoder.teller
    torch.testing.assert_close(kept.tokens.site.walls, street().walls)
    torch.testing.assert_close(kept.questions, module.encoder.teller.questions - 0.5)


def test_updated_parameters_are_counted_by_hand():
    torch.manual_seed(0)
    module = Localizer(
        PromptedEncoder(RadiofixEncoder(), SummedGraphPrompter(128, width=32)), FrameHead(128)
    )
    PromptTuning().adapt(module.encoder)
    count = updated(module)
    embedding = 3 * 32 + 32 + 32 * 32 + 32
    assert count.teller == 2 * embedding + 2 * (2 * 32 * 32) + (32 * 32 + 32 + 32 * 128 + 128)
    assert count.backbone == 0
    assert count.head == 128 * 128 + 128 + 128 * 6 + 6
    whole = sum(p.numel() for p in module.encoder.parameters())
    assert count.share == count.teller / whole
    assert count.share_with_head == (count.teller + count.head) / (whole + count.head)
    both = count.teller + count.head
    assert str(count) == (
        f"learns {count.teller:,} of {whole:,} parameters beside the head "
        f"({100 * count.teller / whole:.3g} %), {both:,} with it "
        f"({100 * both / (whole + count.head):.3g} %)"
    )


def test_a_shipped_localizer_carries_its_map_and_takes_another():
    parts = {
        "encoder": Part("radiofix.models.radiofix.RadiofixEncoder", SMALL).plain,
        "prompter": Part("radiofix.models.wall_prompt.WallPrompter", {"width": 8}).plain,
    }
    recipe = Part("radiofix.models.prompted.PromptedParts", parts)
    torch.manual_seed(3)
    one, two = (Localizer(recipe.build(), FrameHead(16)).eval() for _ in range(2))
    assert give_map(one, street()) == 1
    sounding = heard()
    with pytest.raises(ValueError, match="give_map"):
        two.fix(sounding)
    two.load_state_dict(load(save({k: v.contiguous() for k, v in one.state_dict().items()})))
    torch.testing.assert_close(two.fix(sounding).position, one.fix(sounding).position)
    give_map(two, street(STREET[:3]))
    assert not torch.allclose(two.fix(sounding).position, one.fix(sounding).position, atol=1e-4)
    give_map(one, street(STREET[:3]))
    torch.testing.assert_close(two.fix(sounding).position, one.fix(sounding).position)


def test_a_localizer_saved_without_a_map_is_loaded_without_one():
    one = localizer()
    bare = Localizer(PromptedEncoder(backbone(), WallPrompter(16, width=8)), FrameHead(16))
    one.load_state_dict(load(save({k: v.contiguous() for k, v in bare.state_dict().items()})))
    with pytest.raises(ValueError, match="give_map"):
        one.fix(heard())


def test_a_reading_encoder_takes_any_encoder_and_starts_as_that_encoder():
    plain = backbone()
    encoder = ReadingEncoder(plain, WallReader(16, width=8)).eval()
    give_map(encoder, street())
    assert torch.equal(encoder(heard()).summary, plain(heard()).summary)
    assert encoder(heard()).wave is not None
    parts = {
        "encoder": Part("radiofix.models.radiofix.RadiofixEncoder", SMALL).plain,
        "reader": Part("radiofix.models.wall_prompt.WallReader", {"width": 8}).plain,
    }
    assert Part("radiofix.models.prompted.ReadingParts", parts).build().dim == 16


@pytest.mark.parametrize(
    ("size", "shares"),
    [
        ({}, (0.193, 1.22, 4.19, 4.43)),
        ({"dim": 128, "layers": 5, "heads": 4, "patch": (8, 8)}, (1.15, 4.32, 12.7, 13.3)),
    ],
    ids=["published", "laptop"],
)
def test_the_shares_that_the_page_states_are_those_of_sigmaps_sizes(size, shares):
    backbone = SigmapEncoder(**size)
    dim, four = backbone.dim, range(4)
    encoder = PromptedEncoder(backbone, SummedGraphPrompter(dim))
    PromptTuning().adapt(encoder)
    heads = (ClassTokenHead(dim), DedicatedHeads(four, dim), SigmapFusionHead(four, dim))
    counts = [updated(Localizer(encoder, head)) for head in heads]
    found = [counts[0].share, *(count.share_with_head for count in counts)]
    assert [float(f"{100 * share:.3g}") for share in found] == list(shares)
    page = (Path(__file__).parents[2] / "docs" / "map-prompts.md").read_text()
    assert f"{counts[0].teller:,}: {100 * counts[0].share:.2f} %" in page
    for count in counts[:2]:
        assert f"{count.learnt:,}: {100 * count.share_with_head:.3g} %" in page
