"""Ends a command with one line and an exit status.

Statuses: 0: everything that was asked for is done. 1: an error in the program, whose traceback is
in a log. 2: bad input, or a problem outside the program, such as a full disk. 130: interrupted.
143: terminated. 141: nobody reads the output any more.
"""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn, TypeVar

from jaxadv.support import log
from model_ports.errors import InputError

Result = TypeVar("Result")


class Terminated(KeyboardInterrupt):
    """A signal asked this process to end.

    Saved work stays, as after an interrupt from the keyboard.
    """


def catch_signals() -> None:
    """Let SIGTERM and SIGHUP end a command as an interrupt does, unless another handler is set."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated(signal.Signals(number).name)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)


def repair_streams() -> None:
    """Make the standard streams usable.

    A closed stream is connected to /dev/null. Otherwise the next opened file would take its place.
    Characters that a terminal cannot show are written as escape sequences.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a stream of a test may lack this method
            getattr(stream, "reconfigure")(errors="backslashreplace")  # noqa: B009


def guarded(work: Callable[[], Result], program: str, *, continues: bool = True) -> Result:
    """Run a command. An exception ends the process with one line on standard error.

    Args:
        work: the command.
        program: the name of the program, with which the line begins.
        continues: whether the same command goes on where it was interrupted. Otherwise it begins
            anew.

    Returns:
        The result of ``work``.
    """
    try:
        result = work()
        sys.stdout.flush()
        return result
    except InputError as error:
        _end(program, str(error), 2)
    except KeyboardInterrupt as error:
        name = "terminated" if isinstance(error, Terminated) else "interrupted"
        goes_on = "continues" if continues else "begins anew"
        _say(f"{name}; the same command {goes_on}")
        _flush()
        # Exit without waiting for other threads. Every file that is written is whole.
        os._exit(143 if isinstance(error, Terminated) else 130)
    except BrokenPipeError:
        _end(program, "the reader of the output has gone; the rest of the output is lost", 141)
    except MemoryError as error:
        _end(program, f"memory ran out{_kept(error)}; give fewer --lanes, or less at once", 2)
    except RuntimeError as error:
        if (
            "backend" in str(error)
            and "initialize" in str(error)
            or "Unknown backend" in str(error)
        ):
            platforms = os.environ.get("JAX_PLATFORMS", "")
            _end(
                program,
                f"JAX finds no device for JAX_PLATFORMS={platforms!r} ({error}); unset it, or "
                "install its plugin",
                2,
            )
        _end(program, f"{type(error).__name__}: {error}{_kept(error)}", 1)
    except (OSError, UnicodeError) as error:
        _end(program, f"{error}{_kept(error)}", 2)
    except Exception as error:
        _end(program, f"{type(error).__name__}: {error}{_kept(error)}", 1)
    except SystemExit as error:
        _end(
            program,
            f"something called sys.exit({error.code!r}) during the command{_kept(error)}",
            1,
        )
    except BaseException as error:  # of a user's code: it need not be an Exception
        _end(program, f"{type(error).__name__}: {error}{_kept(error)}", 1)


def fail(program: str, message: str) -> NoReturn:
    """End the process with one line on standard error and status 2."""
    _end(program, message, 2)


def end_at_once(message: str) -> NoReturn:
    """End the process from any thread, with one line on standard error and status 2."""
    _say(f"{os.path.basename(sys.argv[0])}: {log.printable(message)[:2000]}")
    _flush()
    os._exit(2)


def _end(program: str, message: str, status: int) -> NoReturn:
    _say(f"{program}: {log.printable(message)[:2000]}")
    _flush()
    sys.exit(status)


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # standard error is closed
        print(line, file=sys.stderr, flush=True)


def _flush() -> None:
    """Flush the standard streams. If one cannot be written, point it at /dev/null.

    Otherwise the interpreter would try again at its end, and report the error.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _kept(error: BaseException) -> str:
    """Write the traceback to a log unless one has it already, and say where it is."""
    text = "".join(traceback.format_exception(error))
    if log.last is not None and log.last.is_file():
        return f"; the traceback is in {str(log.last)!r}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="jaxadv-", suffix=".log", delete=False, errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return "; its traceback could not be written"
    return f"; the traceback is in {file.name!r}"
