"""SWiT's encoder: a token a subcarrier, gathered by class attention, scaled by what it has met."""

import numpy as np
import pytest
import torch
from torch import nn

from models.soundings import ANTENNAS, random_sounding, replaced
from radiofix.models.blocks import Block
from radiofix.models.swit import (
    ClassAttention,
    FrequencyPlace,
    LargestSeen,
    SwitEncoder,
    UnitPower,
    most_similar,
    planes,
)

DIM = 16


def encoder(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SwitEncoder(antennas=ANTENNAS, dim=DIM, **options).eval()


def test_the_published_sizes_make_3_59_million_parameters():
    dim, mlp = 384, 4 * 384
    block = 4 * (dim * dim + dim) + (dim * mlp + mlp) + (mlp * dim + dim) + 4 * dim
    tokens = (3 * 32 * dim + dim) + dim
    count = sum(p.numel() for p in SwitEncoder().parameters())
    assert count == tokens + 2 * block + 2 * dim == 3_587_328


def test_class_attention_is_the_formula():
    torch.manual_seed(0)
    layer = ClassAttention(8, 2)
    token, others = torch.randn(3, 8), torch.randn(3, 5, 8)
    weight = {name: p.detach().double().numpy() for name, p in layer.named_parameters()}

    def linear(x, name):
        return x @ weight[f"{name}.weight"].T + weight[f"{name}.bias"]

    def normed(x, name):
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred / spread * weight[f"{name}.weight"] + weight[f"{name}.bias"]

    for row in range(3):
        own = token[row].double().numpy()
        everyone = np.concatenate([own[None], others[row].double().numpy()])
        seen = normed(everyone, "before_attention")
        query, key_value = linear(seen[0], "query"), linear(seen, "key_value")
        mixed = np.empty(8)
        for head in (slice(0, 4), slice(4, 8)):
            key, value = key_value[:, :8][:, head], key_value[:, 8:][:, head]
            looks = np.exp(key @ query[head] / 2)
            mixed[head] = looks @ value / looks.sum()
        own = own + linear(mixed, "out")
        hidden = linear(normed(own, "before_network"), "network.0")
        hidden = torch.nn.functional.gelu(torch.from_numpy(hidden)).numpy()
        own = own + linear(hidden, "network.2")
        assert layer(token, others)[row].tolist() == pytest.approx(own.tolist(), abs=1e-5)


def test_the_summary_is_the_class_token_through_block_and_pooling():
    model, sounding = encoder(scale=UnitPower()), random_sounding(3)
    seen = planes(sounding.csi / sounding.csi.abs().square().mean((1, 2)).sqrt()[:, None, None])
    sequence = [model.summary.expand(3, -1)]
    for k in range(seen.shape[-1]):
        sequence.append(model.values(seen[..., k].flatten(1)))
    mixed = model.block(torch.stack(sequence, 1))
    latent = model(sounding)
    expected = model.norm(model.pool(mixed[:, 0], mixed[:, 1:]))
    torch.testing.assert_close(latent.summary, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(latent.tokens, model.norm(mixed[:, 1:]), rtol=1e-4, atol=1e-5)
    assert isinstance(model.block, Block)


def test_without_places_the_order_of_subcarriers_means_nothing_and_with_them_it_does():
    sounding = random_sounding(3)
    backward = sounding.with_csi(sounding.csi.flip(-1))
    published = encoder(scale=UnitPower())
    placed = encoder(scale=UnitPower(), place=FrequencyPlace(DIM))
    nn.init.normal_(placed.place.linear.weight)
    torch.testing.assert_close(
        published(backward).summary, published(sounding).summary, rtol=1e-4, atol=1e-5
    )
    assert (placed(backward).summary - placed(sounding).summary).abs().max() > 1e-3
    both = replaced(backward, frequency=sounding.frequency.flip(-1))
    torch.testing.assert_close(placed(both).summary, placed(sounding).summary, rtol=1e-4, atol=1e-5)


def test_channels_are_seen_over_the_largest_that_training_has_met():
    scale = LargestSeen()
    loud, soft = 4 * random_sounding(3, seed=1).csi, random_sounding(3, seed=2).csi
    assert float(scale.eval()(soft).abs().max()) == pytest.approx(1)
    first = scale.train()(loud)
    assert first.abs().amax((0, 2, 3)).tolist() == pytest.approx([1, 1, 1])
    largest = planes(loud).abs().amax((0, 2, 3))
    torch.testing.assert_close(scale(soft), planes(soft) / largest[:, None, None])
    scale.eval()(10 * loud)
    torch.testing.assert_close(scale.largest, largest)
    assert (LargestSeen()(torch.zeros_like(loud)) == 0).all()
    torch.testing.assert_close(UnitPower()(loud), UnitPower()(0.1 * loud))


def test_the_most_similar_are_chosen_among_the_nearest():
    tokens = torch.randn(2, 11, 4, generator=torch.Generator().manual_seed(0))
    chosen = most_similar(tokens, 6, 3)
    vectors = tokens.numpy()
    for link in range(2):
        for own in range(11):
            by_distance = sorted(
                (abs(other - min(max(own, 3), 7)), other) for other in range(11) if other != own
            )
            near = {other for _, other in by_distance[:6]}
            a = vectors[link, own]
            cosine = {
                n: a @ vectors[link, n] / np.linalg.norm(a) / np.linalg.norm(vectors[link, n])
                for n in near
            }
            best = sorted(near, key=lambda n: -cosine[n])[:3]
            assert chosen[link, own].tolist() == best
    with pytest.raises(ValueError, match="similar=3 of neighbours=6 of 6 tokens"):
        most_similar(tokens[:, :6], 6, 3)


def test_among_neighbours_a_token_gathers_from_them_and_the_summary_stays():
    model, sounding = encoder(), random_sounding(3)
    _, tokens = model._enriched(sounding)
    chosen = most_similar(tokens, 6, 3)
    latent = model.among_neighbours(sounding, 6, 3)
    torch.testing.assert_close(latent.summary, model(sounding).summary)
    for own in (0, 7, 15):
        others = torch.stack([tokens[link, chosen[link, own]] for link in range(3)])
        expected = model.norm(model.pool(tokens[:, own], others))
        torch.testing.assert_close(latent.tokens[:, own], expected, rtol=1e-4, atol=1e-5)


def test_another_array_is_refused_in_one_line():
    with pytest.raises(ValueError, match="csi of 8 antennas, but this encoder takes 32"):
        SwitEncoder()(random_sounding(2))
