"""Matrix products, normalisation, shapes and indexing beside PyTorch's, over their arguments."""

import inspect
import itertools

import numpy as np
import pytest
import torch
from beside_torch import fixed, numbers, ties, truths, whole

from jaxadv.foreign import operators

pytestmark = pytest.mark.frameworks


def test_every_operator_takes_all_arguments_of_its_schema():
    """By place and by name, with and without those that have a default."""
    elsewhere = {
        "str",
        "t",
        "Dict_",
        "int_",
        "float_",
        "complex_",
        "Scalar_Scalar",
        "sublist",
    }  # no tensors
    for key, function in operators.ATEN.items():
        name, _, overload = key.partition(".")
        packet = getattr(torch.ops.aten, name)
        for each in packet.overloads():
            if (overload and each != overload) or (
                not overload and f"{name}.{each}" in operators.ATEN
            ):
                continue
            arguments = getattr(packet, each)._schema.arguments
            if (
                any(a.is_out for a in arguments)
                or "dtype" in each
                or any(each.startswith(e) for e in elsewhere)
            ):
                continue
            if (name, each) == (
                "repeat_interleave",
                "Tensor",
            ):  # of repeats alone: its shape is not known
                continue
            for some in (arguments, [a for a in arguments if not a.has_default_value()]):
                by_name = {a.name: a for a in some if a.kwarg_only}
                inspect.signature(function).bind(*[a for a in some if not a.kwarg_only], **by_name)


def test_products(check):
    check("mm", numbers(3, 4), numbers(4, 5))
    check("bmm", numbers(2, 3, 4), numbers(2, 4, 5))
    for shapes in (
        ((4,), (4,)),
        ((3, 4), (4,)),
        ((4,), (4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((2, 3, 4, 5), (5, 6)),
    ):
        check("matmul", *(numbers(*shape) for shape in shapes))
    check("mv", numbers(3, 4), numbers(4))
    check("dot", numbers(4), numbers(4, seed=1))
    check("vdot", numbers(4), numbers(4, seed=1))
    for beta, alpha in ((1, 1), (0.5, 2.0), (0, 1)):
        check("addmm", numbers(5), numbers(3, 4), numbers(4, 5), beta=beta, alpha=alpha)
        check("addmm", numbers(3, 5), numbers(3, 4), numbers(4, 5), beta=beta, alpha=alpha)
        check(
            "baddbmm", numbers(2, 3, 5), numbers(2, 3, 4), numbers(2, 4, 5), beta=beta, alpha=alpha
        )
        check("addmv", numbers(3), numbers(3, 4), numbers(4), beta=beta, alpha=alpha)
        check("addbmm", numbers(3, 5), numbers(2, 3, 4), numbers(2, 4, 5), beta=beta, alpha=alpha)
        check("addr", numbers(3, 4), numbers(3), numbers(4), beta=beta, alpha=alpha)
    check("linear", numbers(2, 3, 4), numbers(5, 4), numbers(5))
    check("linear", numbers(2, 3, 6, 4), numbers(5, 4))
    check("bilinear", numbers(2, 3), numbers(2, 4), numbers(5, 3, 4), numbers(5))
    check("outer", numbers(3), numbers(4))
    check("einsum", "b h i d, b h j d -> b h i j", [numbers(2, 3, 4, 5), numbers(2, 3, 6, 5)])
    check("einsum", "...ij,jk->...ik", [numbers(2, 3, 4), numbers(4, 5)])
    check("einsum", "ii->i", [numbers(4, 4)])
    check("tensordot", numbers(2, 3, 4), numbers(4, 3, 5), [1, 2], [1, 0])
    check("kron", numbers(2, 3), numbers(4, 2))
    check("linalg_cross", numbers(4, 3), numbers(4, 3, seed=1))
    check("trace", numbers(4, 4))
    check("cosine_similarity", numbers(3, 4), numbers(3, 4, seed=1), 1, 1e-8)


def test_attention(check):
    q, k, v = numbers(2, 4, 5, 8), numbers(2, 4, 6, 8, seed=1), numbers(2, 4, 6, 7, seed=2)
    mask = truths(5, 6)
    mask[:, 0] = True
    check("scaled_dot_product_attention", q, k, v)
    check("scaled_dot_product_attention", q, k, v, mask)
    check("scaled_dot_product_attention", q, k, v, numbers(2, 1, 5, 6))
    check("scaled_dot_product_attention", q, k, v, None, 0.0, True)
    check("scaled_dot_product_attention", q, k, v, None, 0.0, False, scale=0.3)
    empty = mask.copy()
    empty[2] = False
    check("scaled_dot_product_attention", q, k, v, empty, gradient=False)
    grouped = numbers(2, 2, 6, 8), numbers(2, 2, 6, 7)
    check("scaled_dot_product_attention", q, *grouped, None, 0.0, False, enable_gqa=True)


@pytest.mark.few("gru", slow=())
@pytest.mark.parametrize(("name", "gates"), [("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)])
def test_recurrent_layers(check, name, gates):
    params = [numbers(5 * gates, 3), numbers(5 * gates, 5), *[numbers(5 * gates)] * 2]
    flags = (True, 1, 0.0, False, False, False)
    check(f"{name}.input", numbers(4, 2, 3), fixed(numbers(1, 2, 5)), params, *flags)


def test_two_layers_of_lstm_there_and_back(check):
    layers = [
        [numbers(20, width, seed=way), numbers(20, 4, seed=way), numbers(4, 5, seed=way)]
        for width in (3, 8)
        for way in range(2)
    ]
    state = [fixed(numbers(4, 2, 4)), fixed(numbers(4, 2, 5))]
    params = [fixed(each) for layer in layers for each in layer]
    check("lstm.input", numbers(2, 6, 3), state, params, False, 2, 0.0, False, True, True)


def test_inverses(check):
    square = numbers(2, 4, 4) + 5 * np.eye(4)
    symmetric = square @ square.swapaxes(1, 2)
    check("linalg_inv_ex", square)
    check("linalg_cholesky_ex", symmetric)
    check("linalg_cholesky", symmetric, upper=True)
    check("linalg_matrix_exp", 0.1 * square, tolerance=1e-9)
    found = operators.ATEN["_linalg_det"](square)[0]
    np.testing.assert_allclose(found, np.linalg.det(square), rtol=1e-5)  # without x64
    for left in (True, False):
        out = torch.linalg.solve(*map(torch.from_numpy, (square, symmetric)), left=left).numpy()
        np.testing.assert_allclose(
            operators.ATEN["_linalg_solve_ex"](square, symmetric, left=left)[0], out, atol=1e-3
        )
    values, vectors = operators.ATEN["_linalg_eigh"](symmetric)
    np.testing.assert_allclose(symmetric @ vectors, vectors * values[:, None], atol=1e-2)
    u, s, v = operators.ATEN["_linalg_svd"](square)
    np.testing.assert_allclose((u * s[:, None]) @ v, square, atol=1e-4)
    q, r = operators.ATEN["linalg_qr"](square)
    np.testing.assert_allclose(q @ r, square, atol=1e-4)


def test_normalisation(check):
    x = numbers(2, 6, 4, 5)
    weight, bias, mean, variance = (numbers(6, seed=seed) for seed in range(4))
    mean, variance = fixed(mean), fixed(variance**2 + 0.3)
    for w, b in ((weight, bias), (None, bias), (weight, None), (None, None)):
        check("batch_norm", x, w, b, mean, variance, False, 0.1, 1e-3, True)
        check(
            "native_layer_norm",
            x,
            [4, 5],
            *(None if v is None else numbers(4, 5) for v in (w, b)),
            1e-5,
            results=1,
        )
        check("layer_norm", x, [5], *(None if v is None else numbers(5) for v in (w, b)), 1e-6)
        if w is None and b is not None:  # torch's own gradient fails
            continue
        check("native_group_norm", x, w, b, 2, 6, 20, 3, 1e-5, results=1, gradient=False)
        for groups in (1, 2, 6):
            check("group_norm", x, groups, w, b, 1e-5)
        check("instance_norm", x, w, b, None, None, True, 0.1, 1e-5, False)
    check("batch_norm", x, weight, bias, None, None, True, 0.1, 1e-5, False)
    check("instance_norm", x, weight, bias, mean, variance, False, 0.1, 1e-5, False)
    check("rms_norm", x, [5], numbers(5), 1e-6)
    check("rms_norm", x, [4, 5])
    check("batch_norm", numbers(7, 6), weight, bias, mean, variance, False, 0.1, 1e-5, False)
    check("_weight_norm", numbers(4, 3, 2), numbers(4, 1, 1), 0)


def test_views(check):
    x = numbers(2, 6, 4, 5)
    for shape in (
        [2, 6, 20],
        [2, -1],
        [2, 2, 3, 4, 5],
        [2, 3, 2, 20],
        [12, 4, 5],
        [240],
        [2, 6, 2, 2, 5, 1],
        [48, 5],
    ):
        check("view", x, shape)
        check("reshape", x, shape)
    check("view", numbers(2, 3, 1, 1), [2, 3])
    check("view", numbers(2, 3), [2, 3, 1, 1])
    for start, end in ((1, -1), (0, 1), (2, 3), (1, 2)):
        check("flatten.using_ints", x, start, end)
    check("unflatten.int", x, 1, [2, -1])
    for dims in ([0, 2, 3, 1], [3, 1, 0, 2], [0, 1, 3, 2]):
        check("permute", x, dims)
    check("transpose.int", x, 1, -1)
    check("t", numbers(3, 4))
    check("numpy_T", numbers(3, 4, 5))
    check("movedim.int", x, 1, -1)
    check("movedim.intlist", x, [0, 1], [2, 0])
    for name in ("swapaxes", "swapdims"):
        check(name, x, 0, 2)
    y = numbers(2, 1, 4, 1)
    check("squeeze", y)
    check("squeeze.dim", y, 1)
    check("squeeze.dim", y, 0)
    check("squeeze.dims", y, [1, -1])
    for dim in (0, 2, -1, 4):
        check("unsqueeze", x, dim)
    check("expand", y, [2, 3, 4, 5])
    check("expand", y, [7, -1, 3, 4, 5])
    check("repeat", numbers(2, 3), [4, 1, 2])
    check("tile", numbers(2, 3), [2])
    check("repeat_interleave.self_int", numbers(2, 3), 2, 1)
    check("as_strided", numbers(4, 5), [3, 2], [1, 6], 2)
    check("unfold", x, 2, 3, 1)
    check("diagonal", x, 1, 2, 3)
    check("diag_embed", numbers(2, 3), -1)
    for offset in (-1, 0, 2):
        check("tril", numbers(4, 5), offset)
        check("triu", numbers(4, 5), offset)


def test_parts_joins_and_padding(check):
    x = numbers(2, 6, 4, 5)
    for arguments in (
        (1, 1, 5, 2),
        (2, -3, -1, 1),
        (3, 0, 9223372036854775807, 1),
        (0, 1, 1, 1),
        (1, None, 3, 1),
    ):
        check("slice.Tensor", x, *arguments)
    check("narrow", x, 1, 2, 3)
    for dim, index in ((0, 1), (1, -1), (3, 2)):
        check("select.int", x, dim, index)
    check("split.Tensor", x, 4, 1)
    check("split_with_sizes", x, [1, 3, 2], 1)
    check("unsafe_split.Tensor", x, 4, 1)
    check("chunk", x, 4, 1)
    check("tensor_split.sections", x, 4, 1)
    check("unbind.int", x, 1)
    check("flip", x, [1, -1])
    check("roll", x, [1, -2], [2, 3])
    check("roll", x, [3])
    check("rot90", x, 1, [2, 3])
    check("cat", [x, numbers(2, 2, 4, 5)], 1)
    check("cat", [x, np.zeros(0)], 1, gradient=False)
    check("cat", [x, whole(2, 6, 4, 5)], -1)
    for dim in (0, 1, -1):
        check("stack", [x, x + 1], dim)
    for indexing in ("ij", "xy"):
        check("meshgrid.indexing", [numbers(3), numbers(4)], indexing=indexing)
    check("broadcast_tensors", [numbers(3, 1), numbers(4)])
    for pad in ([1, 2], [1, 0, 2, 3], [-1, 2, 0, -1], [0, 0, 1, 1, 2, 0]):
        check("constant_pad_nd", x, pad, 0.5)
    for mode, pad in itertools.product(
        ("reflect", "replicate", "circular"), ([1, 2, 2, 1], [0, 3, 1, 0])
    ):
        check("pad", x, pad, mode)
    check("pad", x, [1, 1], "constant", 2.0)
    check("reflection_pad1d", numbers(2, 3, 6), [2, 1])
    check("replication_pad3d", x[None], [1, 0, 0, 2, 1, 1])
    check("replication_pad2d", x, [1, -1, 0, 2])


def test_new_arrays(check):
    like = numbers(2, 3)
    check("full", [2, 3], 1.5, dtype=None, gradient=False, tolerance=1e-6)
    for name in ("zeros_like", "ones_like"):
        check(name, like, gradient=False)
    check("full_like", like, 3, gradient=False)
    check("new_zeros", like, [4], gradient=False)
    check("new_ones", like, [4], gradient=False)
    check("new_full", like, [4], 2.5, gradient=False)
    check("fill.Scalar", like, 2.5, gradient=False)
    check("arange", 7)
    check("arange.start_step", 1, 9, 3)
    check("one_hot", whole(3, 4), 6)
    for found, expected in (
        (operators.ATEN["linspace"](-1, 1, 5), torch.linspace(-1, 1, 5)),
        (operators.ATEN["eye"](3, 4), torch.eye(3, 4)),
        (operators.ATEN["zeros"]([2, 3]), torch.zeros(2, 3)),
        (operators.ATEN["arange"](0.5, 3.0, 0.25), torch.arange(0.5, 3.0, 0.25)),
        (operators.ATEN["scalar_tensor"](2.5), torch.scalar_tensor(2.5)),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")


def test_indexing(check):
    x = numbers(4, 5, 6)
    places = whole(3, 2, high=4)
    for indices in (
        [places],
        [None, places],
        [places, None, places],
        [whole(3, high=4), whole(3, high=5, seed=1)],
    ):
        check("index.Tensor", x, indices)
    check("index.Tensor", x, [-1 - places])
    check("index_put", x, [whole(3, high=4)], numbers(3, 5, 6), True)
    check("index_put", x, [np.array([2, 0])], numbers(2, 5, 6))
    check("index_put", x, [truths(4, 5, 6)], np.array(0.5))
    check("index_select", x, 1, whole(7, high=5))
    check("index_fill.int_Scalar", x, 1, np.array([0, 3]), 0.5)
    check("index_copy", x, 1, np.array([3, 0]), numbers(4, 2, 6))
    check("index_add", x, 1, np.array([3, 0, 3]), numbers(4, 3, 6), alpha=2)
    for dim in (0, 1, -1):
        check("gather", x, dim, whole(2, 3, 4, high=4))
        check(
            "scatter.src", x, dim, np.argsort(numbers(4, 5, 6), axis=dim), numbers(4, 5, 6, seed=1)
        )
        check("scatter.value", x, dim, whole(2, 3, 4, high=4), 0.5)
        check("scatter_add", x, dim, whole(2, 3, 4, high=4), numbers(2, 3, 4))
    for how, include in itertools.product(("sum", "mean", "prod", "amax"), (True, False)):
        arguments = (x, 1, whole(4, 5, 6), numbers(4, 5, 6, seed=1), how)
        check(
            "scatter_reduce.two",
            *arguments,
            include_self=include,
            gradient=how in ("sum", "mean") and include,
        )
    check("take_along_dim", x, whole(4, 2, 6), 1)
    check("take", x, whole(3, 4, high=100))
    check("select_scatter", x, numbers(4, 6), 1, 2)
    check("slice_scatter", x, numbers(4, 2, 6), 1, 0, 4, 2)
    check("copy", x, numbers(6), gradient=False)
    check("masked_scatter", numbers(4, 5), truths(4, 5), numbers(20))
    check("embedding", numbers(7, 3), whole(2, 4, high=7))


def test_sorting_and_transforms(check):
    x = numbers(4, 5, 6)
    for dim, descending in itertools.product((0, -1), (False, True)):
        check("sort", x, dim, descending)
        check("sort.stable", x, stable=True, dim=dim, descending=descending)
        check("argsort", x, dim, descending)
        check("argsort.stable", ties(4, 5), stable=True, dim=dim, descending=descending)
        check("topk", x, 3, dim, descending)
    check("bucketize.Tensor", numbers(3, 4), np.array([-1.0, 0.0, 1.0]))
    check("bucketize.Tensor", ties(3, 4), np.array([-1.0, 0.0, 1.0]), right=True)
    check("searchsorted.Tensor", np.array([-1.0, 0.0, 1.0]), ties(3, 4))
    for normalization in (0, 1, 2):
        check("_fft_r2c", x, [1, 2], normalization, True, gradient=False)
        check("_fft_r2c", x, [2], normalization, False, gradient=False)
        spectrum = np.fft.rfft2(x)
        check("_fft_c2r", spectrum, [1, 2], normalization, 6, gradient=False)
        for forward in (True, False):
            check("_fft_c2c", spectrum, [0, 2], normalization, forward, gradient=False)
    check("view_as_real", spectrum, gradient=False)
    check("view_as_complex", numbers(3, 4, 2), gradient=False)
    for name in ("real", "imag", "_conj", "abs", "angle"):
        check(name, spectrum, gradient=False)
    check("polar", numbers(3, low=0.1), numbers(3, seed=1), gradient=False)
    check("complex", numbers(3), numbers(3, seed=1), gradient=False)
