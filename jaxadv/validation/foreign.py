"""Compares a network of another library with its original, which that library executes."""

from jaxadv.evaluation import foreign_networks


def compare(name: str, *, pretrained: bool, input_size: int | None) -> list[str]:
    """Convert a network of another library, and compare it with its original.

    Args:
        name: its full name, such as "timm:resnet50".
        pretrained: whether it has its trained weights; random ones if not.
        input_size: pixels; None for its usual size.

    Returns:
        Lines for a terminal: the relative differences of logits and gradients in each precision.

    Raises:
        InputError: if the network cannot be converted, or differs from its original by more than
            rounding.
    """
    classifier = foreign_networks.load(name, taken=(), pretrained=pretrained, input_size=input_size)
    lines = [f"{name}: {classifier.facts['framework']}, {classifier.input_size} pixels"]
    for precision, measured in classifier.facts["proof"].items():
        text = measured
        if isinstance(measured, dict):
            text = ", ".join(
                f"{what} {'not compared' if value is None else f'{value:.1e}'}"
                for what, value in measured.items()
            )
        lines.append(f"  {precision} precision, relative difference: {text}")
    return [*lines, "the same function within tolerance"]
