"""Lists the layers of three Inceptions by TF-Slim's variable scopes, in the order of their
creation.

Other frameworks create the same layers in the same order, under other names or none. Blocks are
written branch by branch. Source: the networks of TF-Slim as of 2018 (inception_v3.py,
inception_v4.py, inception_resnet_v2.py).
"""

Branches = tuple[tuple[str, ...], ...]

POINT = ("Conv2d_0a_1x1",)
POOLED = ("Conv2d_0b_1x1",)  # after a pool
DOUBLE = (*POINT, "Conv2d_0b_3x3")
TRIPLE = (*DOUBLE, "Conv2d_0c_3x3")
ROW_COLUMN = (*POINT, "Conv2d_0b_1x7", "Conv2d_0c_7x1")
TWICE = (*POINT, "Conv2d_0b_7x1", "Conv2d_0c_1x7", "Conv2d_0d_7x1", "Conv2d_0e_1x7")
SEVENS: Branches = (POINT, ROW_COLUMN, TWICE, POOLED)

STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
LONG_STEM = (*STEM, "Conv2d_3b_1x1", "Conv2d_4a_3x3")


def scopes(block: str, branches: Branches, *, first: int = 0) -> list[str]:
    """The scopes of one block: "Mixed_5b/Branch_0/Conv2d_0a_1x1" and so on.

    Args:
        block: the scope of the block.
        branches: the layers of each branch.
        first: the number of the first branch.
    """
    return [
        f"{block}/Branch_{number}/{layer}"
        for number, layers in enumerate(branches, start=first)
        for layer in layers
    ]


def inception_v3() -> list[str]:
    """The scopes of the 94 convolutions."""
    layers = list(LONG_STEM)
    for letter, five in zip(
        "bcd",
        (("Conv2d_0a_1x1", "Conv2d_0b_5x5"), ("Conv2d_0b_1x1", "Conv_1_0c_5x5")) * 2,
        strict=False,
    ):
        layers += scopes(f"Mixed_5{letter}", (POINT, five, TRIPLE, POOLED))
    layers += scopes("Mixed_6a", (("Conv2d_1a_1x1",), (*DOUBLE, "Conv2d_1a_1x1")))
    for letter in "bcde":
        layers += scopes(f"Mixed_6{letter}", SEVENS)
    layers += scopes("Mixed_7a", ((*POINT, "Conv2d_1a_3x3"), (*ROW_COLUMN, "Conv2d_1a_3x3")))
    for letter, last in (("b", "Conv2d_0b_3x1"), ("c", "Conv2d_0c_3x1")):
        fork = (*POINT, "Conv2d_0b_1x3", last)
        layers += scopes(
            f"Mixed_7{letter}", (POINT, fork, (*DOUBLE, "Conv2d_0c_1x3", "Conv2d_0d_3x1"), POOLED)
        )
    return layers


def inception_v4() -> list[str]:
    """The scopes of the 149 convolutions."""
    layers = [*STEM, "Mixed_3a/Branch_1/Conv2d_0a_3x3"]
    layers += scopes("Mixed_4a", ((*POINT, "Conv2d_1a_3x3"), (*ROW_COLUMN, "Conv2d_1a_3x3")))
    layers += ["Mixed_5a/Branch_0/Conv2d_1a_3x3"]
    for letter in "bcde":
        layers += scopes(f"Mixed_5{letter}", (POINT, DOUBLE, TRIPLE, POOLED))
    layers += scopes("Mixed_6a", (("Conv2d_1a_3x3",), (*DOUBLE, "Conv2d_1a_3x3")))
    for letter in "bcdefgh":
        layers += scopes(f"Mixed_6{letter}", SEVENS)
    layers += scopes("Mixed_7a", ((*POINT, "Conv2d_1a_3x3"), (*ROW_COLUMN, "Conv2d_1a_3x3")))
    forked = (*POINT, "Conv2d_0b_3x1", "Conv2d_0c_1x3", "Conv2d_0d_1x3", "Conv2d_0e_3x1")
    for letter in "bcd":
        layers += scopes(
            f"Mixed_7{letter}", (POINT, (*POINT, "Conv2d_0b_1x3", "Conv2d_0c_3x1"), forked, POOLED)
        )
    return layers


ALONE = ("Conv2d_1x1",)
RESIDUAL_BRANCHES: dict[str, Branches] = {
    "block35": (ALONE, DOUBLE, TRIPLE),
    "block17": (ALONE, ROW_COLUMN),
    "block8": (ALONE, (*POINT, "Conv2d_0b_1x3", "Conv2d_0c_3x1")),
}


def inception_resnet_v2() -> list[str]:
    """The scopes of the 204 normalised convolutions.

    Those of `residual_blocks` with a bias are not here.
    """
    layers = [
        *LONG_STEM,
        *scopes("Mixed_5b", (ALONE, ("Conv2d_0a_1x1", "Conv2d_0b_5x5"), TRIPLE, POOLED)),
    ]
    between = {
        "block17_1": scopes("Mixed_6a", (("Conv2d_1a_3x3",), (*DOUBLE, "Conv2d_1a_3x3"))),
        "block8_1": scopes(
            "Mixed_7a", ((*POINT, "Conv2d_1a_3x3"),) * 2 + ((*DOUBLE, "Conv2d_1a_3x3"),)
        ),
    }
    for scope in residual_blocks():
        layers += between.get(scope.split("/")[-1], [])
        layers += scopes(scope, RESIDUAL_BRANCHES[scope.split("/")[-1].lower().split("_")[0]])
    return [*layers, "Conv2d_7b_1x1"]


def residual_blocks() -> list[str]:
    """The scopes of the 40 residual blocks of Inception-ResNet-v2."""
    repeats = (("Repeat/block35", 10), ("Repeat_1/block17", 20), ("Repeat_2/block8", 9))
    return [f"{scope}_{number}" for scope, count in repeats for number in range(1, count + 1)] + [
        "Block8"
    ]
