"""One worker on each device of a Ray cluster, with a stand-in for Ray.

tests/programs/test_ray_cluster.py has a real one.
"""

import os
import sys
import types

import pytest

from jaxadv.evaluation import ray_workers
from model_ports.errors import InputError


class NodeDied(Exception):
    pass


class Actor:
    """An actor, whose method gives a promise: its number."""

    def __init__(self, cluster: "Cluster"):
        self.work = types.SimpleNamespace(remote=lambda *given: cluster.begin(*given))


class Cluster(types.ModuleType):
    """A stand-in for the module ray: promises are numbers, which end as they are told."""

    def __init__(self, ends: list, sizes: list[dict[str, float]]):
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(RayError=NodeDied)
        self.ends, self.sizes = ends, sizes
        self.begun: list[tuple] = []
        self.asked: list[dict] = []

    def init(self, address, *, ignore_reinit_error: bool = False):
        assert ignore_reinit_error  # who is connected already goes on
        if address == "nowhere:1":
            raise ConnectionError("no cluster\nthere")

    def cluster_resources(self) -> dict[str, float]:
        return self.sizes[0]

    def remote(self, **asked):
        self.asked.append(asked)
        assert len(self.asked) < 100, "it has no end"
        return lambda worker: types.SimpleNamespace(remote=lambda: Actor(self))

    def begin(self, *given) -> int:
        self.begun.append(given)
        return len(self.begun) - 1

    def wait(self, promises, timeout):
        assert promises and timeout
        self.sizes = self.sizes[1:] or self.sizes
        return [number for number in promises if self.ends[number] is not None][:1], []

    def get(self, number):
        if isinstance(self.ends[number], Exception):
            raise self.ends[number]
        return self.ends[number]


@pytest.fixture
def cluster(monkeypatch):
    def make(ends: list, *sizes: dict[str, float]) -> Cluster:
        made = Cluster(ends, list(sizes))
        monkeypatch.setitem(sys.modules, "ray", made)
        monkeypatch.setattr(ray_workers.time, "sleep", lambda seconds: None)
        return made

    return make


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"GPU": 2.0}, ("GPU", 1.0)),
        ({"GPU": 0.5, "TPU": 4.0, "CPU": 9.0}, ("GPU", 0.5)),
        ({"TPU": 8.0}, ("TPU", 4.0)),
        ({"TPU": 1.0, "CPU": 9.0}, ("TPU", 1.0)),
        ({"CPU": 9.0}, ("CPU", 2.0)),
        ({}, ("CPU", 2.0)),
    ],
)
def test_what_one_worker_takes(resources, expected):
    assert ray_workers._devices(resources) == expected


@pytest.mark.parametrize(
    "given",
    [
        ["--ray=auto", "a", "--out=x"],
        ["--ray", "auto", "a", "--out=x"],
        ["a", "-ray", "auto", "--out=x"],
        ["a", "--out=x", "-ray=auto"],
    ],
)
def test_workers_get_the_command_without_ray(given):
    assert ray_workers._without_ray(given) == ["a", "--out=x"]
    assert ray_workers._without_ray(["ray", "--rays=1", "--out", "ray"]) == [
        *("ray", "--rays=1", "--out", "ray")
    ]


def test_a_cluster_without_devices_is_waited_for(cluster, monkeypatch):
    made = cluster([(0, "done")], {})
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            made.sizes = [{"GPU": 1.0}]

    monkeypatch.setattr(ray_workers.time, "sleep", sleep)
    assert ray_workers.run("auto", ["--out=here"], out="here") == "done"
    assert slept == 3 * [ray_workers.LOOK] and len(made.begun) == 1


def test_one_worker_a_device_as_long_as_the_cluster_has_them(cluster):
    """A node dies: its device gets another worker. The cluster grows: so do the workers."""
    made = cluster(
        [NodeDied(), None, None, None, (0, "report: here")],
        *({"GPU": 3.0, "CPU": 8.0}, {"GPU": 3.0}, {"GPU": 4.0}),
    )
    arguments = ["evaluate", "--ray", "auto", "--models=alexnet", "--out=here"]
    assert ray_workers.run("auto", arguments, out="here") == "report: here"
    assert len(made.begun) == 5
    assert {one["num_gpus"] for one in made.asked} == {1.0}
    assert all(one["max_restarts"] == one["max_task_retries"] == -1 for one in made.asked)
    command = made.begun[0][0]
    assert command[1:] == ["-m", "jaxadv", "evaluate", "--models=alexnet", "--out=here", "--join"]


@pytest.mark.parametrize(
    ("size", "asked", "workers"),
    [
        ({"TPU": 8.0, "CPU": 200.0}, {"resources": {"TPU": 4.0}}, 2),
        ({"CPU": 6.0}, {"num_cpus": 2.0}, 3),
        ({"CPU": 1.0}, {"num_cpus": 1.0}, 1),
    ],
)
def test_a_worker_takes_what_there_is(cluster, size, asked, workers):
    made = cluster([(0, "done")] * workers, size)
    ray_workers.run("auto", ["--ray=auto", "--out=here"], out="here")
    assert len(made.begun) == workers and asked.items() <= made.asked[0].items()


def test_a_refusal_is_passed_on(cluster):
    cluster([(2, "run.py: other settings")], {"GPU": 1.0})
    with pytest.raises(InputError, match="status 2: run.py: other settings"):
        ray_workers.run("auto", ["--out=here"], out="here")


def test_what_is_missing_is_one_line(cluster, monkeypatch):
    cluster([], {})
    with pytest.raises(InputError, match="^--ray=nowhere:1: no cluster [^\n]*ray start --head"):
        ray_workers.run("nowhere:1", [], out="here")
    with pytest.raises(InputError, match="--ray without --out"):
        ray_workers.run("auto", [], out=None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"jaxadv\[ray\]"):
        ray_workers.run("auto", [], out="here")


def test_a_worker_tells_its_status_and_its_last_line(tmp_path):
    command = ["sh", "-c", "pwd; echo last >&2; echo; exit 3"]
    worker = ray_workers.Worker()
    assert worker.work(command, str(tmp_path)) == (3, "last")
    assert worker.work(["pwd"], str(tmp_path)) == (0, str(tmp_path))
    assert worker.work(["pwd"], str(tmp_path / "gone")) == (0, os.getcwd())
    assert worker.work(["true"], str(tmp_path)) == (0, "")
