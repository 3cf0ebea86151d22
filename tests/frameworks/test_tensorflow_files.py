"""Files that TensorFlow itself writes: frozen graphs and checkpoints of both versions give back
each variable.
"""

import numpy as np
import pytest

from model_ports.convert import sources
from model_ports.errors import InputError

pytestmark = pytest.mark.frameworks

SHAPES = {
    "net/conv/weights": (3, 3, 3, 8),
    "net/conv/BatchNorm/beta": (8,),
    "net/conv/BatchNorm/moving_mean": (8,),
}
SHAPES |= {"net/conv/BatchNorm/gamma": (8,), "net/conv/BatchNorm/moving_variance": (8,)}
ARRAYS = {
    name: np.random.default_rng(1).uniform(0.5, 1, shape).astype(np.float32)
    for name, shape in SHAPES.items()
}


@pytest.fixture(
    scope="module", params=["reference variables, fused", "resource variables, unrolled"]
)
def files(request, tmp_path_factory):
    """A folder with one small network, frozen, unfrozen and as checkpoints."""
    import tensorflow

    tf = tensorflow.compat.v1
    folder = tmp_path_factory.mktemp("tensorflow")
    resource = request.param.startswith("resource")
    with tf.Graph().as_default() as graph, tf.Session() as session:
        variables = {
            name: tf.get_variable(name, initializer=array, use_resource=resource)
            for name, array in ARRAYS.items()
        }
        kernel, *norm = variables.values()
        beta, mean, gamma, variance = norm
        tf.get_variable(
            "global_step", initializer=np.int64(3), trainable=False, use_resource=resource
        )
        features = tf.nn.conv2d(
            tf.placeholder(tf.float32, (None, 8, 8, 3), "input"), kernel, 2, "SAME"
        )
        if resource:
            features = tf.nn.batch_normalization(features, mean, variance, beta, gamma, 1e-3)
        else:
            features = tf.nn.fused_batch_norm(
                features, gamma, beta, mean, variance, 1e-3, is_training=False
            )[0]
        tf.reduce_mean(tf.nn.relu(features), [1, 2], name="logits")
        session.run(tf.global_variables_initializer())
        whole = graph.as_graph_def()
        frozen = tensorflow.compat.v1.graph_util.convert_variables_to_constants(
            session, whole, ["logits"]
        )
        (folder / "frozen.pb").write_bytes(frozen.SerializeToString())
        (folder / "unfrozen.pb").write_bytes(whole.SerializeToString())
        for version in ("V1", "V2"):
            saver = tf.train.Saver(write_version=getattr(tf.train.SaverDef, version))
            saver.save(session, str(folder / f"{version}.ckpt"))
    return folder


@pytest.mark.parametrize("name", ["frozen.pb", "V1.ckpt", "V2.ckpt"])
def test_each_variable_comes_back(files, name):
    found = sources.read(files / name)
    assert found.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        np.testing.assert_array_equal(found[key], array)


def test_an_unfrozen_graph_is_refused(files):
    with pytest.raises(InputError, match="unfrozen.pb is not frozen"):
        sources.read(files / "unfrozen.pb")


def test_a_damaged_checkpoint_of_version_1_is_refused(files):
    whole = (files / "V1.ckpt").read_bytes()
    damaged = files / "damaged.ckpt"
    damaged.write_bytes(whole[:60] + bytes(40) + whole[100:])
    with pytest.raises(InputError, match="damaged.ckpt is damaged") as caught:
        sources.read(damaged)
    assert "\n" not in str(caught.value)
