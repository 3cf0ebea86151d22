"""bench --peers: attacks here and in other packages, on the same networks and images, in turn.

`jaxadv.benchmark.peer_attacks` has the packages, `jaxadv.benchmark.peer_networks` the networks.
"""

import importlib
import os
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from jaxadv.benchmark import bench, peer_networks
from jaxadv.benchmark.peer_attacks import PEERS, Done, Scale, Task, here
from jaxadv.support import machine, values
from jaxadv.support.files import write_atomically
from jaxadv.support.progress import Progress
from model_ports.errors import InputError, said

OURS = "jaxadv"
DEFAULT = Scale()
COLUMNS = {
    "network": "",
    "attack": "",
    "tool": "",
    "items_per_second": "images, judged or scored, per second of a processor; median of the turns",
    "items_per_second_wall": "the same per second of the clock",
    "times": "how many times as fast jaxadv is, by processor time; median of the turns",
    "success_percent": "share of the images whose class changes, as jaxadv sees it",
    "mean_l2": "mean L2 distance of the images where both tools succeed",
    "agreement": "that, or the mean score of CLEVER, divided by jaxadv's",
    "gradients": "evaluations of an image with gradient",
    "forwards": "evaluations of an image without gradient, including the judgement",
}


class _Timed(NamedTuple):
    done: Done
    processor: list[float]  # seconds, of each turn
    wall: list[float]


def check(names: Sequence[str]) -> None:
    """Raises InputError for an unknown name, or for a package that is missing or broken."""
    for name in names:
        if name not in PEERS:
            raise InputError(f"--peers has {name!r}; give some of {', '.join(PEERS)}")
        package, _, install = PEERS[name]
        try:
            importlib.import_module(package)
        except (ImportError, RuntimeError, OSError) as error:  # torchvision raises all three
            raise InputError(
                f"{package} cannot be imported ({said(error)}); run: pip "
                f"install {install}, or leave {name} out of --peers"
            ) from error


def run(
    names: Sequence[str],
    *,
    out: Path,
    turns: int,
    threads: int | None = None,
    networks: Sequence[str] = ("all",),
    scale: Scale = DEFAULT,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure every attack of some packages, and the same here.

    Args:
        names: keys of `PEERS`.
        out: the folder for peers.csv and peers.md, which are written after each network.
        turns: how often everything is measured.
        threads: of PyTorch and of JAX, which reads the number when it starts. None: as many as each
            takes.
        networks: keys of `peer_networks.DESIGNS`, or "all".
        scale: the settings of the attacks.
        progress: whether a line shows the progress.

    Returns:
        The table, with the columns `COLUMNS`.

    Raises:
        InputError: as `check`, for an unknown network, and for a folder that cannot be written.
    """
    if list(networks) == ["all"]:
        networks = list(peer_networks.DESIGNS)
    networks = values.chosen("models", networks, list(peer_networks.DESIGNS))
    check(names)
    if threads:
        os.environ["NPROC"] = str(threads)  # of JAX
        if find_spec("torch"):
            importlib.import_module("torch").set_num_threads(threads)
    facts = _facts(names) | {"threads": threads or "all", "turns": turns}
    rows: list[dict[str, Any]] = []
    table = pd.DataFrame()
    for network in networks:
        task = _task(network, scale)
        tools = {name: PEERS[name].attacks(task) for name in names}
        works = here(task)
        attacks = [name for name in works if any(name in each for each in tools.values())]
        with Progress(f"peers on {network}", len(attacks), "attacks", show=progress) as bar:
            for attack in attacks:
                calls = {OURS: works[attack]}
                calls |= {name: each[attack] for name, each in tools.items() if attack in each}
                timed = _in_turn(calls, turns)
                rows += [
                    {"network": network, "attack": attack, "tool": tool} | row
                    for tool, row in _rows(task, timed).items()
                ]
                bar.advance(1)
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        _write(table, out, facts)
    return table


def _facts(names: Sequence[str]) -> dict[str, Any]:
    """What the speeds depend on."""
    packages = sorted({"torch", *(PEERS[name].package.partition(".")[0] for name in names)})
    versions = {
        name: getattr(importlib.import_module(name), "__version__", "")
        for name in packages
        if find_spec(name)
    }
    return {
        "jax": jax.__version__,
        **versions,
        "machine": machine.kind(),
        "date": time.strftime("%Y-%m-%d"),
        "commit": machine.commit(),
    }


def _write(table: pd.DataFrame, out: Path, facts: dict[str, Any]) -> None:
    head = ", ".join(f"{name} {value}" for name, value in facts.items())
    meaning = "\n".join(f"* {name}: {unit}" for name, unit in COLUMNS.items() if unit)
    page = f"# Beside other packages\n\n{head}\n\n{bench.text(table, markdown=True)}\n\n{meaning}\n"
    write_atomically(out / "peers.csv", table.to_csv(index=False, float_format="%.5g").encode())
    write_atomically(out / "peers.md", page.encode())


def _task(network: str, scale: Scale) -> Task:
    design = peer_networks.DESIGNS[network]
    clf = peer_networks.classifier(network)
    shape = (design.images, design.size, design.size, 3)
    images = np.random.default_rng(1).uniform(0.1, 0.9, shape).astype(np.float32)
    module = peer_networks.module(network) if find_spec("torch") else None
    return Task(clf, module, images, clf.predict(images), scale)


def _in_turn(calls: dict[str, Callable[[], Done]], turns: int) -> dict[str, _Timed]:
    """Run the calls one after another, several times. The first run, which compiles, is not timed."""
    timed = {name: _Timed(call(), [], []) for name, call in calls.items()}
    for _ in range(turns):
        for name, call in calls.items():
            processor, wall = time.process_time(), time.perf_counter()
            call()
            timed[name].processor.append(time.process_time() - processor)
            timed[name].wall.append(time.perf_counter() - wall)
    return timed


def _rows(task: Task, timed: dict[str, _Timed]) -> dict[str, dict[str, Any]]:
    """What the table says of each tool."""
    ours = timed[OURS]
    count = len(task.images) if ours.done.scores is None else len(ours.done.scores)
    fooled = {name: _fooled(task, each.done) for name, each in timed.items()}
    rows: dict[str, dict[str, Any]] = {}
    for name, each in timed.items():
        row: dict[str, Any] = {
            "items_per_second": count / np.median(each.processor),
            "items_per_second_wall": count / np.median(each.wall),
            "times": np.median(np.divide(each.processor, ours.processor)),
            "gradients": each.done.gradients,
            "forwards": each.done.forwards,
        }
        if each.done.scores is not None and ours.done.scores is not None:
            row["agreement"] = each.done.scores.mean() / ours.done.scores.mean()
        else:
            both = fooled[name] & fooled[OURS]
            mean, other = (_mean_l2(task, done, both) for done in (each.done, ours.done))
            row |= {"success_percent": 100 * fooled[name].mean(), "mean_l2": mean}
            row["agreement"] = mean / other if both.any() else np.nan
        rows[name] = row
    return rows


def _fooled(task: Task, done: Done) -> np.ndarray:
    """(N,) bool. Scores fool nobody."""
    if done.adversarial is None:
        return np.zeros(len(task.images), bool)
    return task.clf.predict(np.ascontiguousarray(done.adversarial)) != task.labels


def _mean_l2(task: Task, done: Done, chosen: np.ndarray) -> float:
    if done.adversarial is None or not chosen.any():
        return np.nan
    moved = (done.adversarial - task.images)[chosen].reshape(chosen.sum(), -1)
    return float(np.linalg.norm(moved, axis=1).mean())
