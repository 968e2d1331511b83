"""The losses: the energy difference of the EBM, the squared distance of the generator."""

import tensorflow as tf

from utils.devices.pieces import in_pieces
from utils.learning.learners import Learner


def learn_energy(
    learner: Learner,
    data: tf.Tensor,
    samples: tf.Tensor,
    *,
    temperature: float,
    num_replicas: int,
    pieces: int = 1,
) -> tf.Tensor:
    """Take a maximum-likelihood step of an EBM; return the energy difference of this replica, ().

    Minimises (mean f(data) - mean f(samples)) / temperature. Its gradient is that of the negative
    log-likelihood at this temperature, with `samples` as negative samples. Both are (b, h, w, c)
    around [-1, 1]. A piece of both passes the network as one batch; the gradients of pieces are
    summed in order.
    """

    def learned(number, data: tf.Tensor, samples: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            energies = learner.network(tf.concat([data, samples], axis=0))
            of_data, of_samples = tf.split(energies, [tf.shape(data)[0], tf.shape(samples)[0]])
            difference = (tf.reduce_mean(of_data) - tf.reduce_mean(of_samples)) / temperature
            loss = difference / (num_replicas * pieces)
        return difference, learner.gradient(tape, loss)

    differences, gradients = zip(*in_pieces(learned, pieces, data, samples), strict=True)
    learner.descend([tf.add_n(own) for own in zip(*gradients, strict=True)])
    return tf.add_n(differences) / pieces


def learn_generator(
    learner: Learner | None,
    tape: tf.GradientTape,
    generated: tf.Tensor | None,
    samples: tf.Tensor,
    num_replicas: int,
) -> tf.Tensor:
    """Take a step of the generator towards the samples; return the loss of this replica, ().

    Minimises the sum over pixels of (samples - G(z))^2, averaged over the batch, where z are the
    latents that the chains of `samples` (b, h, w, c) started from. This is cooperative learning
    (Xie et al. 2018, eq. 12), with the variance of the generator's noise as part of the learning
    rate. `generated` are the G(z), recorded on `tape`. If either is None, return 0.
    """
    if learner is None or generated is None:
        return tf.constant(0.0)
    with tape:
        loss = tf.reduce_mean(tf.reduce_sum(tf.square(samples - generated), axis=(1, 2, 3)))
        share = loss / num_replicas
    learner.descend(learner.gradient(tape, share))
    return loss
