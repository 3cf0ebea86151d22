"""Each operator of ONNX in JAX beside ONNX's reference evaluator, in double precision, for plain
arrays and for channels last."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from beside_torch import numbers, truths, whole
from onnx.reference import ReferenceEvaluator

from jaxadv.foreign.layout import Laid, channels_last, in_order, plain
from jaxadv.foreign.onnx import constants, graph
from model_ports.errors import InputError

pytestmark = pytest.mark.frameworks
X, POSITIVE = numbers(2, 3, 6, 6), numbers(2, 3, 6, 6, low=0.1)
KERNEL, VECTOR = numbers(4, 3, 3, 3, seed=1), numbers(3, seed=2)
ROWS = numbers(2, 5, 8, seed=3)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def real(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


CASES: list[tuple] = [
    ("Conv", [X, KERNEL, numbers(4)], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("Conv", [X, KERNEL], {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1], "strides": [2, 2]}),
    (
        "Conv",
        [X, KERNEL],
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ),
    ("Conv", [X, numbers(6, 1, 3, 3)], {"kernel_shape": [3, 3], "group": 3, "dilations": [2, 2]}),
    ("ConvTranspose", [X, numbers(3, 4, 3, 3)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("Gemm", [numbers(4, 3), numbers(5, 3), numbers(5)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", [numbers(3, 4), numbers(3, 5)], {"transA": 1}),
    ("MatMul", [ROWS, numbers(8, 4)], {}),
    ("Einsum", [ROWS, numbers(4, 8)], {"equation": "nti, oi -> nto"}),
    ("MaxPool", [X], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    ("MaxPool", [X], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", [X], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    (
        "AveragePool",
        [X],
        {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    ("AveragePool", [X], {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ("AveragePool", [X], {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}),
    ("GlobalAveragePool", [X], {}),
    ("GlobalMaxPool", [X], {}),
    (
        "BatchNormalization",
        [X, VECTOR, VECTOR + 1, VECTOR * 0.3, VECTOR**2 + 0.1],
        {"epsilon": 1e-3},
    ),
    ("LayerNormalization", [ROWS, numbers(8), numbers(8, seed=9)], {}),
    ("GroupNormalization", [numbers(2, 4, 3, 3), numbers(4), numbers(4)], {"num_groups": 2}),
    ("InstanceNormalization", [X, VECTOR, VECTOR], {}),
    (
        "LRN",
        [
            X[:, :2],
        ],
        {"size": 3, "alpha": 0.3},
    ),
    ("LpNormalization", [X], {"axis": 1}),
    ("DepthToSpace", [numbers(1, 8, 2, 3)], {"blocksize": 2}),
    ("DepthToSpace", [numbers(1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", [numbers(1, 2, 4, 6)], {"blocksize": 2}),
    ("Resize", [X, None, real(1, 1, 2, 2)], {}),
    (
        "Resize",
        [X, None, real(1, 1, 1.5, 0.5)],
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
    ),
    ("Resize", [X, None, None, ints(2, 3, 9, 4)], {"mode": "linear"}),
    ("Resize", [X, None, None, ints(2, 3, 9, 4)], {"mode": "cubic"}),
    (
        "Resize",
        [X, None, None, ints(2, 3, 11, 4)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    ("Add", [X, VECTOR.reshape(3, 1, 1)], {}),
    ("Sub", [X, VECTOR.reshape(3, 1, 1)], {}),
    ("Mul", [X, VECTOR.reshape(3, 1, 1)], {}),
    ("Div", [X, POSITIVE], {}),
    ("Div", [whole(4, low=-9, high=9), ints(2, 3, -2, 4)], {}),
    ("Pow", [POSITIVE, real(2.5)], {}),
    ("Pow", [X, np.array(2.0)], {}),
    ("Pow", [POSITIVE, numbers(6)], {}),
    ("Mod", [whole(4, low=-9, high=9), ints(2, 3, -2, 4)], {}),
    ("Min", [X, POSITIVE, VECTOR.reshape(3, 1, 1)], {}),
    ("Max", [X, POSITIVE], {}),
    ("Sum", [X, POSITIVE, X], {}),
    ("Mean", [X, POSITIVE], {}),
    ("Clip", [X, np.array(-0.5), np.array(0.7)], {}),
    ("Clip", [X, np.array(0.0)], {}),
    ("LeakyRelu", [X], {"alpha": 0.2}),
    ("PRelu", [X, VECTOR.reshape(3, 1, 1)], {}),
    ("Elu", [X], {"alpha": 0.7}),
    ("Selu", [X], {}),
    ("Celu", [X], {"alpha": 0.7}),
    ("ThresholdedRelu", [X], {"alpha": 0.5}),
    ("Gelu", [X], {}),
    ("Gelu", [X], {"approximate": "tanh"}),
    ("HardSigmoid", [X], {"alpha": 0.25, "beta": 0.5}),
    ("HardSwish", [X], {}),
    ("Mish", [X], {}),
    ("Softsign", [X], {}),
    ("Softplus", [X], {}),
    ("Softmax", [X], {"axis": 1}),
    ("LogSoftmax", [X], {"axis": -1}),
    ("Where", [truths(2, 3, 6, 6), X, POSITIVE], {}),
    ("Cast", [X], {"to": onnx.TensorProto.INT64}),
    ("Cast", [whole(4)], {"to": onnx.TensorProto.DOUBLE}),
    ("Reshape", [X, ints(0, -1, 9)], {}),
    ("Flatten", [X], {"axis": 2}),
    ("Transpose", [X], {"perm": [0, 2, 3, 1]}),
    ("Squeeze", [numbers(2, 1, 3, 1), ints(1, -1)], {}),
    ("Unsqueeze", [X, ints(0, -1)], {}),
    ("Expand", [VECTOR.reshape(3, 1), ints(2, 3, 4)], {}),
    ("Tile", [X, ints(1, 2, 1, 3)], {}),
    ("Concat", [X, POSITIVE], {"axis": 1}),
    ("Slice", [X, ints(1, -3), ints(6, 2**63 - 1), ints(2, 3), ints(2, 1)], {}),
    ("Slice", [X, ints(-1), ints(-(2**63)), ints(3), ints(-1)], {}),
    ("Pad", [X, ints(0, 0, 1, 2, 0, 0, 2, 1), np.array(0.5)], {}),
    ("Pad", [X, ints(0, 0, 1, 2, 0, 0, 2, 1)], {"mode": "reflect"}),
    ("Pad", [X, ints(1, 1, 2, 0), None, ints(2, 3)], {"mode": "edge"}),
    ("Gather", [X, ints(2, 0, -1)], {"axis": 1}),
    ("Gather", [X, np.array(-1)], {"axis": 2}),
    ("GatherElements", [ROWS, whole(2, 3, 8, high=5)], {"axis": 1}),
    ("GatherND", [X, ints(0, 1, 1, 2).reshape(2, 2)], {}),
    ("ScatterND", [X, ints(0, 1).reshape(2, 1), numbers(2, 3, 6, 6, seed=5)], {}),
    ("ScatterElements", [ROWS, whole(2, 1, 8, high=5), numbers(2, 1, 8)], {"axis": 1}),
    ("OneHot", [ints(0, 2, 1), np.array(4), real(-1, 3)], {}),
    ("Trilu", [numbers(4, 4), np.array(1)], {"upper": 0}),
    ("CumSum", [ROWS, np.array(1)], {}),
    ("ReduceMean", [X, ints(2, 3)], {"keepdims": 0}),
    ("ReduceSum", [X, ints(1)], {}),
    ("ReduceMax", [X, ints(1)], {}),
    ("ReduceMin", [X], {"keepdims": 0}),
    ("ReduceProd", [X, ints(3)], {}),
    ("ReduceL1", [X, ints(3)], {}),
    ("ReduceL2", [X, ints(1, 2)], {}),
    ("ReduceSumSquare", [X, ints(1, 2)], {}),
    ("ReduceLogSum", [POSITIVE, ints(1, 2)], {}),
    ("ReduceLogSumExp", [X, ints(1, 2)], {}),
    ("ArgMax", [X], {"axis": 1, "keepdims": 0}),
    ("ArgMin", [X], {"axis": 2}),
    ("Identity", [X], {}),
    ("Dropout", [X], {}),
    ("Shape", [X], {}),
    ("Size", [X], {}),
    *((name, [POSITIVE], {}) for name in ("Log", "Sqrt", "Reciprocal")),
    *(
        (name, [X], {})
        for name in (
            *("Abs", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "IsNaN", "Neg", "Relu"),
            *("Round", "Sigmoid", "Sign", "Sin", "Sinh", "Tan", "Tanh"),
        )
    ),
    *((name, [X / 4], {}) for name in ("Acos", "Asin", "Atan")),
    *(
        (name, [X, POSITIVE], {})
        for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ),
    *((name, [truths(4, 3), truths(4, 3, seed=1)], {}) for name in ("And", "Or", "Xor")),
    ("Not", [truths(4, 3)], {}),
    ("CastLike", [X, ints(1)], {}),
]
NOT_HERE = {"RMSNormalization", "Split", "TopK", "Upsample", "ConstantOfShape"}
"""Newer or older than the opset of these tests, or of several results: tested in functions below.
"""


def node_of(name: str, inputs: list, attributes: dict, outputs: int = 1):
    names = [f"i{at}" if value is not None else "" for at, value in enumerate(inputs)]
    given = [f"o{at}" for at in range(outputs)]
    return onnx.helper.make_node(name, names, given, **attributes)


def ours(node, inputs: list, *, opset: int = 21, last: bool = False) -> list:
    """What a node gives in JAX: arrays of numbers are traced, those of whole numbers are known."""
    steps = graph._steps(node, opset, "net")

    def run(*given):
        rest, known = iter(given), {}
        for name, value in zip(node.input, inputs, strict=True):
            if value is not None:
                known[name] = next(rest) if is_traced(value) else value
        values = {
            key: Laid(in_order(v, channels_last(v.ndim)), channels_last(v.ndim))
            if last and isinstance(v, jax.Array) and v.ndim == 4
            else v
            for key, v in known.items()
        }
        for step in steps:
            arguments = [
                None if a is None else values[a.name] if hasattr(a, "name") else a
                for a in step.arguments
            ]
            attributes = {
                k: getattr(v, "dtype", v) if k in ("to", "dtype") else v
                for k, v in step.keywords.items()
            }
            values[step.name] = step.function(*arguments, **attributes)
        return [plain(values[name]) for name in node.output]

    def is_traced(value) -> bool:
        return value.dtype.kind == "f" and value.ndim > 1

    traced = [jnp.asarray(v) for v in inputs if v is not None and is_traced(v)]
    return [np.asarray(result) for result in jax.jit(run)(*traced)]


def expected(node, inputs: list, opset: int = 21) -> list:
    described = [
        onnx.helper.make_tensor_value_info(
            n, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape
        )
        for n, v in zip(node.input, inputs, strict=True)
        if v is not None
    ]
    outputs = [onnx.helper.make_tensor_value_info(n, 0, None) for n in node.output]
    made = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", described, outputs),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
    )
    given = {n: v for n, v in zip(node.input, inputs, strict=True) if v is not None}
    return ReferenceEvaluator(made).run(None, given)


def compare(node, inputs: list, opset: int = 21) -> None:
    wanted = expected(node, inputs, opset)
    for last in (False, True)[: 1 + any(v is not None and v.ndim == 4 for v in inputs)]:
        with jax.enable_x64(True):
            found = ours(node, inputs, opset=opset, last=last)
        for one, other in zip(found, wanted, strict=True):
            assert one.shape == np.shape(other), (one.shape, np.shape(other), last)
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_an_operator_is_that_of_the_reference(case):
    name, inputs, attributes = case
    compare(node_of(name, inputs, attributes), inputs)


def test_every_operator_has_a_case():
    names = {case[0] for case in CASES} | NOT_HERE
    assert set(graph.OPERATORS) <= names


def test_those_of_several_results():
    for inputs, attributes in (([X], {"axis": 2}), ([X, ints(1, 5)], {"axis": 2})):
        compare(node_of("Split", inputs, attributes, 2), inputs, opset=13)
    node = node_of("TopK", [ROWS, ints(3)], {"axis": -1}, 2)
    compare(node, [ROWS, ints(3)])


def test_softmax_before_opset_13_is_over_all_that_follows():
    with jax.enable_x64(True):
        [found] = ours(node_of("Softmax", [X], {"axis": 1}), [X], opset=11)
    raised = np.exp(X)  # the evaluator has the newer meaning
    np.testing.assert_allclose(found, raised / raised.sum((1, 2, 3), keepdims=True), rtol=1e-12)


KNOWN = [
    ("Gather", [ints(3, 5, 7), np.array(1)], {}),
    ("Concat", [ints(1), ints(2, 3)], {"axis": 0}),
    ("Slice", [ints(1, 2, 3, 4), ints(0), ints(2**63 - 1), ints(0), ints(2)], {}),
    ("Unsqueeze", [np.array(4), ints(0)], {}),
    ("Squeeze", [ints(4), ints(0)], {}),
    ("Reshape", [ints(1, 2, 3, 4), ints(2, -1)], {}),
    ("Mul", [ints(2, 3), ints(4)], {}),
    ("Div", [ints(-7, 7), ints(2)], {}),
    ("Range", [np.array(0), np.array(6), np.array(2)], {}),
    ("Equal", [ints(-1, 2), ints(-1)], {}),
    ("Where", [np.array([True, False]), ints(1, 2), ints(3, 4)], {}),
    ("ReduceProd", [ints(2, 3, 4)], {"keepdims": 0}),
    ("ConstantOfShape", [ints(2, 3)], {}),
    ("Cast", [ints(2, 3)], {"to": onnx.TensorProto.DOUBLE}),
    ("Sqrt", [real(2.0, 3.0)], {}),
    ("ScatterND", [ints(1, 2, 3), ints(1).reshape(1, 1), ints(9)], {}),
    ("Expand", [ints(1, 2), ints(3, 2)], {}),
    ("Tile", [ints(1, 2), ints(2)], {}),
    ("NonZero", [ints(0, 2, 1)], {}),
    ("Trilu", [np.ones((3, 3), np.int64), np.array(0)], {}),
]


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case[0])
def test_numbers_that_are_known_stay_so(case):
    """Shapes are computed while a network is traced, in 64 bits."""
    name, inputs, attributes = case
    node = node_of(name, inputs, attributes)
    [step] = graph._steps(node, 21, "net")
    attributes = {k: getattr(v, "dtype", v) for k, v in step.keywords.items()}
    found = step.function(*inputs, **attributes)
    [wanted] = expected(node, inputs)
    assert constants.is_known(found) and np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("name", "inputs", "attributes", "words"),
    [
        ("Attention", 3, {}, ["operator Attention", "is not read"]),
        ("QLinearConv", 8, {}, ["QLinearConv", "quantised"]),
        ("DequantizeLinear", 3, {}, ["quantised"]),
        ("RandomNormalLike", 1, {}, ["random"]),
    ],
)
def test_what_is_not_read_is_one_line(name, inputs, attributes, words):
    node = node_of(name, [X] * inputs, attributes)
    with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
        graph._steps(node, 21, "net")
    assert all(word in str(error.value) for word in ["net: operator", *words]), error.value
