import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.devices.strategy import make_strategy
from utils.learning.learners import create_learner, row_at
from utils.learning.losses import learn_energy, learn_generator

SHAPE = (4, 4, 3)


def _network(seed: int = 0, outputs: int = 1) -> keras.Model:
    """A small smooth energy, (b, 4, 4, 3) -> (b, 1)."""
    start = keras.initializers.RandomNormal(stddev=0.3, seed=seed)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(7, activation="tanh", kernel_initializer=start),
        keras.layers.Dense(outputs, kernel_initializer=start),
    ]
    network = keras.Sequential(layers)
    network.build((None, *SHAPE))
    return network


def _learner(network: keras.Model, kind: str = "sgd", rate: float = 0.1, **others):
    return create_learner(network, kind=kind, rates=[[rate, 0]], **others)


def _batches(seed: int, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.Generator(np.random.Philox(seed))
    return tuple(tf.constant(rng.normal(size=(count, *SHAPE)), tf.float32) for _ in range(2))


def test_the_row_with_the_largest_start_not_after_the_update_holds():
    rows = [["a", 0], ["b", 10], ["c", 20]]
    assert [row_at(rows, u)[0] for u in (0, 9, 10, 19, 20, 10**6)] == ["a", "a", "b", "b", "c", "c"]


def test_energy_difference_is_that_of_the_means_over_the_temperature():
    network = _network()
    data, samples = _batches(1, 6)
    expected = (np.mean(network(data)) - np.mean(network(samples))) / 0.01
    learner = _learner(network)
    learner.set_rate(0)
    found = learn_energy(learner, data, samples, temperature=0.01, num_replicas=1)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_swapped_data_and_samples_flip_the_sign_and_the_step():
    data, samples = _batches(2, 6)
    steps = []
    for first, second in ((data, samples), (samples, data)):
        network = _network()
        before = [v.numpy() for v in network.trainable_variables]
        learner = _learner(network)
        learner.set_rate(0)
        diff = learn_energy(learner, first, second, temperature=1.0, num_replicas=1)
        after = [v.numpy() for v in network.trainable_variables]
        steps.append((float(diff), [b - a for a, b in zip(before, after, strict=True)]))
    assert steps[0][0] == pytest.approx(-steps[1][0], rel=1e-5)
    for one, other in zip(steps[0][1], steps[1][1], strict=True):
        np.testing.assert_allclose(one, -other, atol=1e-6)


def test_learning_lowers_the_energy_of_data_against_samples():
    network = _network()
    data, samples = _batches(3, 16)
    learner = _learner(network, rate=0.01)
    learner.set_rate(0)
    diffs = [
        float(learn_energy(learner, data, samples, temperature=1.0, num_replicas=1))
        for _ in range(10)
    ]
    assert diffs[-1] < diffs[0]


def _learn_on(replicas: int, kind: str, data: tf.Tensor, samples: tf.Tensor):
    """Return energy differences and weights after three updates on equal parts of one batch."""
    strategy = make_strategy("cpu", replicas)
    with strategy.scope():
        learner = _learner(_network(), kind, rate=0.05)
    learner.set_rate(0)

    def on_replica():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        part = [tf.stack(tf.split(batch, replicas))[replica] for batch in (data, samples)]
        return learn_energy(learner, *part, temperature=0.1, num_replicas=replicas)

    @tf.function
    def update():
        return strategy.reduce("MEAN", strategy.run(on_replica), axis=None)

    diffs = [float(update()) for _ in range(3)]
    return diffs, [variable.numpy() for variable in learner.network.trainable_variables]


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_two_replicas_take_the_step_of_one_on_the_joint_batch(kind):
    data, samples = _batches(4, 8)
    one_diffs, one_weights = _learn_on(1, kind, data, samples)
    two_diffs, two_weights = _learn_on(2, kind, data, samples)
    # Two sums of four against one of eight: float32 rounding.
    np.testing.assert_allclose(one_diffs, two_diffs, rtol=1e-4)
    for one, two in zip(one_weights, two_weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pieces", [2, 4])
def test_learning_by_pieces_takes_the_step_of_the_whole_batch(pieces):
    data, samples = _batches(4, 8)
    results = []
    for count in (1, pieces):
        learner = _learner(_network(), "sgd", rate=0.05)
        learner.set_rate(0)
        learn = tf.function(functools.partial(learn_energy, learner, pieces=count))
        difference = learn(data, samples, temperature=0.1, num_replicas=1)
        results.append([difference, *learner.network.trainable_variables])
    for whole, cut in zip(*results, strict=True):
        np.testing.assert_allclose(whole, cut, rtol=1e-5, atol=1e-6)  # float32 sums in other orders


@pytest.mark.parametrize("replicas", [1, 2])
def test_each_variables_gradient_is_clipped_on_each_replica_before_the_sum(replicas):
    strategy = make_strategy("cpu", replicas)
    with strategy.scope():
        network = _network()
        learner = _learner(network, rate=1.0, max_grad_norm=1e-3)
    learner.set_rate(0)
    before = [v.numpy() for v in network.trainable_variables]
    parts = [_batches(5 + replica, 6) for replica in range(replicas)]
    inputs = strategy.experimental_distribute_values_from_function(
        lambda context: parts[context.replica_id_in_sync_group]
    )

    @tf.function
    def step(inputs):
        options = {"temperature": 1e-3, "num_replicas": replicas}
        strategy.run(lambda batch: learn_energy(learner, *batch, **options), (inputs,))

    step(inputs)
    clipped = [_clipped_gradients(_network(), *part, 1e-3 * replicas) for part in parts]
    for old, new, *gradients in zip(before, network.trainable_variables, *clipped, strict=True):
        np.testing.assert_allclose(new, old - sum(gradients), rtol=1e-4, atol=1e-7)


def _clipped_gradients(network, data, samples, temperature) -> list[np.ndarray]:
    """Return each variable's gradient of the energy difference, of a norm of 1e-3 at most."""
    with tf.GradientTape() as tape:
        means = (tf.reduce_mean(network(images)) for images in (data, samples))
        difference = tf.subtract(*means) / temperature
    gradients = [g.numpy() for g in tape.gradient(difference, network.trainable_variables)]
    norms = [np.linalg.norm(gradient) for gradient in gradients]
    assert max(norms) > 1e-3
    return [g * min(1, 1e-3 / n) if n else g for g, n in zip(gradients, norms, strict=True)]


def test_generator_learns_the_mean_over_images_of_the_squared_errors_sum():
    gen = keras.Sequential(
        [keras.layers.Dense(48, kernel_initializer="zeros"), keras.layers.Reshape(SHAPE)]
    )
    gen.build((None, 5))
    rng = np.random.Generator(np.random.Philox(0))
    latents = tf.constant(rng.normal(size=(6, 5)), tf.float32)
    samples, _ = _batches(6, 6)
    learner = _learner(gen, rate=1e-3)
    learner.set_rate(0)
    losses = []
    for _ in range(2):
        with tf.GradientTape() as tape:
            generated = gen(latents)
        losses.append(float(learn_generator(learner, tape, generated, samples, 1)))
    assert losses[0] == pytest.approx(np.sum(np.square(samples)) / 6, rel=1e-5)
    assert losses[1] < losses[0]


def test_rates_follow_the_schedule_and_what_rollbacks_left_of_it():
    learner = create_learner(_network(), kind="adam", rates=[[1e-3, 0], [1e-4, 5]])
    assert [learner.set_rate(u) for u in (0, 4, 5)] == [1e-3, 1e-3, 1e-4]
    learner.set_rate(0, scale=0.25)
    assert float(learner.optimizer.learning_rate.numpy()) == pytest.approx(2.5e-4)


def test_moving_average_starts_at_the_initial_weights_and_follows():
    network = _network()
    learner = _learner(network, decay=0.9)
    expected = network.trainable_variables[0].numpy()
    for step in range(3):
        network.trainable_variables[0].assign_add(tf.ones((48, 7)) * (step + 1))
        learner.average.update()
        expected = 0.9 * expected + 0.1 * network.trainable_variables[0].numpy()
    np.testing.assert_allclose(learner.average.averages[0], expected, rtol=1e-6)
    raw = network.trainable_variables[0].numpy()
    with learner.average.applied():
        np.testing.assert_allclose(network.trainable_variables[0].numpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(network.trainable_variables[0].numpy(), raw)


def test_parts_restore_a_learner_to_the_last_bit():
    data, samples = _batches(7, 6)
    learners = [_learner(_network(seed), "adam", 0.01, decay=0.9) for seed in (0, 1)]

    def step(learner):
        learner.set_rate(0)
        learn_energy(learner, data, samples, temperature=0.1, num_replicas=1)
        learner.average.update()

    step(learners[0])
    parts = learners[0].parts("ebm")
    assert list(parts) == ["ebm", "ebm_optimizer", "ebm_average"]
    for name, part in learners[1].parts("ebm").items():
        part.restore({key: array.copy() for key, array in parts[name].state().items()})
    for learner in learners:
        step(learner)
    for name, part in learners[1].parts("ebm").items():
        for key, array in part.state().items():
            np.testing.assert_array_equal(array, parts[name].state()[key])
