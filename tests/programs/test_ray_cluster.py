"""A real Ray cluster of three nodes on this machine, one of which is killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_node_that_is_killed_in_the_middle(tmp_path):
    """Three nodes of one worker each. The rows are those of one process alone."""
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        pytest.fail("Ray is missing; run: pip install -e '.[test,ray]'", pytrace=False)
    job = ["evaluate", "--models=none"]
    job += [f"--model_module={ROOT / 'tests' / 'commands' / 'tiny_models.py'}:models"]
    job += ["--num_images=200", "--attacked_images=20", "--block_images=4", "--lanes=4"]
    job += ["--attacks=cw", "--cw_steps=2000", "--cw_search_steps=3", "--nocw_abort_early"]
    job += ["--parts=attacks", "--targets=random", "--noprogress", "--claim_seconds=9"]
    run = [sys.executable, "-m", "jaxadv", *job]
    subprocess.run([*run, f"--out={tmp_path / 'one'}"], check=True, cwd=ROOT)
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    others = [nodes.add_node(num_cpus=2) for _ in range(2)]
    out = tmp_path / "run"
    going = subprocess.Popen([*run, f"--out={out}", f"--ray={nodes.address}"], cwd=ROOT)
    while going.poll() is None and not list(out.glob("examples/*")):
        time.sleep(0.1)
    nodes.remove_node(others[0])
    assert going.wait(600) == 0
    nodes.shutdown()
    for kind in KINDS:
        assert Run(out).read(kind).equals(Run(tmp_path / "one").read(kind))
