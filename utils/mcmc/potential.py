"""The potential of chains: the EBM, the prior and the Gaussian term."""

from collections.abc import Callable

import tensorflow as tf

Potential = Callable[[tf.Tensor], tf.Tensor]


def make_potential(
    energy: Potential,
    temperature: float,
    *,
    prior: Potential | None = None,
    prior_temperature: float | None = None,
    tau: float | None = None,
    joint_temperature: float = 1.0,
) -> Potential:
    """Return U: (b, h, w, c) images -> (b,) potential of each image.

    U(x) = f(x)/temperature + f_prior(x)/prior_temperature + |x|^2/(2 tau^2), without the terms that
    are None. With a prior, `joint_temperature` divides the sum of the first two terms, not the
    Gaussian term; without a prior it has no effect. Networks return (b, 1).
    """

    def potential(images: tf.Tensor) -> tf.Tensor:
        value = energy(images)[:, 0] / temperature
        if prior is not None:
            # A prior always comes with its temperature.
            of_prior = prior(images)[:, 0] / prior_temperature  # pyright: ignore[reportOperatorIssue]
            value = (value + of_prior) / joint_temperature
        if tau is not None:
            value += tf.reduce_sum(tf.square(images), axis=(1, 2, 3)) / (2 * tau**2)
        return value

    return potential
