"""Finds the layers of a port in a frozen graph, by the weights that they read.

Names of operations are not used. A weight map says which constant of the graph is a layer's kernel
or moving mean. The node that reads the constant, with its bias added, is then that layer. This
holds in whatever way the graph was exported. Layers with merged or folded operations are left out.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from model_ports.convert.frozen_graph import Node
from model_ports.errors import InputError
from model_ports.weight_map import Row

_PRODUCTS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
_SUMS = ("BiasAdd", "Add", "AddV2")
_PASSED = ("Identity", "Split", "SplitV", "Reshape")  # between a constant and its operation
_SHAPED = ("Identity", "Squeeze", "Reshape")  # between the last layer and the logits
_LAST = ("logits", "fc8")  # the ports' names of their last layer


class Layers(NamedTuple):
    """The names of nodes. Each stands for its output 0."""

    logits: str
    order: tuple[str, ...]  # every node that the logits need, after its inputs.
    # The node of each convolution, linear layer or normalisation, by its path in the port.
    of_port: dict[str, str]


def find(nodes: Iterable[Node], weight_map: Sequence[Row], name: str) -> Layers:
    """Find the layers of a port in a graph.

    Args:
        nodes: the nodes of the graph.
        weight_map: the port's weight map.
        name: what the error calls the graph.

    Returns:
        The layers, in the order of the graph.

    Raises:
        InputError: if no operation makes logits.
    """
    graph = _Graph(nodes)
    by_path: dict[str, str] = {}
    for path, leaves in modules(graph.nodes, weight_map).items():
        node = graph.product(leaves) if "kernel" in leaves else graph.normalisation(leaves)
        if node is not None:
            by_path[path] = node
    last = next((by_path[path] for path in _LAST if path in by_path), None)
    if last is None:
        raise InputError(
            f"{name} has no operation that makes logits of the last layer's weights; give the "
            "frozen graph of this very model"
        )
    logits = graph.reshaped(last)
    order = graph.order(logits)
    place = {node: number for number, node in enumerate(order)}
    inside = sorted((place[node], path) for path, node in by_path.items() if node in place)
    return Layers(logits, tuple(order), {path: order[number] for number, path in inside})


def source(reference: str) -> str:
    """The node that an input refers to: "a:1" and "^a" refer to node a."""
    return reference.removeprefix("^").partition(":")[0]


def modules(names: Iterable[str], weight_map: Sequence[Row]) -> dict[str, dict[str, str]]:
    """The constants of each layer of a port, by the layer's path and the leaf.

    An example is {"conv1": {"kernel": "conv1/weights", "bias": "conv1/biases"}}.
    """
    rows = [(re.compile(pattern), template) for pattern, template, _ in weight_map]
    modules: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        for pattern, template in rows:
            if match := pattern.fullmatch(name):
                path, _, leaf = match.expand(template).rpartition("/")
                modules[path][leaf] = name
    return modules


class _Graph:
    def __init__(self, nodes: Iterable[Node]):
        self.nodes = {node.name: node for node in nodes if not node.inside_function}
        self.readers: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes.values():
            for name in dict.fromkeys(map(source, node.inputs)):
                self.readers[name].append(node)

    def product(self, leaves: dict[str, str]) -> str | None:
        """The node after multiplying by the kernel and adding the bias; None if it is not
        unique.
        """
        products = self._behind(leaves["kernel"], _PRODUCTS)
        if len(products) > 1:  # a grouped convolution, whose results are concatenated
            joins = {
                node.name
                for product in products
                for node in self.readers[product]
                if node.op in ("ConcatV2", "Concat")
            }
            products = sorted(joins)
        if len(products) != 1:
            return None
        [node] = products
        if "bias" in leaves:
            sums = set(self._behind(leaves["bias"], _SUMS)) & {
                reader.name for reader in self.readers[node]
            }
            return sums.pop() if len(sums) == 1 else None
        return node

    def normalisation(self, leaves: dict[str, str]) -> str | None:
        """The last node of a batch normalisation, fused or unrolled; None if it is not unique.

        An unrolled one computes x * a + (beta - mean * a).
        """
        if not {"mean", "bias"} <= leaves.keys():
            return None
        fused = self._behind(
            leaves["mean"], ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
        )
        if not fused:
            [shift, *more] = self._behind(leaves["bias"], ("Sub",)) or [None]
            fused = (
                []
                if shift is None or more
                else [node.name for node in self.readers[shift] if node.op in _SUMS]
            )
        return fused[0] if len(fused) == 1 else None

    def reshaped(self, node: str) -> str:
        """The node after squeezing and reshaping."""
        while True:
            readers = [
                reader
                for reader in self.readers[node]
                if reader.op in _SHAPED and source(reader.inputs[0]) == node
            ]
            if not readers:
                return node
            node = readers[0].name

    def order(self, end: str) -> list[str]:
        """The nodes that ``end`` needs, inputs first."""
        done: dict[str, None] = {}
        stack = [(end, False)]
        while stack:
            name, ready = stack.pop()
            if ready:
                done[name] = None
            elif name in self.nodes and name not in done:
                stack.append((name, True))
                stack += [
                    (source(reference), False) for reference in reversed(self.nodes[name].inputs)
                ]
        return list(done)

    def _behind(self, constant: str, operations: tuple[str, ...]) -> list[str]:
        """The nodes of these kinds that read a constant, directly or through nodes that pass it
        on.
        """
        hits: dict[str, None] = {}
        waiting = [constant]
        while waiting:
            for reader in self.readers[waiting.pop()]:
                if reader.op in operations:
                    hits[reader.name] = None
                elif reader.op in _PASSED:
                    waiting.append(reader.name)
        return list(hits)
