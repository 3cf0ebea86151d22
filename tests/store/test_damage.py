"""Damaged files are reported and repaired.

Every changed bit is noticed, and none ends in a traceback.
"""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from test_belonging import identity, made, part, rows, said

from jaxadv.core.journal import Journal
from jaxadv.store import image_store, manifest
from jaxadv.store import run as store
from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run
from model_ports.errors import InputError

FEW = 120
"""Bits of each kind of file; `-m slow` takes MANY."""
MANY = 1000

bits = pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])


def flipped(path: Path, count: int, seed: int = 0):
    """The file with one bit changed, again and again, then as it was."""
    whole, chance = path.read_bytes(), random.Random(seed)
    for place in chance.sample(range(8 * len(whole)), min(count, 8 * len(whole))):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        yield place
    path.write_bytes(whole)


def cut(path: Path, count: int, seed: int = 0):
    """The file at random lengths, or with zeros behind them, as a crash leaves it; then as it
    was.
    """
    whole, chance = path.read_bytes(), random.Random(seed)
    for length in [0, len(whole) - 1, *chance.sample(range(len(whole)), min(count, len(whole)))]:
        path.write_bytes(whole[:length] + bytes(chance.choice([0, len(whole) - length])))
        if path.read_bytes() != whole:
            yield length
    path.write_bytes(whole)


@bits
@pytest.mark.parametrize("kind", ["clean", "examples", "clever", "transfer"])
def test_no_bit_of_a_part_changes_without_a_word(tmp_path, capsys, kind, count):
    run = made(tmp_path, identity(), "a", "b", kinds=(kind,), count=40)
    path, expected = part(tmp_path, kind, "a"), run.read(kind)
    whole = path.read_bytes()
    for damage in (flipped, cut):
        for _ in damage(path, count // 4):
            try:
                left = run.read(kind)
            except InputError as error:
                assert "\n" not in str(error) and "a.parquet' is not a readable part" in str(error)
            else:  # it no longer looks as if it were ours: it is left out
                assert "left out: " in capsys.readouterr().err and len(left) == 40
            assert not run.has(kind, "a") and not path.exists() and said(capsys)
            for aside in path.parent.glob("*.set-aside*"):
                aside.unlink()
            path.write_bytes(whole)
    assert run.has(kind, "a") and run.read(kind).equals(expected)


@bits
def test_sums_in_a_footer_are_compared(tmp_path, count):
    run = made(tmp_path, identity(), "a", kinds=("transfer",), count=40)
    expected, silent = run.transfer_sums(), 0
    for _ in flipped(part(tmp_path, "transfer", "a"), count // 6, seed=1):
        try:
            silent += not run.transfer_sums().equals(expected)
        except InputError:
            pass
    assert not silent


@bits
@pytest.mark.parametrize("damage", [flipped, cut])
def test_a_manifest_is_made_again_from_the_parts(tmp_path, capsys, damage, count):
    """The user has to do nothing else, and the run continues with its settings alone."""
    made(tmp_path, identity(clever_samples=3), "a", kinds=("clean",))
    made(tmp_path, identity(), "a", kinds=("examples",))
    made(tmp_path, identity(), "b", kinds=("clever",))
    path, run = tmp_path / manifest.NAME, Run(tmp_path)
    whole, expected = path.read_bytes(), run.manifest()
    capsys.readouterr()
    for _ in damage(path, count // 4):
        store._said.clear()
        assert run.manifest() == expected
        harmless = path.read_bytes().strip() == whole.strip()  # cut before the last line break
        assert harmless or "its entries are taken from the parts" in capsys.readouterr().err
        with pytest.raises(InputError, match="--lanes 4 there, 9 now"):
            Run.begin(tmp_path, identity(lanes=9))
        with Run.begin(tmp_path, identity()) as again:
            assert again.manifest() == expected and len(again.read("clean")) == 3
    path.unlink()
    assert (
        run.manifest() == expected
        and "is missing; its entries are taken from the parts" in capsys.readouterr().err
    )


def test_a_manifest_is_that_of_most_parts(tmp_path, capsys):
    """Of another run's parts that were put beside them it takes nothing."""
    run = made(tmp_path / "here", identity(), "a", "b")
    made(tmp_path / "there", identity(lanes=8), "c")
    part(tmp_path / "there", "clean", "c").rename(part(tmp_path / "here", "clean", "c"))
    expected = run.manifest()
    (tmp_path / "here" / manifest.NAME).write_text("{")
    capsys.readouterr()
    assert run.manifest() == expected and len(run.read("clean")) == 6
    assert any("of another run (--lanes 8 there, 4 now)" in line for line in said(capsys))


@bits
@pytest.mark.parametrize("what", ["lanes", "outcomes"])
def test_a_damaged_journal_is_told_and_its_work_done_again(tmp_path, capsys, what, count):
    journal = Journal(tmp_path, "a-cw-0000", seconds=0, digest="d")
    for item in range(3):
        journal.add(item, [np.arange(20.0), np.float32(item)])
    journal.write(
        "0-0", {"holds": np.arange(4), "leaf0": np.random.default_rng(0).random((4, 8, 8))}
    )
    (path,) = tmp_path.glob(f"*+{what}*")
    whole = path.read_bytes()
    for damage in (flipped, cut):
        for _ in damage(path, count // 2):
            again = Journal(tmp_path, "a-cw-0000", seconds=0, digest="d")
            assert not (again.lanes("0-0") if what == "lanes" else again.outcomes())
            (line,) = said(capsys)
            assert (
                "is damaged; the unfinished work in it is done again" in line
                or "renamed to" in line
            )
            assert not path.exists()
            for aside in tmp_path.glob("*.set-aside*"):
                aside.unlink()
            path.write_bytes(whole)
    assert len(again.outcomes()) == 3 and len(again.lanes("0-0")) == 2


def test_what_follows_a_damaged_file_of_outcomes_is_kept(tmp_path, capsys):
    journal = Journal(tmp_path, "a", seconds=0)
    for item in range(3):
        journal.add(item, [np.ones(2)])
        journal.write()
    (tmp_path / "a@0-+outcomes-00001.npz").write_bytes(b"")
    again = Journal(tmp_path, "a", seconds=0)
    assert list(again.outcomes()) == [0, 2]
    again.add(1, [np.ones(2)])
    again.write()
    assert sorted(Journal(tmp_path, "a", seconds=0).outcomes()) == [0, 1, 2]


@bits
def test_no_bit_of_kept_images_changes_without_a_word(tmp_path, count):
    images = np.random.default_rng(0).random((5, 8, 8, 3), np.float32)
    image_store.write(tmp_path, "a", images, digest="d")
    for path in sorted((tmp_path / "adversarial").rglob("*")):
        if path.is_file():
            for _ in flipped(path, count // 2):
                changed = not image_store.has(tmp_path, "a", digest="d")
                try:
                    assert np.array_equal(image_store.read(tmp_path, "a"), images)
                except InputError as error:
                    assert changed and "\n" not in str(error)
    assert image_store.has(tmp_path, "a", digest="d") and not image_store.has(
        tmp_path, "a", digest="e"
    )


def test_hostile_metadata_of_images_ends_in_one_line(tmp_path):
    """A shape of 2^40, and brackets that no parser of JSON follows: what has no checksum is not
    opened.
    """
    image_store.write(tmp_path, "a", np.zeros((2, 8, 8, 3), np.float32))
    path = tmp_path / "adversarial" / "part-a.zarr" / "zarr.json"
    metadata = json.loads(path.read_text())
    for text in (
        json.dumps(metadata | {"shape": [2**40, 8, 8, 3]}),
        "[" * 100_000,
        "null",
        '{"attributes": 3}',
    ):
        path.write_text(text)
        assert not image_store.has(tmp_path, "a")
        with pytest.raises(InputError, match="is not a readable array"):
            image_store.read(tmp_path, "a")


def test_every_kind_of_rows_is_sealed(tmp_path):
    run = made(tmp_path, identity(), "a", kinds=tuple(KINDS))
    for kind in KINDS:
        assert run.has(kind, "a") and len(run.read(kind)) == 3
        path = part(tmp_path, kind, "a")
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 16
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not a readable part"):
            run.read(kind)
    assert rows("clean").shape == (3, len(KINDS["clean"]))
