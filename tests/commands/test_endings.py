"""Everything that ends a command ends it in one line with a status, whatever the terminal and the
place.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from absl.testing import flagsaver

from jaxadv.commands import cli
from jaxadv.support import ending, flagfiles, log
from model_ports.errors import InputError

ROOT = Path(__file__).parents[2]
LIST = ["report", "--out=nowhere"]  # a command that needs no JAX


def shell(command: str, **environment: str) -> subprocess.CompletedProcess:
    """A command line in which $RUN is the program."""
    known = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "RUN": f"{sys.executable} {ROOT / 'run.py'}",
    }
    return subprocess.run(
        ["bash", "-c", command],
        env=known | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def ended(error: BaseException, capsys, monkeypatch) -> tuple[int, str]:
    """Status and line of a command that raises."""

    def work():
        raise error

    with pytest.raises(SystemExit) as exit:
        ending.guarded(work, "run.py")
    (line,) = capsys.readouterr().err.splitlines()
    return exit.value.code, line


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("eps is -1;\n give more"), 2, "run.py: eps is -1; give more"),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "Permission denied: '/x/y'"),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range"), 2, "ordinal not in range"),
        (MemoryError(), 2, "memory ran out"),
        (BrokenPipeError(32, "Broken pipe"), 141, "has gone"),
        (
            RuntimeError("Unable to initialize backend 'rocm': no such thing"),
            2,
            "JAX finds no device",
        ),
        (RecursionError("maximum recursion depth exceeded"), 1, "RecursionError"),
        (SystemExit(0), 1, "something called sys.exit(0)"),
        (ZeroDivisionError("of mine\nin two lines"), 1, "ZeroDivisionError: of mine in two lines"),
    ],
)
def test_whatever_is_raised_is_one_line(error, status, words, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(log, "last", None)
    found, line = ended(error, capsys, monkeypatch)
    assert found == status and words in line and line.startswith("run.py: ")
    kept = list(tmp_path.iterdir())
    assert ("the traceback is in" in line) == bool(kept) and all(str(path) in line for path in kept)
    assert all("Traceback" in path.read_text() or "SystemExit" in path.read_text() for path in kept)


def test_the_traceback_is_in_the_log_of_the_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(log, "last", None)
    error = ZeroDivisionError("of mine")
    with pytest.raises(ZeroDivisionError), log.to_file(tmp_path):
        raise error
    _, line = ended(error, capsys, monkeypatch)
    assert str(tmp_path / "log" / "process-0.log") in line
    assert "ZeroDivisionError: of mine" in (tmp_path / "log" / "process-0.log").read_text()


def test_a_log_of_somebody_else_is_not_continued(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "process-0.log").write_text("my diary\n")
    with pytest.raises(InputError, match="was not written by a run"), log.to_file(tmp_path):
        pass
    assert (tmp_path / "log" / "process-0.log").read_text() == "my diary\n"


@pytest.mark.few(
    "$RUN report --out=nowhere <&- >&- 2>&--2",
    "$RUN --help > /dev/full-2",
    "mkdir gone && cd gone && rmdir ../gone && $RUN report --out=here-2",
    "mkfifo pipe && $RUN report --out=pipe-2",
    "HOME= $RUN report '--out=~/run'-2",
    "$RUN report --flagfile=.-2",
    "$RUN $'\\e[2J'-2",
)
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("$RUN report --out=nowhere 2>&-", 2),
        ("$RUN report --out=nowhere <&- >&- 2>&-", 2),
        ("$RUN --help > /dev/full", 2),
        ("PYTHONIOENCODING=ascii $RUN report --out=nö∞where", 2),
        ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $RUN report --out=$'caf\\xe9'", 2),
        ("$RUN report --out=$'caf\\xe9'", 2),
        ("env -u HOME $RUN report --out=~nobodyatall/x", 2),
        ("mkdir gone && cd gone && rmdir ../gone && $RUN report --out=here", 2),
        ("mkdir gone && cd gone && rmdir ../gone && $RUN evaluate --models=none --out=here", 2),
        ("mkfifo pipe && $RUN report --out=pipe", 2),
        ("$RUN report --out=/dev/null", 2),
        ("$RUN report --out=/dev/full/x", 2),
        ("$RUN report --out=", 2),
        ("HOME= $RUN report '--out=~/run'", 2),
        ("HOME=here $RUN report '--out=~/run'", 2),
        ("$RUN report --out=$(printf 'a/%.0s' {1..3000})", 2),
        ("ulimit -f 0; $RUN report --out=nowhere", 2),
        ("TMPDIR=/nowhere $RUN report --out=nowhere", 2),
        ("$RUN report --flagfile=.", 2),
        ("$RUN report $'--out=\\e]0;title\\a'", 2),
        ("$RUN $'\\e[2J'", 2),
        ("PYTHONWARNINGS=error $RUN report --out=nowhere", 2),
    ],
)
def test_terminals_of_every_kind(command, status, tmp_path):
    done = shell(f"cd '{tmp_path}'; {command}")
    assert done.returncode == status, done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert (
        len(lines) <= 1
        and "Traceback" not in done.stderr
        and "Exception ignored" not in done.stderr
    )
    assert lines or "2>&-" in command
    assert done.stderr.replace("\n", "").isprintable(), done.stderr


def test_only_a_command_that_continues_says_so(monkeypatch, capsys):
    said = {}
    monkeypatch.setattr(ending.os, "_exit", lambda status: None)
    for command in ("evaluate", "fetch", "bench", "predict"):

        def interrupted(arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "_run", interrupted)
        cli.main(["run.py", command])
        said[command] = capsys.readouterr().err.strip().rpartition("command ")[2]
    continues = dict.fromkeys(("evaluate", "fetch"), "continues")
    assert said == continues | dict.fromkeys(("bench", "predict"), "begins anew")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_is_an_interrupt(name, monkeypatch):
    # nohup takes it away
    code = "import os, signal, time; signal.signal(signal.SIGHUP, signal.SIG_DFL);"
    code += "from jaxadv.support import ending; ending.catch_signals();"
    code += (
        f"ending.guarded(lambda: (os.kill(os.getpid(), signal.{name}), time.sleep(60)), 'run.py')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 143 and done.stderr == "terminated; the same command continues\n"
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_flagfiles_are_text_of_any_mark(tmp_path, encoding):
    (tmp_path / "inner.flags").write_bytes("# größer\r\n--eps=0.2\r\n\r\n".encode(encoding))
    (tmp_path / "a.flags").write_bytes(
        f"--seed=3\n// a remark\n--flagfile={tmp_path / 'inner.flags'}\n  --steps=4\n".encode(
            encoding
        )
    )
    assert flagfiles.read(tmp_path / "a.flags", Path) == ["--seed=3", "--eps=0.2", "--steps=4"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"seed=3\n", "line 1: 'seed=3' is no flag"),
        (b"--seed=3\n\xe9\n", "not text in utf-8"),
        ("--seed=3\n".encode("utf-16-le"), "zero bytes"),
        (b"--seed=3\n" * 200_000, "more than"),
        (b"--flagfile=a.flags\n", "names itself"),
        (b"--flagfile=x/../a.flags\n", "names itself"),
        (b"--flagfile=b.flags\n" * 60, "more than"),
        (b"--flagfile=\n", "cannot be read"),
        (b"--flagfile=gone.flags\n", "gone.flags"),
        (b"---\n", "line 1: '---' is no flag"),
        (b"--seed=3\n--\n--eps=0.2\n", "line 2: '--' is no flag"),
        (b"-\n", "line 1: '-' is no flag"),
        (b"--out=a --figures=b\n", "no run in"),
        (b"--sede=3\n", "sede"),
        (b"--seed=-3\n", "-3"),
        (b"--seed=18446744073709551617\n", "18446744073709551617"),
        (None, "cannot be read"),
    ],
)
def test_other_flagfiles_are_refused(refused, tmp_path, content, words):
    (tmp_path / "x").mkdir()
    (tmp_path / "b.flags").write_bytes(b"--flagfile=c.flags\n" * 60)
    (tmp_path / "c.flags").write_bytes(b"")
    if content is not None:
        (tmp_path / "a.flags").write_bytes(content)
    assert words in refused("report", "--flagfile=a.flags")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("~nobodyatall/run", "no such home directory"),
        ("x" * 300, "at most 255"),
        ("a/" + "ü" * 140 + "/b", "280 bytes"),
        ("a\0b", "zero byte"),
        ("", "--out is empty; give a path, or leave the flag out"),
        ("loop/run", "Too many levels of symbolic links"),
    ],
)
def test_places_that_cannot_be(refused, tmp_path, out, words):
    (tmp_path / "loop").symlink_to("loop")
    before = list(tmp_path.iterdir())
    for command in ("report", "evaluate"):
        assert words in refused(command, f"--out={out}")
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["evaluate", "report", "list"])
def test_a_working_folder_that_was_removed_is_named(refused, tmp_path, monkeypatch, command):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "the working folder cannot be reached: No such file" in refused(command)


def test_a_home_directory_is_the_same_for_all(tmp_path, monkeypatch, capsys):
    """Rows are looked for where they are written; a folder that is called ~ is another one."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~" / "run").mkdir(parents=True)
    with flagsaver.flagsaver(), pytest.raises(SystemExit):
        cli.main(cli.parse(["run.py", "report", "--out=~/run"]))
    assert f"no run in '{tmp_path / 'home' / 'run'}'" in capsys.readouterr().err


class Stop(BaseException):
    """No Exception, as those of asyncio and of test frameworks are."""


@pytest.mark.parametrize(
    "error", [Stop("enough"), GeneratorExit(), ExceptionGroup("two", [OSError()])]
)
def test_what_is_no_exception_is_one_line_as_well(error, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(log, "last", None)
    status, line = ended(error, capsys, monkeypatch)
    assert status == 1 and type(error).__name__ in line and "the traceback is in" in line


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("class Stop(BaseException): pass\nraise Stop('enough')", "mine.py:2: Stop: enough"),
        ("import asyncio\nraise asyncio.CancelledError", "mine.py:2: CancelledError"),
        ("def again(): again()\nagain()", "RecursionError"),
        ("raise ExceptionGroup('two', [OSError(), ValueError()])", "mine.py:1: ExceptionGroup"),
        ("import nowhere_at_all", "mine.py:1: ModuleNotFoundError"),
        ("x = (", "mine.py:1: SyntaxError"),
        ("x = '\\ud800'\nraise ValueError(x)", "mine.py:2: ValueError"),
    ],
)
def test_whatever_a_users_file_raises_is_one_line(refused, tmp_path, code, words):
    (tmp_path / "mine.py").write_text(f"{code}\ndef models():\n    pass\n")
    line = refused("evaluate", "--models=none", "--model_module=mine.py:models", "--out=out")
    assert words in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\r\tc", "a b c"),
        ("\x9b1m\x07", "\\x9b1m\\x07"),
        ("größer 名 ∞", "größer 名 ∞"),
        ("caf\udce9", "caf\\udce9"),
        ("a\u202eb", "a\\u202eb"),
    ],
)
def test_nothing_acts_on_a_terminal(text, shown, capsys):
    log.warn(text)
    assert capsys.readouterr().err == f"{shown}\n"


@pytest.mark.parametrize(
    "call", ["sys.exit()", "sys.exit('enough')", "raise SystemExit(0)", "exit(3)"]
)
def test_exits_in_a_users_file_are_errors(refused, tmp_path, call):
    (tmp_path / "mine.py").write_text(f"import sys\ndef models():\n    {call}\n")
    assert "mine.py:3: SystemExit" in refused(
        "evaluate", "--models=none", "--model_module=mine.py:models", "--out=out"
    )
    assert not (tmp_path / "out").exists()


def test_a_backend_that_is_not_there_is_named():
    models = ROOT / "tests" / "commands" / "tiny_models.py"
    done = shell(
        f"cd /tmp && $RUN evaluate --models=none --model_module={models}:models",
        JAX_PLATFORMS="cuda",
    )
    (line,) = done.stderr.splitlines()
    assert (
        done.returncode == 2
        and "JAX finds no device for JAX_PLATFORMS='cuda'" in line
        and "tiny_models" not in line
    )
