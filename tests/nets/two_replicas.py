"""Compare a generator's training call on two replicas with one on their joint batch.

    python3 -m tests.nets.two_replicas gen_sngan

prints the largest differences of images and moving statistics, and how far the latter moved.
"""

import json
import sys

import numpy as np
import tensorflow as tf

from tests.nets.cases import create_small, weights_of


def main(kind: str) -> None:
    """Print the comparison as JSON."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    alone = create_small(kind, 64)
    start = weights_of(alone)
    with strategy.scope():
        together = create_small(kind, 64)
    z = alone.sample_latents(8, tf.constant([1, 2]))
    images = alone(z, training=True).numpy()
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: z[4 * context.replica_id_in_sync_group :][:4]
    )

    @tf.function
    def step(z):
        return strategy.run(lambda z: together(z, training=True), (z,))

    shared = np.concatenate(strategy.experimental_local_results(step(halves)))
    joint, expected = weights_of(together), weights_of(alone)
    statistics = [name for name in start if "moving" in name]
    errors = {
        "images": np.abs(shared - images).max(),
        "statistics": max(np.abs(joint[n] - expected[n]).max() for n in statistics),
        "moved": min(np.abs(joint[n] - start[n]).max() for n in statistics),
    }
    print(json.dumps({name: float(value) for name, value in errors.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
