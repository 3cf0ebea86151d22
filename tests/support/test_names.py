"""The public names: loaded when they are used, and the same for tools that read types."""

import ast
import importlib
from pathlib import Path

import jaxadv


def test_every_name_is_where_it_is_said_to_be():
    for name in jaxadv.__all__:
        assert getattr(jaxadv, name).__name__ == name


def test_tools_that_read_types_see_the_same_names():
    tree = ast.parse(Path(jaxadv.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == jaxadv._HOME


def test_both_packages_say_that_they_have_types():
    for package in ("jaxadv", "model_ports"):
        assert (Path(importlib.import_module(package).__file__).parent / "py.typed").is_file()
