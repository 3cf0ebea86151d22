"""Convolution, pooling and resampling beside PyTorch's, over their arguments."""

import itertools

import numpy as np
import pytest
from beside_torch import numbers, ties, whole

pytestmark = pytest.mark.frameworks


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups"),
    [
        ((3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((3, 3), (2, 2), (1, 1), (1, 1), 1),
        ((1, 7), (1, 1), (0, 3), (1, 1), 1),
        ((5, 2), (3, 2), (2, 0), (1, 1), 1),
        ((3, 3), (1, 1), (2, 2), (2, 2), 1),
        ((3, 2), (2, 1), (3, 0), (2, 3), 2),
        ((3, 3), (1, 1), (1, 1), (1, 1), 4),
        ((5, 5), (2, 2), (2, 2), (1, 1), 4),
        ((3, 3), (1, 1), (2, 2), (2, 2), 4),
        ((3, 3), (2, 1), (0, 1), (1, 1), 2),
        ((1, 1), (2, 2), (0, 0), (1, 1), 1),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_convolution(check, kernel, stride, padding, dilation, groups, bias):
    outputs = 8
    arguments = [
        numbers(2, 4, 11, 10),
        numbers(outputs, 4 // groups, *kernel),
        numbers(outputs) if bias else None,
    ]
    check("convolution", *arguments, stride, padding, dilation, False, (0, 0), groups)
    check("conv2d", *arguments, stride, padding, dilation, groups)


@pytest.mark.parametrize("groups", [1, 2, 4, 16])
def test_convolution_with_many_groups_of_several_channels(check, groups):
    arguments = [numbers(1, 32, 6, 6), numbers(16, 32 // groups, 3, 3), None]
    check("conv2d", *arguments, (1, 1), (1, 1), (1, 1), groups)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kernel", "dilation"), [((3, 3), (1, 1)), ((4, 2), (1, 1)), ((2, 3), (3, 2))]
)
def test_convolution_with_padding_by_name(check, padding, kernel, dilation):
    check(
        "conv2d.padding",
        numbers(2, 3, 9, 8),
        numbers(4, 3, *kernel),
        numbers(4),
        (1, 1),
        padding,
        dilation,
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "output_padding", "groups", "dilation"),
    [
        ((3, 3), (2, 2), (1, 1), (1, 1), 1, (1, 1)),
        ((2, 2), (2, 2), (0, 0), (0, 0), 1, (1, 1)),
        ((4, 3), (2, 1), (1, 2), (0, 0), 2, (1, 1)),
        ((3, 3), (3, 2), (0, 1), (2, 1), 4, (2, 1)),
        ((5, 5), (1, 1), (4, 4), (0, 0), 1, (1, 2)),
    ],
)
def test_transposed_convolution(check, kernel, stride, padding, output_padding, groups, dilation):
    images, weight, bias = (
        numbers(2, 4, 6, 7),
        numbers(4, 6 // groups if groups < 4 else 2, *kernel),
        None,
    )
    outputs = weight.shape[1] * groups
    bias = numbers(outputs)
    check(
        "convolution", images, weight, bias, stride, padding, dilation, True, output_padding, groups
    )
    check(
        "conv_transpose2d.input",
        images,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rank", [1, 3])
def test_convolution_of_lines_and_volumes(check, rank, transposed):
    images, weight = numbers(2, 4, *(6, 5, 7)[:rank]), numbers(4, 2, *(3, 2, 3)[:rank])
    ones = (1,) * rank
    check("convolution", images, weight, None, (2,) * rank, ones, ones, transposed, (0,) * rank, 2)


def test_convolution_of_one_image_without_a_batch(check):
    check("conv2d", numbers(3, 6, 6), numbers(4, 3, 3, 3), numbers(4), (1, 1), (1, 1))


WINDOWS = [
    ((3, 3), (2, 2), (1, 1)),
    ((2, 2), (2, 2), (0, 0)),
    ((3, 2), (1, 3), (1, 0)),
    ((5, 5), (3, 3), (2, 2)),
    ((4, 4), (4, 4), (2, 1)),
]


@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling(check, kernel, stride, padding, ceil_mode):
    for images in (numbers(2, 3, 10, 11), ties(2, 3, 10, 11)):
        check("max_pool2d", images, kernel, stride, padding, (1, 1), ceil_mode)
        check("max_pool2d_with_indices", images, kernel, stride, padding, (1, 1), ceil_mode)
    for include, divisor in itertools.product([False, True], [None, 3]):
        check(
            "avg_pool2d",
            numbers(2, 3, 10, 11),
            kernel,
            stride,
            padding,
            ceil_mode,
            include,
            divisor,
        )


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("dilation", [(2, 2), (1, 3)])
def test_dilated_maximum(check, dilation, ceil_mode):
    for images in (numbers(2, 3, 12, 11), ties(2, 3, 12, 11)):
        check("max_pool2d", images, (3, 3), (2, 2), (1, 1), dilation, ceil_mode)
        check("max_pool2d_with_indices", images, (3, 3), (2, 2), (1, 1), dilation, ceil_mode)


def test_pooling_of_lines_and_volumes_and_without_a_batch(check):
    check("max_pool1d", numbers(2, 3, 11), [3], [2], [1], [1], True)
    check("avg_pool1d", numbers(2, 3, 11), [3], [2], [1], True, False)
    check("max_pool3d", ties(2, 3, 6, 7, 5), [2, 3, 2], [2, 2, 1], [1, 1, 0], [1, 1, 2], False)
    check("avg_pool3d", numbers(2, 3, 6, 7, 5), [2, 3, 2], [2, 2, 1], [1, 1, 0], True, False)
    check("max_pool2d", numbers(3, 8, 8), [2, 2])
    check("avg_pool2d", numbers(3, 8, 8), [3, 3], [])


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (6, 5), (7, 2)])
def test_adaptive_pooling(check, size):
    check("adaptive_avg_pool2d", numbers(2, 2, 6, 5), size)
    check("_adaptive_avg_pool2d", numbers(2, 2, 6, 5), size)
    for images in (numbers(2, 2, 6, 5), ties(2, 2, 6, 5)):
        check("adaptive_max_pool2d", images, size)


def test_adaptive_pooling_of_lines_and_volumes(check):
    check("adaptive_avg_pool1d", numbers(2, 3, 10), [4])
    check("adaptive_max_pool1d", numbers(2, 3, 10), [4])
    check("adaptive_avg_pool3d", numbers(2, 3, 5, 6, 4), [2, 3, 3])
    check("adaptive_max_pool3d", numbers(2, 3, 5, 6, 4), [2, 3, 3])
    check("adaptive_avg_pool2d", numbers(3, 9, 8), [2, 2])


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(14, 15), (7, 30), (4, 5), (1, 1), (9, 8)])
def test_upsampling_by_weights(check, size, align):
    images = numbers(2, 3, 7, 9)
    check("upsample_bilinear2d", images, size, align)
    check("upsample_bicubic2d", images, size, align)
    check("_upsample_bilinear2d_aa", images, size, align)
    check("_upsample_bicubic2d_aa", images, size, align)


@pytest.mark.parametrize("factors", [(2.0, 2.0), (1.5, 3.3), (0.7, 0.4)])
def test_upsampling_by_factors(check, factors):
    images = numbers(2, 3, 7, 9)
    for name in ("upsample_bilinear2d", "upsample_bicubic2d"):
        check(f"{name}.vec", images, None, False, factors)
    for name in ("upsample_nearest2d", "_upsample_nearest_exact2d"):
        check(f"{name}.vec", images, None, factors)
    check(
        "upsample_bilinear2d", images, [int(7 * factors[0]), int(9 * factors[1])], False, *factors
    )
    check("upsample_nearest2d", images, [int(7 * factors[0]), int(9 * factors[1])], *factors)


@pytest.mark.parametrize("size", [(14, 18), (7, 20), (3, 4), (21, 9)])
def test_nearest(check, size):
    for name in ("upsample_nearest2d", "_upsample_nearest_exact2d"):
        check(name, numbers(2, 3, 7, 9), size)


def test_upsampling_of_lines_and_volumes(check):
    check("upsample_linear1d", numbers(2, 3, 7), [10], False)
    check("upsample_linear1d", numbers(2, 3, 7), [10], True, 1.5)
    check("upsample_trilinear3d", numbers(2, 3, 4, 5, 3), [6, 7, 9], False)
    check("upsample_nearest1d", numbers(2, 3, 7), [10])
    check("upsample_nearest3d", numbers(2, 3, 4, 5, 3), [8, 7, 9])


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize(("mode", "padding"), list(itertools.product([0, 1, 2], [0, 1, 2])))
def test_sampling_at_a_grid(check, mode, padding, align):
    grid = numbers(2, 4, 3, 2, low=-1.4, high=1.4)
    check("grid_sampler_2d", numbers(2, 3, 6, 5), grid, mode, padding, align)


def test_affine_grid_shuffles_and_windows(check):
    for align in (False, True):
        check("affine_grid_generator", numbers(2, 2, 3), [2, 3, 5, 6], align)
    check("pixel_shuffle", numbers(2, 12, 3, 4), 2)
    check("pixel_unshuffle", numbers(2, 3, 6, 4), 2)
    check("channel_shuffle", numbers(2, 12, 3, 4), 3)
    for arguments in (((3, 2), (1, 1), (1, 1), (2, 1)), ((2, 2), (2, 1), (0, 1), (1, 1))):
        check("im2col", numbers(2, 3, 6, 7), *arguments)
    columns = np.asarray(whole(2, 3 * 4, 30), np.float64)
    check("col2im", columns, (7, 6), (2, 2), (1, 1), (0, 0), (1, 1))
    check("col2im", numbers(2, 3 * 9, 16), (8, 8), (3, 3), (1, 1), (1, 1), (2, 2))
