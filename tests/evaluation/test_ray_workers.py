"""One worker on each device of a Ray cluster, with a stand-in for Ray.

tests/programs/test_ray_cluster.py has a real one.
"""

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

    def init(self, address, **more):
        if address == "nowhere:1":
            raise ConnectionError("no cluster\nthere")

    def cluster_resources(self) -> dict[str, float]:
        return self.sizes[0]

    def remote(self, **asked):
        self.asked.append(asked)
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
        return made

    return make


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
    assert all(one["max_restarts"] == -1 for one in made.asked)
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
    assert ray_workers.Worker().work(command, str(tmp_path)) == (3, "last")
