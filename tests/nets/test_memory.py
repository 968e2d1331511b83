"""What the largest energy network needs."""

import subprocess
import sys

import pytest

CODE = """
import resource
import tensorflow as tf
from nets import create_ebm

ebm = create_ebm({"net_type": "ebm_biggan", "image_dims": [224, 224, 3]})
x = tf.random.stateless_uniform([4, 224, 224, 3], [0, 0], -1, 1)

@tf.function
def gradient(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(ebm(x))
    return tape.gradient(total, x)

for _ in range(2):
    assert gradient(x).shape == x.shape
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kilobytes on Linux only")
def test_the_input_gradient_of_4_images_at_224_pixels_fits_in_8_gigabytes(repository):
    python = [sys.executable, "-c", CODE]
    run = subprocess.run(python, cwd=repository, capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 8e9
