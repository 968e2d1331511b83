"""At full width a network has the variables of its published checkpoint, and no others."""

import pytest

import nets
from tests.nets.cases import ALL_NETWORKS, NETWORKS, PUBLISHED, create

# Parameters of the networks as published: spectral-norm vectors are not counted.
PARAMETERS = {
    "ebm_sngan_32": 4_204_800,
    "ebm_sngan_64": 19_542_720,
    "ebm_sngan_128": 38_419_136,
    "ebm_biggan_64": 1_850_041,
    "ebm_biggan_128": 3_774_469,
    "ebm_biggan_224": 4_289_605,
    "gen_sngan_32": 4_280_323,
    "gen_sngan_64": 12_226_563,
    "gen_sngan_128": 32_160_771,
    "gen_biggan_64": 35_645_249,
    "gen_biggan_128": 35_597_697,
    "gen_biggan_cond_128": 52_503_681,
    "gen_biggan_cond_256": 58_361_473,
    "clf_wrn_28_10": 36_507_242,
}
SAME_AS = {  # sizes that share a network
    ("ebm_biggan", 256): "ebm_biggan_224",
    ("gen_biggan_cond", 64): "gen_biggan_cond_128",
    ("gen_biggan_cond", 224): "gen_biggan_cond_256",
    ("clf_wrn", 32): "clf_wrn_28_10",
}


def row(kind: str, size: int) -> str:
    return SAME_AS.get((kind, size), f"{kind}_{size}")


def our_names(published: list) -> dict[str, tuple[int, ...]]:
    """Return shapes by our names: `w` and `layer/bias` beside a spectral vector `sn_u` are ours."""
    published = {n.removeprefix("layer_with_weights-0/"): tuple(shape) for n, shape in published}
    spectral = {name.removesuffix("/sn_u") for name in published if name.endswith("/sn_u")}
    renamed = {f"{layer}/w": f"{layer}/kernel" for layer in spectral}
    renamed |= {f"{layer}/layer/bias": f"{layer}/bias" for layer in spectral}
    return {
        renamed.get(name, name): shape
        for name, shape in published.items()
        if not name.endswith("/sn_u")
    }


def test_every_published_checkpoint_has_its_network():
    assert set(PARAMETERS) == set(PUBLISHED) <= {row(*network) for network in NETWORKS}


@pytest.mark.parametrize(("kind", "size"), [n for n in ALL_NETWORKS if row(*n.values) in PUBLISHED])
def test_names_shapes_and_totals_are_those_of_the_published_checkpoint(kind, size, monkeypatch):
    monkeypatch.setattr(nets, "start_weights", lambda *arguments, **options: None)  # not looked at
    model = create(kind, size)
    shapes = {v.path.split("/", 1)[1].replace(".", "/"): tuple(v.shape) for v in model.variables}
    assert shapes == our_names(PUBLISHED[row(kind, size)])
    assert len(shapes) == len(model.variables)
    assert model.count_params() == PARAMETERS[row(kind, size)]
