"""The original TensorFlow networks, which TensorFlow executes on the CPU to compare a port with
them.

The graph is a frozen one, or the one of a checkpoint (`checkpoint_graph`). Only nodes that the
logits need are imported. Each must be an operation that the forward pass of an image classifier can
have.

`originals_keras` and `originals_torch` each have a class `Original` with the same attributes and
methods. TensorFlow is imported when a graph is opened.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from model_ports.convert import checkpoint_graph, frameworks, frozen_graph, graph_layers, sources
from model_ports.convert.double_graph import widened
from model_ports.convert.protobuf import Malformed
from model_ports.errors import InputError, said
from model_ports.preprocessing import PREPROCESSING
from model_ports.registry import ModelSpec

BATCH = 4
_ARITHMETIC = frozenset(
    "Const Identity NoOp Placeholder PlaceholderWithDefault StopGradient Cast"
    " Conv2D DepthwiseConv2dNative MatMul BatchMatMul BatchMatMulV2 BiasAdd"
    " Add AddV2 AddN Sub Mul RealDiv Div Neg Square Sqrt Rsqrt Pow Maximum Minimum Floor"
    " Relu Relu6 Softmax LogSoftmax LRN FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3"
    " MaxPool AvgPool Mean Sum Max Prod Concat ConcatV2 Split SplitV Pack Unpack Pad PadV2 Reshape "
    "Squeeze ExpandDims Transpose Shape Slice StridedSlice Fill Range".split()
)


class Original:
    """A graph that is ready for execution. It maps images (N, S, S, 3) in [0, 1] to raw logits (N,
    outputs).

    Attributes:
        size: the S that the graph or the caller requires, in pixels; None if neither does.
        input: the name of the input tensor.
        logits: the name of the logits' tensor.
        outputs: the number of logits.
        layers: the node of each layer, by its path in the port.
        least_tolerances: the relative differences of logits and gradient that remain in double
            precision, because the graph's constants have single precision.
    """

    least_tolerances = (1e-7, 1e-7)

    def __init__(
        self, path: str | Path, spec: ModelSpec, *, size: int | None = None, double: bool = False
    ):
        """Open a graph.

        Args:
            path: a frozen graph, or the prefix of a checkpoint with its .meta.
            spec: the network.
            size: the side of the images, in pixels; None for what the graph requires.
            double: True to execute the graph in double precision.

        Raises:
            InputError: if the file is not a graph of this network with its weights, if it has other
                operations, or if TensorFlow is not installed.
        """
        self.path = Path(path)
        self._spec = spec
        values = {}
        if sources.find(path).format == "frozen graph":
            frozen_graph.read(self.path)  # refuses damaged, unfrozen and unsafe graphs
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
                what = (
                    f"an operation {nodes[name].op!r} ({name!r}), which no forward pass of these "
                    "networks has"
                )
                raise InputError(
                    f"{path} has {what}; nothing was executed: give the graph of this very "
                    "model, made for inference"
                )
        entries = [name for name in layers.order if nodes[name].op.startswith("Placeholder")]
        wanted = [name for name in ("input", "Placeholder") if name in entries] or entries
        if len(wanted) != 1:
            raise InputError(
                f"{path} has {len(entries)} placeholders before its logits {entries[:5]}; one for "
                "the images is needed"
            )
        self.layers = layers.of_port
        self.input = f"{wanted[0]}:0"
        self.logits = f"{layers.logits}:0"
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
                node.attr.pop("_class", None)  # this asks for a device
                if node.op.startswith("FusedBatchNorm") and (
                    "is_training" not in node.attr or node.attr["is_training"].b
                ):
                    raise InputError(
                        f"{self.path}: {node.name} normalises by the batch; give a graph made for "
                        "inference"
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
                        f"its logits have no gradient with respect to {self.input}, of type "
                        f"{self._images.dtype.name}"
                    )
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"{self.path} cannot be made ready for execution: {said(error)}"
            ) from None
        shape = self._images.shape
        self.size = None if shape.rank is None else shape[1]
        self.outputs = self._outputs.shape[-1]
        self._batch = None if shape.rank is None else shape[0]
        config = tf.ConfigProto(device_count={"GPU": 0})
        # The graph is executed unchanged. Rewriting AlexNet's takes minutes.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = tf.Session(graph=self._graph, config=config)

    def logits_and_gradient(
        self, pixels: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute logits and a gradient.

        Args:
            pixels: (N, S, S, 3) in [0, 1].
            weights: (N, outputs).

        Returns:
            Raw logits (N, outputs), and for each image the gradient (N, S, S, 3) of the sum of
            weights * logits.
        """
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
        """Compute the outputs of the layers.

        Args:
            pixels: one image (1, S, S, 3) in [0, 1].

        Returns:
            The outputs by the layer's path in the port, in the order of the graph.
        """
        fetched = {path: f"{name}:0" for path, name in self.layers.items()}
        images, _ = self._preprocessed(pixels)
        outputs = self._run(fetched, {self._images: np.repeat(images, self._batch or 1, axis=0)})
        return {path: outputs[path][:1] for path in fetched}

    def _preprocessed(self, pixels: np.ndarray) -> tuple[np.ndarray, Any]:
        """The preprocessed images, and the function that turns a gradient into one of the
        pixels.
        """
        images, pull_back = jax.vjp(PREPROCESSING[self._spec.preprocessing], pixels)
        return np.asarray(images), pull_back

    def _run(self, fetched: Any, feed: dict) -> Any:
        errors = frameworks.tensorflow().errors
        try:
            return self._session.run(fetched, feed)
        except (errors.OpError, ValueError) as error:
            raise InputError(f"{self.path} cannot be executed: {said(error)}") from None

    def close(self) -> None:
        """Free the session."""
        self._session.close()
