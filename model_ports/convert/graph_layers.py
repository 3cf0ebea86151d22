"""Where in a frozen graph the layers of a port are: found by the weights that they read, not by names of operations.

A weight map says which constant of the graph is the kernel, or the moving mean, of which layer of the port. The
convolution (or the product, or the batch normalisation) that reads this constant, with its bias added, is then the same
layer, however the graph was exported. Layers of which the operations were merged or folded are left out.
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
_PASSED = ("Identity", "Split", "SplitV", "Reshape")  # between a constant and what computes with it
_SHAPED = ("Identity", "Squeeze", "Reshape")  # between the last layer and the logits
_LAST = ("logits", "fc8")  # what the ports call their last layer


class Layers(NamedTuple):
    """Names of nodes; output 0 of each is meant."""

    logits: str
    order: tuple[str, ...]  # every node that the logits need, each behind its inputs
    of_port: dict[
        str, str
    ]  # path of a port's convolution, linear layer or normalisation -> node, in that order


def find(nodes: Iterable[Node], weight_map: Sequence[Row], name: str) -> Layers:
    """The layers of a port in the nodes of a graph; `name` stands in errors. Raises InputError if there are no logits."""
    graph = _Graph(nodes)
    found = {}
    for path, leaves in modules(graph.nodes, weight_map).items():
        node = graph.product(leaves) if "kernel" in leaves else graph.normalisation(leaves)
        if node is not None:
            found[path] = node
    last = next((found[path] for path in _LAST if path in found), None)
    if last is None:
        raise InputError(
            f"{name} has no operation that makes logits of the last layer's weights; give the frozen graph of this very model"
        )
    logits = graph.reshaped(last)
    order = graph.order(logits)
    place = {node: number for number, node in enumerate(order)}
    inside = sorted((place[node], path) for path, node in found.items() if node in place)
    return Layers(logits, tuple(order), {path: order[number] for number, path in inside})


def source(reference: str) -> str:
    """The node that an input names: 'a:1' and '^a' are of node a."""
    return reference.removeprefix("^").partition(":")[0]


def modules(names: Iterable[str], weight_map: Sequence[Row]) -> dict[str, dict[str, str]]:
    """Path of a layer in the port -> {leaf: constant}: {"conv1": {"kernel": "conv1/weights", "bias": "conv1/biases"}}."""
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
        """The node that multiplies by the kernel and adds the bias."""
        products = self._behind(leaves["kernel"], _PRODUCTS)
        if len(products) > 1:  # in groups, which are joined afterwards
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
        """A fused batch normalisation, or the last node of one that is unrolled into x * a + (beta - mean * a)."""
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
        """The same numbers after squeezing and reshaping."""
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
        """What `end` needs, inputs first."""
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
        """The nodes of these kinds that read a constant, directly or through nodes that only pass it on."""
        hits, waiting = {}, [constant]
        while waiting:
            for reader in self.readers[waiting.pop()]:
                if reader.op in operations:
                    hits[reader.name] = None
                elif reader.op in _PASSED:
                    waiting.append(reader.name)
        return list(hits)
