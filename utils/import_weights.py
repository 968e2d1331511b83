"""Convert published weights to the project's own format, `.weights.h5`.

    python3 -m utils.import_weights SOURCE TARGET.weights.h5 --net gen_sngan_32

SOURCE is the prefix of a published TensorFlow checkpoint (`ebm_140000.ckpt`) or a PyTorch generator
(`utils.weights.pytorch`). A config may name such a prefix directly, without conversion. PyTorch
files must be converted.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import utils.before_tensorflow

import keras

from nets import EBMS, GENERATORS, create_clf, create_ebm, create_gen
from utils.config.command_line import Parser, path, whole_number
from utils.errors import UserError, one_line_errors
from utils.weights.files import network_info, save_weights
from utils.weights.foreign import TORCH_ENDINGS
from utils.weights.published import assign, load_weights
from utils.weights.pytorch import read_torch


def network_names() -> list[str]:
    """Return the values of `--net`: every network type with every image size, and `wrn`."""
    networks = {**EBMS, **GENERATORS}
    return [f"{kind}_{size}" for kind, (_, sizes) in networks.items() for size in sizes] + ["wrn"]


def create_named(name: str, sizes: Mapping[str, Any]) -> tuple[keras.Model, dict[str, Any]]:
    """Return the network that `--net` names, and the description for its weights file."""
    if name == "wrn":
        dims = [32, 32, sizes["channels"]]
        info = {"type": "wrn", "image_dims": dims, "classes": sizes["classes"]}
        own = {"clf_depth": sizes["depth"], "clf_width": sizes["width"]}
        model = create_clf({**info, **own, "num_classes": sizes["classes"]})
        return model, {**info, "depth": model.depth, "width": model.width}
    kind, size = name.rsplit("_", 1)
    info = {"type": kind, "image_dims": [int(size), int(size), sizes["channels"]]}
    if kind in EBMS:
        model = create_ebm({**info, "net_type": kind, "ebm_width": sizes["width"]})
        return model, {**info, "width": model.width}
    gen = {"gen_type": kind, "gen_width": sizes["width"], "z_sz": sizes["z_sz"]}
    model = create_gen({**info, **gen})
    return model, {**info, "width": model.width, "z_sz": model.z_sz}


@one_line_errors
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Parser(
        prog="python3 -m utils.import_weights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", type=path, help="prefix of a TensorFlow checkpoint, or a PyTorch file"
    )
    parser.add_argument("target", type=path, help="file to write, NAME.weights.h5")
    parser.add_argument(
        "--net", required=True, choices=network_names(), help="network type and image size"
    )
    parser.add_argument(
        "--width", type=whole_number(1), help="width of the network, default: the published one"
    )
    parser.add_argument(
        "--depth", type=whole_number(10), help="depth of a wrn, default: the published one"
    )
    parser.add_argument(
        "--z_sz", type=whole_number(1), default=128, help="latent size of a generator (128)"
    )
    parser.add_argument(
        "--classes", type=whole_number(2), default=10, help="number of classes of a wrn (10)"
    )
    parser.add_argument(
        "--channels", type=int, default=3, choices=(1, 3), help="channels of the images (3)"
    )
    arguments = parser.parse_args(argv)
    convert(arguments.source, arguments.target, arguments.net, vars(arguments))


def convert(source: str, target: str, net: str, sizes: Mapping[str, Any]) -> None:
    """Write the weights at `source` as `target`.

    Raises UserError if the source is missing or damaged, or does not fit the network `net`.
    """
    if not target.endswith(".weights.h5"):
        raise UserError(f"the target {target} must end in .weights.h5")
    try:
        model, info = create_named(net, sizes)
    except ValueError as error:
        raise UserError(str(error)) from error
    if source.endswith(".h5") and network_info(source):
        raise UserError(f"{source} is in the project's format already: configs take it as it is")
    if source.endswith(TORCH_ENDINGS):
        assign(model, read_torch(source), source)
    else:
        load_weights(model, source)
    save_weights(model, target, info)
    print(f"{target}: {model.name}, {model.count_params():,} parameters")


if __name__ == "__main__":
    main()
