"""Compiled programs on disk say what they are; others are made again, and one line says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jax._src import compilation_cache
from program_files import Files

from jaxadv.core import kept
from jaxadv.support import trust

ROOT = Path(__file__).parents[2]
CONTENT = b"a program\n" * 30


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_rejected", set())
    return kept.Sealed(Files(tmp_path))


def lines(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_what_is_put_is_got(cache, capsys):
    assert cache.get("f") is None
    cache.put("f", CONTENT)
    assert cache.get("f") == CONTENT and not lines(capsys)


def test_one_line_for_a_folder_of_damaged_programs(cache, tmp_path, capsys):
    for key in "fgh":
        cache.put(key, CONTENT)
        path = tmp_path / f"{key}-cache"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert cache.get(key) is None and not path.exists()
    (line,) = lines(capsys)
    assert "f-cache' is damaged; this program is made again, as is any other damaged one in" in line


def test_a_program_in_the_place_of_another_is_not_used(cache, tmp_path, capsys):
    cache.put("f", CONTENT)
    (tmp_path / "f-cache").rename(tmp_path / "g-cache")
    assert cache.get("g") is None and len(lines(capsys)) == 1


def test_a_program_of_jax_without_a_seal_is_not_used(cache, tmp_path, capsys):
    (tmp_path / "f-cache").write_bytes(CONTENT)
    assert cache.get("f") is None and len(lines(capsys)) == 1


def test_a_program_of_another_user_is_not_used(cache, monkeypatch, capsys):
    cache.put("f", CONTENT)
    monkeypatch.setattr(trust, "belongs_to_another", lambda path: True)
    assert cache.get("f") is None
    (line,) = lines(capsys)
    assert "f-cache' belongs to another user" in line


def test_who_made_a_file_is_compared(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"")
    assert not trust.belongs_to_another(tmp_path / "f")
    if os.stat(tmp_path / "f").st_uid:  # root's may be anybody's
        monkeypatch.setattr(os, "getuid", lambda: 123456)
        assert trust.belongs_to_another(tmp_path / "f")


def test_a_disk_that_takes_or_gives_nothing_is_told_once(cache, monkeypatch, capsys):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Files, "put", fail)
    for _ in range(3):
        cache.put("f", CONTENT)
    (line,) = lines(capsys)
    assert "are not kept in" in line and "No space left on device" in line
    monkeypatch.setattr(Files, "get", fail)
    assert cache.get("f") is None and not lines(capsys)


def test_programs_of_jax_lie_sealed_in_a_folder_of_their_own(tmp_path, monkeypatch, capsys):
    """However often that is asked for. A version of JAX without these files stays as it is."""
    monkeypatch.delattr(compilation_cache, "get_file_cache", raising=False)
    kept.install()
    assert not hasattr(compilation_cache, "get_file_cache")
    opened: list[str] = []

    def original(path: str):
        opened.append(path)
        return (Files(tmp_path), path) if len(opened) == 1 else None

    monkeypatch.setattr(compilation_cache, "get_file_cache", original, raising=False)
    kept.install()
    installed = compilation_cache.get_file_cache
    kept.install()
    assert compilation_cache.get_file_cache is installed is not original
    cache, path = installed("folder")
    assert opened == [path] == [str(Path("folder") / "sealed")]
    cache.put("f", CONTENT)
    assert (tmp_path / "f-cache").read_bytes().endswith(CONTENT) and cache.get("f") == CONTENT
    assert (tmp_path / "f-cache").read_bytes() != CONTENT
    assert installed("folder") is None and not lines(capsys)


@pytest.mark.long
def test_programs_of_a_process_are_those_of_the_next(tmp_path):
    """In JAX itself. A damaged one is made again, in one line, and then kept again."""
    code = """
from jaxadv.support import compilation
compilation.keep_programs("")
import jaxadv.core.programs, jax, jax.numpy as jnp
print(jax.jit(lambda x: jnp.sin(2 * x).sum())(jnp.arange(3.0)))
"""
    known = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
    }

    def run() -> tuple[str, list[str], dict[str, int]]:
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | known, capture_output=True, text=True
        )
        times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "sealed").iterdir()}
        programs = {name: at for name, at in times.items() if name.endswith("-cache")}
        return done.stdout, done.stderr.splitlines(), programs

    said, errors, first = run()
    assert float(said) and not errors and first
    assert run() == (said, [], first)
    for name in first:
        path = tmp_path / "sealed" / name
        content = path.read_bytes()
        assert content.startswith(b'["jit_')
        path.write_bytes(content[: len(content) // 2])
    again, (line,), second = run()
    assert again == said and "is damaged; this program is made again" in line
    assert second.keys() == first.keys() and all(second[name] > at for name, at in first.items())
