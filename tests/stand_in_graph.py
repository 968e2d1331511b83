"""A small graph with the input, output and peculiarities of `classify_image_graph_def.pb`."""

import numpy as np
import tensorflow as tf

DIM, CONV_SIZE = 8, 149
EPSILON = 1e-3


def parameters() -> dict[str, np.ndarray]:
    """Return the weights of the stand-in, float32."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(2015)))
    shapes = {"kernel": (3, 3, 3, DIM), "mean": (DIM,), "beta": (DIM,), "gamma": (DIM,)}
    drawn = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    drawn["variance"] = rng.uniform(0.5, 2, DIM)
    return {name: array.astype(np.float32) for name, array in drawn.items()}


def stand_in_graph() -> tf.compat.v1.GraphDef:
    """Return JPEG -> ExpandDims -> resize to 299, scale, conv, old batch norm, relu -> pool_3.

    As in the original, the batch size is fixed to 1, the resize has no half-pixel centres, and the
    batch norm is the operation that newer graphs may not hold.
    """
    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default():
        contents = v1.placeholder(tf.string, [], name="DecodeJpeg/contents")
        image = tf.cast(tf.io.decode_jpeg(contents, 3, name="DecodeJpeg"), tf.float32, name="Cast")
        x = tf.expand_dims(image, 0, name="ExpandDims")
        x = tf.raw_ops.ResizeBilinear(images=x, size=[299, 299], name="ResizeBilinear")
        x = tf.multiply(tf.subtract(x, 128.0, name="Sub"), 1 / 128, name="Mul")
        for name, array in parameters().items():
            tf.constant(array, name=f"conv/{name}")
        kernel = graph.get_tensor_by_name("conv/kernel:0")
        x = tf.raw_ops.Conv2D(
            input=x, filter=kernel, strides=[1, 2, 2, 1], padding="VALID", name="conv/Conv2D"
        )
        x = tf.nn.relu(x, name="conv")
        pool = [1, CONV_SIZE, CONV_SIZE, 1]
        x = tf.nn.avg_pool(x, pool, [1, 1, 1, 1], "VALID", name="pool_3")
        tf.reshape(x, [1, DIM], name="pool_3/_reshape")
    definition = graph.as_graph_def()
    _insert_old_batch_norm(definition)
    definition.versions.producer = 8  # the last version with that operation
    definition.versions.min_consumer = 0
    return definition


def _insert_old_batch_norm(definition: tf.compat.v1.GraphDef) -> None:
    node = definition.node.add()
    node.name, node.op = "conv/batchnorm", "BatchNormWithGlobalNormalization"
    node.input.extend(["conv/Conv2D", "conv/mean", "conv/variance", "conv/beta", "conv/gamma"])
    node.attr["T"].type = tf.float32.as_datatype_enum
    node.attr["variance_epsilon"].f = EPSILON
    node.attr["scale_after_normalization"].b = True
    relu = next(node for node in definition.node if node.name == "conv")
    relu.input[0] = "conv/batchnorm"
