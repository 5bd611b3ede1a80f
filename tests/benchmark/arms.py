"""Networks of the SigMap bench as its runs build them."""

from dataclasses import replace

from radiofix.benchmark.runs.learned import chosen
from radiofix.benchmark.runs.networks import Network
from radiofix.benchmark.runs.outcomes import Run
from radiofix.benchmark.sigmap.methods import methods
from radiofix.benchmark.sigmap.protocols import BY_NAME
from radiofix.data.store import open_paths
from radiofix.models.site_map import CarriedMap
from radiofix.training.localizing import build_localizer
from radiofix.training.prompting import named, tell_map


def network(name):
    (found,) = chosen(methods(), [name])
    assert isinstance(found, Network)
    return found


def first(figure, split="region"):
    return BY_NAME[figure].at(split)[0].lesson


def prepared(site, name):
    """The method, once what it begins with is there."""
    method = network(name)
    for preparation in method.preparations(0):
        if not preparation.ready(site):
            preparation.make(site)
    return method


def carried(module):
    """The one map that a network carries; None: none."""
    found = [part for part in module.modules() if isinstance(part, CarriedMap)]
    assert len(found) <= 1
    return found[0].take() if found else None


def told(name, lesson, site):
    """The network as a run builds it, with the map that it is told."""
    recipe = network(name).recipe(Run(name, lesson, 0, 1e-3), site)
    module = build_localizer(replace(recipe, pretrained=None))
    tell_map(module, named(recipe), open_paths(site.store(lesson.users)))
    return module


def weights_of(module):
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
