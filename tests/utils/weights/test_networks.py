"""One way from a path to a network, for every network of a config."""

import numpy as np
import pytest

from utils.errors import UserError
from utils.weights.files import save_weights
from utils.weights.networks import CLASSIFIER, EBM, GENERATOR, network_at

SHAPE = [32, 32, 3]
CASES = {  # role, its config, the sizes in its file
    "ebm": (EBM, {"net_type": "ebm_sngan"}, {"width": 4}),
    "generator": (GENERATOR, {"gen_type": "gen_sngan"}, {"width": 4, "z_sz": 8}),
    "classifier": (CLASSIFIER, {"clf_type": "wrn", "num_classes": 3}, {"width": 1, "depth": 10}),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    """Return a role, a network of it, and a config that names its weights but none of its sizes."""
    role, own, sizes = CASES[request.param]
    config = {"image_dims": SHAPE, role.path: "", **own}
    network = network_at(role, {**config, **{role.sizes[name]: sizes[name] for name in sizes}})
    network.variables[0].assign_add(network.variables[0] + 1)
    path = str(tmp_path / "net.weights.h5")
    save_weights(network, path, {"type": config[role.type], "image_dims": SHAPE, **sizes})
    return role, network, {**config, role.path: path}


def test_a_network_is_what_its_weights_say(case):
    role, network, config = case
    loaded = network_at(role, config)
    assert [variable.path for variable in loaded.variables] == [v.path for v in network.variables]
    for one, other in zip(loaded.variables, network.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_a_path_it_is_as_built(case):
    role, network, config = case
    sizes = {key: getattr(network, name) for name, key in role.sizes.items()}
    built = network_at(role, {**config, role.path: None, **sizes})
    assert np.abs(np.asarray(built.variables[0]) - np.asarray(network.variables[0])).max() > 0.5


def test_a_config_that_asks_for_another_size_is_refused(case):
    role, _, config = case
    key = role.sizes["width"]
    with pytest.raises(UserError, match=rf"'{role.path}' .* {key} \d, but '{key}' is 8: set"):
        network_at(role, {**config, key: 8})
