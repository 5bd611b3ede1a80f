"""Prompts out of maps: Algorithm 1 against dense algebra, and walls in the station's own frame."""

import math
import warnings

import numpy as np
import pytest
import torch

from models.sites import ORIENTATIONS, STATIONS, STREET, heard, street, turned, turned_poses
from models.soundings import gradient
from radiofix.models.map_graph import map_graph
from radiofix.models.map_prompt import (
    ConstantPrompter,
    NormalisedGraphPrompter,
    SummedGraphPrompter,
)
from radiofix.models.site_map import give_map
from radiofix.models.surroundings import RAYS, look_around, surroundings
from radiofix.models.wall_prompt import WallPrompter, WallReader

POSES = torch.from_numpy(np.hstack([STATIONS, ORIENTATIONS]))


def made(kind, **sizes):
    torch.manual_seed(0)
    prompter = kind(**{"dim": 16, **sizes})
    give_map(prompter, street())
    return prompter


def array(parameter):
    return parameter.detach().double().numpy()


def two_layers(network, x):
    first, last = network[0], network[2]
    hidden = np.maximum(x @ array(first.weight).T + array(first.bias), 0)
    return hidden @ array(last.weight).T + array(last.bias)


def algorithm_1(prompter, graph, update):
    """Lines 2 to 11 with dense matrices, float64."""
    count = len(graph.place)
    adjacent = np.zeros((count, count))
    adjacent[tuple(graph.edge.numpy())] = 1
    place = graph.place.numpy() / 100
    station = graph.station.numpy()[:, None]
    known = np.where(
        station, two_layers(prompter.station, place), two_layers(prompter.vertex, place)
    )
    for layer in prompter.layers:
        known = np.maximum(update(layer, known, adjacent), 0)
    return two_layers(prompter.projection, known.mean(0))


def summed(layer, known, adjacent):
    own, others = array(layer.lin_root.weight), array(layer.lin_rel.weight)
    return known @ own.T + adjacent @ known @ others.T


def normalised(layer, known, adjacent):
    looped = adjacent + np.eye(len(adjacent))
    root = np.diag(looped.sum(1) ** -0.5)
    return root @ looped @ root @ known @ array(layer.lin.weight).T


@pytest.mark.parametrize(
    ("kind", "update"),
    [(SummedGraphPrompter, summed), (NormalisedGraphPrompter, normalised)],
)
def test_graph_prompts_are_those_of_dense_matrices(kind, update):
    prompter = made(kind, prompts=2, width=12)
    expected = algorithm_1(prompter, map_graph(street()), update)
    prompts = prompter(heard())
    assert prompts.shape == (6, 2, 16)
    # Both stations hear the same four houses: one graph, one prompt.
    for link in prompts.detach().numpy():
        np.testing.assert_allclose(link.ravel(), expected, rtol=2e-4, atol=2e-5)


def test_every_parameter_of_a_graph_prompt_learns():
    prompter = made(SummedGraphPrompter, width=12)
    prompter(heard()).square().sum().backward()
    assert min(gradient(prompter).values()) > 0


def test_a_wider_radius_takes_in_more_of_the_city_and_none_but_the_station_is_still_a_graph():
    narrow, wide = made(SummedGraphPrompter, radius=6.0), made(SummedGraphPrompter)
    assert not torch.allclose(narrow(heard())[0], narrow(heard())[1], atol=1e-4)
    torch.testing.assert_close(wide(heard())[0], wide(heard())[1])
    far = heard(POSES + torch.tensor([9000.0, 0, 0, 0, 0, 0]))
    with pytest.warns(UserWarning, match="has no building of the model's map within 400 m"):
        lost = wide(far)
    assert lost.isfinite().all()


def test_a_station_that_the_map_does_not_know_is_a_node_of_its_graph():
    prompter = made(SummedGraphPrompter)
    prompter(heard())
    pose = POSES[:1] + torch.tensor([1.0, 0, 0, 0, 0, 0])
    graph = prompter.graphs.views(pose)[0]
    assert graph.station.sum() == 3
    assert prompter.graphs.views(POSES)[0].station.sum() == 2


def test_stations_with_the_same_around_them_share_one_graph_and_others_keep_theirs(monkeypatch):
    prompter = made(SummedGraphPrompter)
    poses = torch.cat([POSES[:1] + torch.tensor([1.0, 0, 0, 0, 0, 0]), POSES])
    alone = torch.cat([prompter(heard(pose[None]))[:1] for pose in poses])
    read, counted = prompter.read, []

    def counting(graphs):
        counted.append(graphs.graphs)
        return read(graphs)

    monkeypatch.setattr(prompter, "read", counting)
    links = heard(poses)
    together = prompter(links)
    assert counted == [2]
    own = (links.station_position[:, None] - poses[None, :, :3]).norm(dim=-1).argmin(1)
    assert own.unique().tolist() == [0, 1, 2]
    torch.testing.assert_close(together, alone[own])
    assert not torch.allclose(alone[0], alone[1], atol=1e-5)


def test_of_a_coarse_graph_it_is_told_once_how_far_corners_are_moved():
    prompter = made(SummedGraphPrompter, most=8)
    moved = map_graph(street(), most=8).moved
    told = rf"into 8 vertices, .* by up to {moved:.1f} m: give a larger `most`"
    with pytest.warns(UserWarning, match=told):
        prompter(heard())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prompter(heard(POSES[:1]))
    give_map(prompter, street())
    with pytest.warns(UserWarning, match=told):
        prompter(heard())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(SummedGraphPrompter)(heard())


def test_another_map_gives_another_prompt_and_what_was_kept_of_the_old_one_is_forgotten():
    for kind in (SummedGraphPrompter, NormalisedGraphPrompter, WallPrompter):
        prompter = made(kind)
        before = prompter(heard())
        give_map(prompter, street(STREET[:3]))
        assert not torch.allclose(before, prompter(heard()), atol=1e-5)
        give_map(prompter, street())
        torch.testing.assert_close(before, prompter(heard()))


def test_a_prompter_without_a_map_says_so():
    with pytest.raises(ValueError, match="give_map"):
        WallPrompter(16)(heard())


def test_the_constant_prompt_is_the_same_for_every_link_and_learns():
    prompter = ConstantPrompter(16, prompts=3)
    prompts = prompter(heard())
    assert prompts.shape == (6, 3, 16)
    assert (prompts == prompts[0]).all()
    prompts.sum().backward()
    assert (prompter.tokens.grad == 6).all()


def inside_a_square(half, tops):
    """Four walls round the origin, seen from inside a courtyard: broadside, left, behind, right."""
    corners = torch.tensor([[1.0, -1], [1, 1], [-1, 1], [-1, -1]], dtype=torch.float64) * half
    walls = torch.stack([corners, corners.roll(-1, 0)], 1)
    return walls, torch.tensor([[0.0, top] for top in tops], dtype=torch.float64)


def test_looks_round_a_square_court_meet_its_walls_at_half_over_the_cosine():
    walls, levels = inside_a_square(20.0, [5.0, 10.0, 15.0, 40.0])
    looks = look_around(walls, levels, 64, 400.0)
    angle = 2 * math.pi * (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    expected = 20 / torch.maximum(angle.cos().abs(), angle.sin().abs())
    torch.testing.assert_close(looks.distance, expected)
    quarter = ((angle + math.pi / 4) / (math.pi / 2)).floor().long() % 4
    assert torch.equal(looks.wall, quarter)
    torch.testing.assert_close(looks.skyline, levels[quarter, 1] / expected)


def test_a_tower_behind_a_low_wall_makes_the_skyline_and_beyond_the_radius_is_nothing():
    walls = torch.tensor([[[10.0, -50], [10, 50]], [[30, -50], [30, 50]]], dtype=torch.float64)
    levels = torch.tensor([[0.0, 2.0], [0, 30]], dtype=torch.float64)
    looks = look_around(walls, levels, 4, 400.0)
    ahead = torch.tensor([True, False, False, True])
    assert torch.equal(looks.wall, torch.tensor([0, -1, -1, 0]))
    torch.testing.assert_close(looks.distance[ahead], torch.full((2,), 10 * 2**0.5).double())
    torch.testing.assert_close(looks.skyline, torch.where(ahead, 30 / (30 * 2**0.5), 0.0).double())
    assert (look_around(walls, levels, 4, 12.0).wall == -1).all()


def test_walls_are_told_as_a_station_in_a_street_sees_them():
    site_map = street()
    pose = torch.tensor([0.0, 0, 6, math.pi / 2, 0, 0], dtype=torch.float64)
    around = surroundings(site_map.around(pose[:3]), pose, 400.0, 20, 8)
    assert around.present.sum() == 16
    assert (around.walls[16:] == 0).all()
    shown = around.walls[:16]
    seen = shown[:, 15] > 0
    assert seen[: int(seen.sum())].all()
    # The house to the south, 10 m behind: its wall runs from x = -60 to 20, 10 m above the station.
    south = (shown[:, :4] * 100 - torch.tensor([-10.0, -20, -10, 60])).abs().amax(1) < 1e-3
    row = shown[south.nonzero()[0, 0]]
    np.testing.assert_allclose(row[4:6] * 20, [-6, 10], rtol=1e-5)
    np.testing.assert_allclose(row[6:8], [-1, 0], atol=1e-6)
    np.testing.assert_allclose(row[8:10], [1, 0], atol=1e-6)
    np.testing.assert_allclose(row[12] * 100, 10, rtol=1e-5)
    np.testing.assert_allclose(row[10:12], math.log1p(10) / 5, rtol=1e-5)
    np.testing.assert_allclose(row[13], math.log1p(80) / 5, rtol=1e-5)
    # The shares of the looks that meet a wall are those of all looks that meet any.
    assert float(shown[:, 14].sum() / 10) == pytest.approx(
        float((look_around(*in_street(site_map, pose), 8 * RAYS, 400.0).wall >= 0).float().mean())
    )


def in_street(site_map, pose):
    from radiofix.models.surroundings import in_frame

    return in_frame(site_map, pose)


@pytest.mark.parametrize("angle", [0.7, -2.0, math.pi])
def test_moving_and_turning_scene_and_station_together_changes_nothing(angle):
    by = (812.0, -333.0, 12.0)
    prompter, reader = made(WallPrompter), made(WallReader)
    torch.nn.init.normal_(reader.answer.weight)
    summary = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    sounding, poses = heard(), turned_poses(POSES, angle, by)
    told, read = prompter(sounding), reader(summary, sounding)
    for part in (prompter, reader):
        give_map(part, turned(street(), angle, by))
    torch.testing.assert_close(prompter(heard(poses)), told, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(reader(summary, heard(poses)), read, atol=2e-5, rtol=1e-4)


def test_prompts_of_walls_depend_on_where_a_station_stands_and_looks():
    prompter = made(WallPrompter)
    prompts = prompter(heard())
    assert prompts.shape == (6, 8, 16)
    torch.testing.assert_close(prompts[0], prompts[2])
    assert not torch.allclose(prompts[0], prompts[1], atol=1e-3)
    looking = POSES + torch.tensor([0.0, 0, 0, 1.0, 0, 0])
    assert not torch.allclose(prompter(heard(looking))[0], prompts[0], atol=1e-3)


def test_walls_that_are_not_there_are_not_asked():
    roomy, tight = made(WallPrompter, walls=64), made(WallPrompter, walls=16)
    tight.load_state_dict(roomy.state_dict())
    torch.testing.assert_close(roomy(heard()), tight(heard()))


def test_every_parameter_of_the_walls_prompts_learns():
    prompter = made(WallPrompter)
    prompter(heard()).square().sum().backward()
    assert min(gradient(prompter).values()) > 0


def test_a_reader_changes_nothing_at_first_and_then_asks_what_each_summary_wants():
    reader = made(WallReader)
    summary = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reader(summary, heard()), summary)
    torch.nn.init.normal_(reader.answer.weight)
    read = reader(summary, heard()) - summary
    # Links 0 and 2 have one station, and ask differently.
    assert not torch.allclose(read[0], read[2], atol=1e-3)
    again = reader(summary[[0]], heard(links=1)) - summary[[0]]
    torch.testing.assert_close(again, read[[0]], atol=1e-5, rtol=1e-4)
