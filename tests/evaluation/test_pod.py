"""TPU pods: JAX's distributed runtime is joined there alone, with a bounded wait and one line."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxadv.evaluation import hosts
from model_ports.errors import InputError

ROOT = Path(__file__).parents[2]
HANGS = """
import time
import jax
from jaxadv.evaluation import hosts
jax.distributed.initialize = lambda **more: time.sleep(60)
hosts.join_pod(0.1)
"""


@pytest.fixture
def asked(monkeypatch) -> list:
    calls: list = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **more: calls.append(more))
    monkeypatch.setenv("JAX_PLATFORMS", "")
    return calls


@pytest.mark.parametrize("names", ["", "localhost", "10.0.0.1"])
def test_one_host_joins_nothing(asked, monkeypatch, names):
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", names)
    hosts.join_pod()
    assert asked == []


def test_hosts_of_a_pod_join(asked, monkeypatch):
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "10.0.0.1,10.0.0.2")
    hosts.join_pod(5)
    assert asked == [{"initialization_timeout": 65}]  # the own wait ends first
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    hosts.join_pod(5)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [(None, True), ("", True), ("tpu", True), ("cpu,tpu", True), ("cpu", False), ("cuda", False)],
)
def test_a_pod_is_two_hosts_and_tpus(monkeypatch, platforms, expected):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    if platforms is not None:
        monkeypatch.setenv("JAX_PLATFORMS", platforms)
    for names, several in (("a,b", True), ("a,b,c", True), ("a,", False), ("a", False)):
        monkeypatch.setenv("TPU_WORKER_HOSTNAMES", names)
        assert hosts.is_in_pod() is (several and expected)


def test_the_wait_for_hosts_is_bounded_by_a_thread_that_keeps_no_process(asked, monkeypatch):
    timers: list[list] = []

    class Timer:
        daemon = False

        def __init__(self, seconds, end, arguments):
            self.told = [seconds, end, arguments[0]]

        def start(self):
            timers.append([*self.told, self.daemon])

        def cancel(self):
            timers[-1].append("cancelled")

    monkeypatch.setattr(hosts.threading, "Timer", Timer)
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "a,b")
    hosts.join_pod(7)
    ((seconds, end, line, daemon, state),) = timers
    assert (seconds, end, daemon, state) == (7, hosts.ending.end_at_once, True, "cancelled")
    assert "did not connect (after 7 s)" in line and line.endswith(": a,b")


def test_a_failure_is_one_line(asked, monkeypatch):
    def fail(**more):
        raise RuntimeError("DEADLINE_EXCEEDED\nat host 2")

    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "10.0.0.1,10.0.0.2")
    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(InputError, match="^[^\n]*DEADLINE_EXCEEDED at host 2[^\n]*10.0.0.2$"):
        hosts.join_pod(5)


def test_a_long_failure_is_cut(asked, monkeypatch):
    def fail(**more):
        raise ValueError("x" * 500)

    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "a,b")
    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(InputError, match=r"\(x{200}\)"):
        hosts.join_pod(5)


@pytest.mark.slow
def test_a_wait_is_bounded():
    """JAX would abort the process in C++. A line comes first."""
    environment = {"TPU_WORKER_HOSTNAMES": "10.0.0.1,10.0.0.2", "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, "JAX_PLATFORMS": "", **environment}
    done = subprocess.run(
        [sys.executable, "-c", HANGS], env=environment, capture_output=True, text=True, timeout=120
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "did not connect (after 0 s)" in line
