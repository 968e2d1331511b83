"""Evaluation chains: images by their number in the evaluation, whatever batch they come in.

Latents and noise of an image are streams of (seed, image number), so packing, batch size and
replicas change nothing.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nets import create_ebm, create_gen
from utils.checkpoint import network_info
from utils.errors import UserError
from utils.import_weights import load_weights
from utils.langevin import langevin, make_potential
from utils.seeds import Purpose, fold

Sampler = Callable[[np.ndarray], np.ndarray]


def image_keys(seed: int, purpose: Purpose, numbers: tf.Tensor) -> tf.Tensor:
    """Return the (b, 2) int32 seeds of images' streams, by their numbers (b,)."""
    return tf.map_fn(
        lambda number: fold(seed, purpose, number),
        tf.cast(numbers, tf.int32),
        fn_output_signature=tf.TensorSpec([2], tf.int32),
    )


def make_image_noise(keys: tf.Tensor, like: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return step -> standard normal noise `like` the images (b, h, w, c), each of its own key."""

    def noise(step: tf.Tensor) -> tf.Tensor:
        def draw(key: tf.Tensor) -> tf.Tensor:
            key = tf.random.fold_in(key, step, alg="philox")
            return tf.random.stateless_normal(like.shape[1:], key, dtype=like.dtype, alg="philox")

        signature = tf.TensorSpec(like.shape[1:], like.dtype)
        return tf.map_fn(draw, keys, fn_output_signature=signature)

    return noise


def load_sampler(ebm_weights: str, gen_weights: str | None, *, seed: int = 0) -> Sampler:
    """Return image numbers (b,) -> samples (b, h, w, 3): the chain that the EBM was trained with.

    Chains start at the generator's images where there is a generator, else at uniform noise, and
    take the steps that the weights file says. Raises UserError for weights that do not say them, or
    whose chain had a prior beside the EBM.
    """
    info = _sampler_info(ebm_weights)
    chain, shape = info["chain"], info["image_dims"]
    ebm = create_ebm({"net_type": info["type"], "image_dims": shape, "ebm_width": info["width"]})
    load_weights(ebm, ebm_weights)
    start = _generated(gen_weights, shape, seed) if gen_weights else _uniform(shape, seed)
    potential = make_potential(ebm, chain["temperature"], tau=chain["tau"])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def sample(numbers: tf.Tensor) -> tf.Tensor:
        images = start(numbers)
        return langevin(
            images,
            potential,
            num_steps=chain["steps"],
            epsilon=chain["epsilon"],
            noise=make_image_noise(image_keys(seed, Purpose.EVALUATION, numbers), images),
            max_norm=chain["max_norm"],
        ).images

    return lambda numbers: sample(tf.convert_to_tensor(numbers, tf.int32)).numpy()


def _sampler_info(ebm_weights: str) -> dict:
    info = network_info(ebm_weights) or {}
    if "chain" not in info:
        raise UserError(f"weights {ebm_weights} do not say the chain they were trained with")
    if info["chain"].get("prior_temperature") is not None:
        raise UserError(f"weights {ebm_weights} belong to a prior EBM, which these chains lack")
    return info


def _generated(gen_weights: str, shape: list[int], seed: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return numbers -> the generator's images, of latents that belong to the numbers."""
    info = network_info(gen_weights) or {}
    if info.get("image_dims") != shape:
        raise UserError(f"weights {gen_weights} are not of a generator of {shape} images")
    sizes = {"gen_width": info["width"], "z_sz": info["z_sz"]}
    gen = create_gen({"gen_type": info["type"], "image_dims": shape, **sizes})
    load_weights(gen, gen_weights)

    def start(numbers: tf.Tensor) -> tf.Tensor:
        latents = tf.map_fn(
            lambda key: gen.sample_latents(1, key)[0],
            image_keys(seed, Purpose.LATENTS, numbers),
            fn_output_signature=tf.TensorSpec([info["z_sz"]], tf.float32),
        )
        return gen(latents, training=False)

    return start


def _uniform(shape: list[int], seed: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return numbers -> uniform noise in [-1, 1]."""

    def draw(key: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, key, -1, 1, alg="philox")

    return lambda numbers: tf.map_fn(
        draw,
        image_keys(seed, Purpose.NOISE_IMAGES, numbers),
        fn_output_signature=tf.TensorSpec(shape, tf.float32),
    )
