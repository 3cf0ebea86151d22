"""Faults made on purpose: how many does a room's tests notice?

python tests/mutants.py [COUNT] [SEED]

Each mutant changes one expression in a copy of the project, and the quick tests of its room run
against it. It prints what survived, and the share that was noticed with Wilson's interval.
"""

import ast
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = {
    "jaxadv/core": ("tests/core",),
    "jaxadv/evaluation": ("tests/evaluation", "tests/commands"),
    "jaxadv/store": ("tests/store",),
    "jaxadv/report/findings.py": ("tests/report",),
}
"""Where mutants are drawn, and the tests that should notice them."""
AT_ONCE = 2
LIMIT = 3600
"""Seconds after which a mutant counts as noticed: the tests do not end."""
COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}

ONLY_FORM = ("strict", "copy", "indent", "daemon")
"""Arguments that change no result of right code: of zip, astype, json.dumps and Thread."""


def main(count: int, seed: int) -> None:
    """Draw the mutants, test them, and print the score."""
    sites = [(room, path, site) for room in ROOMS for path in _files(room) for site in _sites(path)]
    drawn = random.Random(seed).sample(sites, count)
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        noticed = sum(pool.map(lambda one: _noticed(*one), drawn))
    low, high = _wilson(noticed, count)
    print(
        f"{noticed} of {count} noticed ({noticed / count:.0%}, 95 % interval {low:.0%} to "
        f"{high:.0%}) of {len(sites)} sites, seed {seed}, {time.monotonic() - began:.0f} s"
    )


def _files(room: str) -> list[Path]:
    path = ROOT / room
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def _sites(path: Path) -> Iterator[tuple[int, int, int, str, str]]:
    """First line, first and last column, what stands there, and what the mutant says instead."""
    source = path.read_text()
    tree = ast.parse(source)
    left_out = {
        below for node in ast.walk(tree) for part in _not_run(node) for below in ast.walk(part)
    }
    for node in ast.walk(tree):
        if node not in left_out and isinstance(node, ast.expr) and node.lineno == node.end_lineno:
            changed = _changed(node)
            text = ast.get_source_segment(source, node)
            if changed is not None and text:
                yield node.lineno, node.col_offset, node.end_col_offset or 0, text, changed


def _not_run(node: ast.AST) -> list[ast.AST]:
    """What computes no result: annotations, decorators, texts, assertions, and `ONLY_FORM`; and the
    values of named constants, which are choices.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        every = (*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs)
        return [*node.decorator_list, *filter(None, [node.returns, *(a.annotation for a in every)])]
    if isinstance(node, ast.ClassDef):
        return list(node.decorator_list)
    if isinstance(node, ast.AnnAssign):
        return [node.annotation]
    if isinstance(node, ast.JoinedStr | ast.Assert):
        return [node]
    if isinstance(node, ast.keyword) and node.arg in ONLY_FORM:
        return [node.value]
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
        return [node.value] if all(_is_constant(target) for target in node.targets) else []
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return [node]
    return []


def _is_constant(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.isupper()


def _changed(node: ast.expr) -> str | None:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        other = COMPARED[type(node.ops[0])]()
        return f"({ast.unparse(ast.Compare(node.left, [other], node.comparators))})"
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return f"({ast.unparse(ast.BoolOp(other, node.values))})"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return f"bool({ast.unparse(node.operand)})"
    if isinstance(node, ast.BinOp) and type(node.op) in COMPUTED:
        return f"({ast.unparse(ast.BinOp(node.left, COMPUTED[type(node.op)](), node.right))})"
    if isinstance(node, ast.IfExp):
        return f"({ast.unparse(ast.IfExp(node.test, node.orelse, node.body))})"
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return str(not node.value)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return repr(node.value + 1)
    return None


def _noticed(room: str, path: Path, site: tuple[int, int, int, str, str]) -> bool:
    line, first, last, text, changed = site
    name = path.relative_to(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
        for kept in listed.stdout.splitlines():
            (copy / kept).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / kept, copy / kept, follow_symlinks=False)
        lines = (copy / name).read_bytes().splitlines(keepends=True)
        whole = lines[line - 1]
        lines[line - 1] = whole[:first] + changed.encode() + whole[last:]
        (copy / name).write_bytes(b"".join(lines))
        began = time.monotonic()
        options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--durations=0", "--no-header"]
        command = [sys.executable, "-m", "pytest", *options, *_tests(room, path)]
        try:
            ended = subprocess.run(command, cwd=copy, capture_output=True, timeout=LIMIT)
            noticed = ended.returncode != 0
        except subprocess.TimeoutExpired:
            noticed = True
    word = "noticed" if noticed else "SURVIVED"
    seconds = time.monotonic() - began
    print(f"{word} {seconds:4.0f} s {name}:{line}: {text}  ->  {changed}", flush=True)
    return noticed


def _tests(room: str, path: Path) -> list[str]:
    """The tests of a room.

    Files that name the mutant's module come first, since they notice it soonest.
    """
    name = re.compile(rf"\b{path.stem}\b")
    files = [file for test in ROOMS[room] for file in sorted((ROOT / test).rglob("test_*.py"))]
    first = sorted(
        (file for file in files if name.search(file.name + file.read_text())),
        key=lambda file: (path.stem not in file.stem, len(name.findall(file.read_text())) < 3),
    )
    return [str(file.relative_to(ROOT)) for file in first] + [*ROOMS[room]]


def _wilson(noticed: int, count: int) -> tuple[float, float]:
    share, z = noticed / count, 1.96
    middle = (share + z * z / 2 / count) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / 4 / count**2) ** 0.5
    return middle - half, middle + half


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*numbers, *(60, 0)[len(numbers) :])
