"""The forms of names of other libraries' networks.

It imports nothing, so that the command line starts at once.
"""

FORMS = (
    "timm:NAME",
    "torchvision:NAME",
    "keras:NAME",
    "torch:FILE.py:FUNCTION",
    "onnx:FILE",
    "robustbench:NAME",
)
LIBRARIES = tuple(form.partition(":")[0] for form in FORMS)


def is_foreign(full: str) -> bool:
    """Whether a name has one of the forms, such as "timm:resnet50"."""
    library, colon, _ = full.partition(":")
    return bool(colon) and library in LIBRARIES
