"""The map of `locate` beside the one that its model was told of."""

import dataclasses
import warnings

import pytest
import torch

from models.sites import STATIONS, street
from radiofix.models.echo_head import EchoHead
from radiofix.models.localizer import Localizer
from radiofix.models.radiofix import RadiofixEncoder
from radiofix.models.site_map import give_map
from radiofix.serving.right_map import expect_models_map
from serving.walks import small_model

POSITION = torch.tensor(STATIONS)


@pytest.fixture
def told():
    model = Localizer(RadiofixEncoder(16, 1, 2, 4, 8), EchoHead(16))
    give_map(model, street())
    return model


def test_the_models_own_map_and_models_without_one_are_taken_without_a_word(told):
    blank = Localizer(RadiofixEncoder(16, 1, 2, 4, 8), EchoHead(16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in (told, blank, small_model()):
            expect_models_map("street", street(), POSITION, model)


def test_walls_that_the_model_was_not_told_of_are_told(told):
    site_map = street()
    moved = dataclasses.replace(site_map, walls=site_map.walls + 2.0)
    with pytest.warns(UserWarning, match="street: has 0% of the walls round these stations"):
        expect_models_map("street", moved, POSITION, told)
    gone = site_map.only(torch.tensor([True, True, True, False]))
    with pytest.warns(UserWarning, match="street: has 75% of the walls"):
        expect_models_map("street", gone, POSITION, told)


def test_a_model_of_another_city_knows_no_wall_of_this_one(told):
    with pytest.warns(UserWarning, match="street: has 0% of the walls round these stations"):
        expect_models_map("street", street(), POSITION + 5_000.0, told)
