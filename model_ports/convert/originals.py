"""The original networks themselves: TensorFlow graphs, executed by TensorFlow on the CPU, to hold a port against.

A frozen graph, or the graph beside a checkpoint (`checkpoint_graph`). Only what the logits need is imported, and only if each
of its operations is one that an image classifier's forward pass is made of. `originals_keras` and `originals_torch` have an
`Original` of the same attributes and methods each. TensorFlow is imported when a graph is opened.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from model_ports.convert import checkpoint_graph, frameworks, frozen_graph, graph_layers, sources
from model_ports.convert.double_graph import widened
from model_ports.convert.protobuf import Malformed
from model_ports.errors import InputError
from model_ports.preprocessing import PREPROCESSING
from model_ports.registry import ModelSpec

BATCH = 4
_ARITHMETIC = frozenset(
    "Const Identity NoOp Placeholder PlaceholderWithDefault StopGradient Cast"
    " Conv2D DepthwiseConv2dNative MatMul BatchMatMul BatchMatMulV2 BiasAdd"
    " Add AddV2 AddN Sub Mul RealDiv Div Neg Square Sqrt Rsqrt Pow Maximum Minimum Floor"
    " Relu Relu6 Softmax LogSoftmax LRN FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3"
    " MaxPool AvgPool Mean Sum Max Prod"
    " Concat ConcatV2 Split SplitV Pack Unpack Pad PadV2 Reshape Squeeze ExpandDims Transpose Shape Slice StridedSlice Fill Range".split()
)


class Original:
    """A graph that was opened for execution; images (N, S, S, 3) of [0, 1] in, raw logits (N, outputs) out.

    `size` is the S that its placeholder or the caller asks for, None if neither; `input` and `logits` are names of tensors;
    `outputs` is the number of logits; `layers`: path of each layer in the port -> name of its node.
    """

    least_tolerances = (
        1e-7,
        1e-7,
    )  # relative, of logits and gradient: what constants of single precision leave in double

    def __init__(
        self, path: str | Path, spec: ModelSpec, *, size: int | None = None, double: bool = False
    ):
        """Raises InputError for anything but a graph of this model with its weights, for other operations, and without TensorFlow."""
        self.path = Path(path)
        self._spec = spec
        values = {}
        if sources.find(path).format == "frozen graph":
            frozen_graph.read(self.path)  # refuses what is damaged, not frozen, or reaches outside
            content = frozen_graph.content(self.path)
        else:
            self.path = sources.find(path).path
            content = checkpoint_graph.graph(self.path)
            values = sources.read(self.path)
        try:
            nodes = {
                node.name: checkpoint_graph.frozen(node)
                for node in frozen_graph.nodes(content)
                if not node.inside_function
            }
        except Malformed as error:
            raise InputError(f"{path} is cut short ({error}); copy it again") from None
        layers = graph_layers.find(nodes.values(), spec.weight_map, str(path))
        for name in layers.order:
            if nodes[name].op not in _ARITHMETIC:
                what = f"an operation {nodes[name].op!r} ({name!r}), which no forward pass of these networks has"
                raise InputError(
                    f"{path} has {what}; nothing was executed: give the graph of this very model, made for inference"
                )
        entries = [name for name in layers.order if nodes[name].op.startswith("Placeholder")]
        wanted = [name for name in ("input", "Placeholder") if name in entries] or entries
        if len(wanted) != 1:
            raise InputError(
                f"{path} has {len(entries)} placeholders before its logits {entries[:5]}; one for the images is needed"
            )
        self.layers = layers.of_port
        self.input, self.logits = f"{wanted[0]}:0", f"{layers.logits}:0"
        self._start(content, values, set(layers.order), double)
        if size is not None and self.size not in (None, size):
            raise InputError(
                f"--input_size is {size}, but {path} takes {self.size} pixels; leave it out"
            )
        self.size = self.size or size

    def _start(
        self, content: memoryview, values: dict[str, np.ndarray], wanted: set[str], double: bool
    ) -> None:
        tf = frameworks.tensorflow().compat.v1
        from google.protobuf.message import DecodeError

        try:
            whole = tf.GraphDef.FromString(bytes(content))
        except DecodeError as error:
            raise InputError(f"{self.path} is damaged ({error}); copy it again") from None
        graph = tf.GraphDef(versions=whole.versions)
        for node in whole.node:
            if node.name in wanted:
                checkpoint_graph.freeze(node, values)
                node.device = ""
                node.attr.pop("_class", None)  # where it was to be placed
                if node.op.startswith("FusedBatchNorm") and (
                    "is_training" not in node.attr or node.attr["is_training"].b
                ):
                    raise InputError(
                        f"{self.path}: {node.name} normalises by the batch; give a graph made for inference"
                    )
                graph.node.append(node)
        del whole
        kind = tf.float64 if double else tf.float32
        self._graph = tf.Graph()
        try:
            with self._graph.as_default():
                tf.import_graph_def(widened(graph) if double else graph, name="")
                self._images = self._graph.get_tensor_by_name(self.input)
                output = self._graph.get_tensor_by_name(self.logits)
                self._outputs = tf.reshape(output, [-1, output.shape[-1]])
                self._weights = tf.placeholder(kind, self._outputs.shape)
                [self._gradient] = tf.gradients(
                    tf.reduce_sum(self._outputs * self._weights), self._images
                )
                if self._gradient is None:
                    raise TypeError(
                        f"its logits have no gradient with respect to {self.input}, of type {self._images.dtype.name}"
                    )
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"{self.path} cannot be made ready for execution: {' '.join(str(error).split())[:200]}"
            ) from None
        shape = self._images.shape
        self.size = None if shape.rank is None else shape[1]
        self.outputs = self._outputs.shape[-1]
        self._batch = None if shape.rank is None else shape[0]
        config = tf.ConfigProto(device_count={"GPU": 0})
        config.graph_options.rewrite_options.disable_meta_optimizer = (
            True  # as it stands; rewriting AlexNet takes minutes
        )
        self._session = tf.Session(graph=self._graph, config=config)

    def logits_and_gradient(
        self, pixels: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Raw logits (N, outputs), and the gradient of each image's sum of weights * logits; weights (N, outputs)."""
        images, pull_back = self._preprocessed(pixels)
        batch = self._batch or BATCH
        parts = []
        for start in range(0, len(images), batch):
            rows = np.arange(start, start + batch)
            rows = rows.clip(max=len(images) - 1) if self._batch else rows[rows < len(images)]
            feed = {self._images: images[rows], self._weights: weights[rows]}
            logits, gradient = self._run([self._outputs, self._gradient], feed)
            parts.append((logits[: len(images) - start], gradient[: len(images) - start]))
        [gradient] = pull_back(np.concatenate([part[1] for part in parts]))
        return np.concatenate([part[0] for part in parts]), np.asarray(gradient)

    def outputs_of_layers(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Path of each layer in the port -> what it puts out for one image (1, S, S, 3), in the graph's order."""
        fetched = {path: f"{name}:0" for path, name in self.layers.items()}
        images, _ = self._preprocessed(pixels)
        found = self._run(fetched, {self._images: np.repeat(images, self._batch or 1, axis=0)})
        return {path: found[path][:1] for path in fetched}

    def _preprocessed(self, pixels: np.ndarray) -> tuple[np.ndarray, Any]:
        """What the graph takes, and the function that takes a gradient back to the pixels."""
        images, pull_back = jax.vjp(PREPROCESSING[self._spec.preprocessing], pixels)
        return np.asarray(images), pull_back

    def _run(self, fetched: Any, feed: dict) -> Any:
        errors = frameworks.tensorflow().errors
        try:
            return self._session.run(fetched, feed)
        except (errors.OpError, ValueError) as error:
            raise InputError(
                f"{self.path} cannot be executed: {' '.join(str(error).split())[:200]}"
            ) from None

    def close(self) -> None:
        self._session.close()
