"""The layers of three Inceptions in the order in which they are made, by the names of their variable scopes in TF-Slim.

Other frameworks make the same layers in the same order, under other names or none. Blocks are written branch by branch:
(branch, layer) pairs. Source: the networks of TF-Slim as of 2018 (inception_v3.py, inception_v4.py, inception_resnet_v2.py).
"""

Branches = tuple[tuple[str, ...], ...]

POINT = ("Conv2d_0a_1x1",)
POOLED = ("Conv2d_0b_1x1",)  # behind a pool
DOUBLE = (*POINT, "Conv2d_0b_3x3")
TRIPLE = (*DOUBLE, "Conv2d_0c_3x3")
ROW_COLUMN = (*POINT, "Conv2d_0b_1x7", "Conv2d_0c_7x1")
TWICE = (*POINT, "Conv2d_0b_7x1", "Conv2d_0c_1x7", "Conv2d_0d_7x1", "Conv2d_0e_1x7")
SEVENS: Branches = (POINT, ROW_COLUMN, TWICE, POOLED)

STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
LONG_STEM = (*STEM, "Conv2d_3b_1x1", "Conv2d_4a_3x3")


def scopes(block: str, branches: Branches, *, first: int = 0) -> list[str]:
    """'Mixed_5b/Branch_0/Conv2d_0a_1x1', ... of one block; `first` is the number of the first branch."""
    return [
        f"{block}/Branch_{number}/{layer}"
        for number, layers in enumerate(branches, start=first)
        for layer in layers
    ]


def inception_v3() -> list[str]:
    """94 convolutions."""
    found = list(LONG_STEM)
    for letter, five in zip(
        "bcd",
        (("Conv2d_0a_1x1", "Conv2d_0b_5x5"), ("Conv2d_0b_1x1", "Conv_1_0c_5x5")) * 2,
        strict=False,
    ):
        found += scopes(f"Mixed_5{letter}", (POINT, five, TRIPLE, POOLED))
    found += scopes("Mixed_6a", (("Conv2d_1a_1x1",), (*DOUBLE, "Conv2d_1a_1x1")))
    for letter in "bcde":
        found += scopes(f"Mixed_6{letter}", SEVENS)
    found += scopes("Mixed_7a", ((*POINT, "Conv2d_1a_3x3"), (*ROW_COLUMN, "Conv2d_1a_3x3")))
    for letter, last in (("b", "Conv2d_0b_3x1"), ("c", "Conv2d_0c_3x1")):
        fork = (*POINT, "Conv2d_0b_1x3", last)
        found += scopes(
            f"Mixed_7{letter}", (POINT, fork, (*DOUBLE, "Conv2d_0c_1x3", "Conv2d_0d_3x1"), POOLED)
        )
    return found


def inception_v4() -> list[str]:
    """149 convolutions."""
    found = [*STEM, "Mixed_3a/Branch_1/Conv2d_0a_3x3"]
    found += scopes("Mixed_4a", ((*POINT, "Conv2d_1a_3x3"), (*ROW_COLUMN, "Conv2d_1a_3x3")))
    found += ["Mixed_5a/Branch_0/Conv2d_1a_3x3"]
    for letter in "bcde":
        found += scopes(f"Mixed_5{letter}", (POINT, DOUBLE, TRIPLE, POOLED))
    found += scopes("Mixed_6a", (("Conv2d_1a_3x3",), (*DOUBLE, "Conv2d_1a_3x3")))
    for letter in "bcdefgh":
        found += scopes(f"Mixed_6{letter}", SEVENS)
    found += scopes("Mixed_7a", ((*POINT, "Conv2d_1a_3x3"), (*ROW_COLUMN, "Conv2d_1a_3x3")))
    forked = (*POINT, "Conv2d_0b_3x1", "Conv2d_0c_1x3", "Conv2d_0d_1x3", "Conv2d_0e_3x1")
    for letter in "bcd":
        found += scopes(
            f"Mixed_7{letter}", (POINT, (*POINT, "Conv2d_0b_1x3", "Conv2d_0c_3x1"), forked, POOLED)
        )
    return found


ALONE = ("Conv2d_1x1",)
RESIDUAL_BRANCHES: dict[str, Branches] = {
    "block35": (ALONE, DOUBLE, TRIPLE),
    "block17": (ALONE, ROW_COLUMN),
    "block8": (ALONE, (*POINT, "Conv2d_0b_1x3", "Conv2d_0c_3x1")),
}


def inception_resnet_v2() -> list[str]:
    """204 normalised convolutions; `residual_blocks` have another, with a bias, each."""
    found = [
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
        found += between.get(scope.split("/")[-1], [])
        found += scopes(scope, RESIDUAL_BRANCHES[scope.split("/")[-1].lower().split("_")[0]])
    return [*found, "Conv2d_7b_1x1"]


def residual_blocks() -> list[str]:
    """The scopes of the 40 residual blocks of Inception-ResNet-v2."""
    repeats = (("Repeat/block35", 10), ("Repeat_1/block17", 20), ("Repeat_2/block8", 9))
    return [f"{scope}_{number}" for scope, count in repeats for number in range(1, count + 1)] + [
        "Block8"
    ]
