"""A module of PyTorch as a file of ONNX."""

import warnings
from pathlib import Path

import torch


def export(
    module: torch.nn.Module, path: Path, size: int, *, opset: int, new: bool, any_batch: bool = True
) -> None:
    """By one of PyTorch's two exporters."""
    images = torch.rand((2 if any_batch else 1, 3, size, size))
    batch: dict = {}
    if any_batch and new:
        batch = {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1)},)}
    elif any_batch:
        batch = {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (images,), path, opset_version=opset, dynamo=new, verbose=False, **batch
        )
