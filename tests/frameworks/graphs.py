"""Original networks made of TensorFlow's own operations, as frozen graphs or checkpoints under
TF-Slim's names.
"""

from pathlib import Path

import golden_weights as golden
import numpy as np

STRIDES = (
    1,
    2,
    1,
    2,
    1,
    2,
    1,
    1,
    1,
    1,
    1,
    2,
    1,
)  # of the thirteen depthwise convolutions of MobileNet-v1


def mobilenet(
    path: Path,
    *,
    size: int | None = 128,
    epsilon: float = 1e-3,
    unrolled: bool = False,
    capped: bool = True,
    file_name: str | None = None,
    training: bool = False,
    resource: bool = False,
    version: str = "V2",
) -> None:
    """Write MobileNet-v1 0.25 with the weights of the recordings: frozen to a .pb, else a
    checkpoint with this prefix.

    epsilon: of the normalisation of layer 5's depthwise convolution; the others have 1e-3. capped:
    False makes the last activation a ReLU instead of a ReLU6. file_name: adds the contents of this
    file to the features. training: makes normalisation that of training. resource, version: kind of
    the variables, and of the checkpoint.
    """
    import tensorflow

    tf = tensorflow.compat.v1
    values = golden.weights(golden.recording("mobilenet_v1_025_128").meta)
    with tf.Graph().as_default() as graph, tf.Session() as session:

        def variable(name: str):
            return tf.get_variable(name, initializer=values[name], use_resource=resource)

        def normalised(x, scope: str):
            beta, gamma, mean, variance = (
                variable(f"{scope}/BatchNorm/{name}")
                for name in ("beta", "gamma", "moving_mean", "moving_variance")
            )
            own = epsilon if "5_depthwise" in scope else 1e-3
            if unrolled:
                return tf.nn.batch_normalization(
                    x, mean, variance, beta, gamma, own, name=f"{scope}/BatchNorm/batchnorm"
                )
            statistics = () if training else (mean, variance)
            return tf.nn.fused_batch_norm(
                x, gamma, beta, *statistics, epsilon=own, is_training=training
            )[0]

        images = tf.placeholder(tf.float32, (None, size, size, 3), "input")
        x = tf.nn.conv2d(images, variable("MobilenetV1/Conv2d_0/weights"), 2, "SAME")
        x = tf.nn.relu6(normalised(x, "MobilenetV1/Conv2d_0"))
        for number, stride in enumerate(STRIDES, start=1):
            scope = f"MobilenetV1/Conv2d_{number}_depthwise"
            x = tf.nn.depthwise_conv2d(
                x, variable(f"{scope}/depthwise_weights"), [1, stride, stride, 1], "SAME"
            )
            x = tf.nn.relu6(normalised(x, scope))
            scope = f"MobilenetV1/Conv2d_{number}_pointwise"
            x = normalised(tf.nn.conv2d(x, variable(f"{scope}/weights"), 1, "SAME"), scope)
            x = tf.nn.relu6(x) if capped or number < 13 else tf.nn.relu(x)
        x = tf.reduce_mean(x, [1, 2], keepdims=True)
        if file_name is not None:
            x = x + tf.strings.to_number(tf.io.read_file(file_name))
        scope = "MobilenetV1/Logits/Conv2d_1c_1x1"
        x = tf.nn.bias_add(
            tf.nn.conv2d(x, variable(f"{scope}/weights"), 1, "SAME"), variable(f"{scope}/biases")
        )
        x = tf.squeeze(x, [1, 2], name="MobilenetV1/Logits/SpatialSqueeze")
        tf.nn.softmax(x, name="MobilenetV1/Predictions/Softmax")
        tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        if path.suffix != ".pb":
            tf.train.Saver(write_version=getattr(tf.train.SaverDef, version)).save(
                session, str(path)
            )
            return
        freeze = tf.graph_util.convert_variables_to_constants
        frozen = freeze(session, graph.as_graph_def(), ["MobilenetV1/Predictions/Softmax"])
    path.write_bytes(frozen.SerializeToString())


def alexnet(path: Path, *, alpha: float, pool_first: bool = False, seed: int = 0) -> None:
    """Write AlexNet, frozen, as Kratzert's code builds it: grouped convolutions, and LRN with
    TensorFlow's own operation.
    """
    import tensorflow

    tf = tensorflow.compat.v1
    shapes = {"conv1": (11, 11, 3, 96), "conv2": (5, 5, 48, 256), "conv3": (3, 3, 256, 384)}
    shapes |= {"conv4": (3, 3, 192, 384), "conv5": (3, 3, 192, 256)}
    random = np.random.default_rng(seed)
    with tf.Graph().as_default() as graph:

        def variables(name: str, shape):
            kernel = (
                random.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[:-1]))
            ).astype(np.float32)
            parts = {"weights": kernel, "biases": np.zeros(shape[-1], np.float32)}
            return [
                tf.identity(tf.constant(value, name=f"{name}/{part}"), f"{name}/{part}/read")
                for part, value in parts.items()
            ]

        def convolved(x, name: str, *, stride: int = 1, padding: str = "SAME", groups: int = 1):
            weights, biases = variables(name, shapes[name])
            parts = (
                zip(tf.split(x, groups, 3), tf.split(weights, groups, 3), strict=True)
                if groups > 1
                else [(x, weights)]
            )
            outputs = [tf.nn.conv2d(part, kernel, stride, padding) for part, kernel in parts]
            joined = tf.concat(outputs, 3) if groups > 1 else outputs[0]
            return tf.nn.relu(tf.reshape(tf.nn.bias_add(joined, biases), tf.shape(joined)))

        def reduced(x):
            steps = [
                lambda x: tf.nn.lrn(x, 2, 1.0, alpha, 0.75),
                lambda x: tf.nn.max_pool(x, 3, 2, "VALID"),
            ]
            for step in reversed(steps) if pool_first else steps:
                x = step(x)
            return x

        x = tf.placeholder(tf.float32, (1, 227, 227, 3))
        x = reduced(convolved(x, "conv1", stride=4, padding="VALID"))
        x = reduced(convolved(x, "conv2", groups=2))
        x = convolved(convolved(x, "conv3"), "conv4", groups=2)
        x = tf.nn.max_pool(convolved(x, "conv5", groups=2), 3, 2, "VALID")
        x = tf.reshape(x, [-1, 6 * 6 * 256])
        for name, shape in (("fc6", (9216, 4096)), ("fc7", (4096, 4096)), ("fc8", (4096, 1000))):
            weights, biases = variables(name, shape)
            x = tf.nn.xw_plus_b(x, weights, biases, name=f"{name}/{name}")
            x = tf.nn.relu(x) if name != "fc8" else tf.nn.softmax(x, name="probabilities")
    path.write_bytes(graph.as_graph_def().SerializeToString())
