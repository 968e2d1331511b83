"""What learning minimises: the energy difference of the EBM, the distance of the generator."""

import tensorflow as tf

from utils.learning.learners import Learner


def learn_energy(
    learner: Learner,
    data: tf.Tensor,
    samples: tf.Tensor,
    *,
    temperature: float,
    num_replicas: int,
) -> tf.Tensor:
    """Take the maximum-likelihood step of an EBM; return this replica's energy difference.

    Minimises (mean f(data) - mean f(samples)) / temperature, whose gradient is that of the negative
    log-likelihood at temperature `temperature` with `samples` as negative samples. Both are
    (b, h, w, c); they pass the network as one batch.
    """
    with tf.GradientTape() as tape:
        energies = learner.network(tf.concat([data, samples], axis=0))
        of_data, of_samples = tf.split(energies, [tf.shape(data)[0], tf.shape(samples)[0]])
        difference = (tf.reduce_mean(of_data) - tf.reduce_mean(of_samples)) / temperature
        loss = difference / num_replicas
    learner.descend(tape, loss)
    return difference


def learn_generator(
    learner: Learner | None,
    latents: tf.Tensor,
    samples: tf.Tensor,
    *,
    training: bool,
    num_replicas: int,
) -> tf.Tensor:
    """Let a generator follow the chains; return this replica's loss.

    Minimises the sum over pixels of (samples - G(z))^2, averaged over the batch, for the latents
    (b, z) that the chains of `samples` (b, h, w, c) started from (cooperative learning, Xie et al.
    2018, eq. 12, with the variance of the generator's noise left to the learning rate). Without a
    learner there is nothing to do, and the loss is 0.
    """
    if learner is None:
        return tf.constant(0.0)
    with tf.GradientTape() as tape:
        errors = tf.reduce_sum(
            tf.square(samples - learner.network(latents, training=training)), axis=(1, 2, 3)
        )
        loss = tf.reduce_mean(errors)
        share = loss / num_replicas
    learner.descend(tape, share)
    return loss
