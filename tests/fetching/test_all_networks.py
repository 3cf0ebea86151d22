"""Every family, from a local copy to the recorded logits; and all 18 at once."""

import hashlib
import mmap
import random

import golden_weights as golden
import jax
import killed
import numpy as np
import pytest
from file_server import serving
from made_archives import graphs, packed, write_all
from small_study import order, whole

from jaxadv.fetching import addresses, study
from jaxadv.fetching.addresses import GRAPHS, Archive
from model_ports import registry, weights

FAMILIES = [
    pytest.param("mobilenet_v1_025", marks=pytest.mark.slow),
    *(
        pytest.param(name, marks=pytest.mark.long)
        for name in (
            "inception_v1",
            "densenet121_k32",
            "resnet_v2_50",
            "alexnet",
            "vgg_16",
            "nasnet_large",
        )
    ),
]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_each_family_gives_the_recorded_logits(name, tmp_path):
    """Of the frozen graph that lies in a local copy of the archive; tolerances are test_ports'."""
    copy = tmp_path / "copy"
    copy.mkdir()
    content = packed(graphs([name], folder="models/"))
    (copy / addresses.STUDY["weights"].name).write_bytes(content)
    accepted = frozenset([hashlib.sha256(content).hexdigest()])
    asked = {"only": "weights", "models": (name,), "source": str(copy), "accepted": accepted}
    study.fetch(order(tmp_path / "to", **asked))

    network = registry.network(name, zoo="imagenet")
    params, _ = weights.load(network, weights.find(network, tmp_path / "to" / "weights"))
    record = golden.recording(name)
    with jax.default_matmul_precision("highest"):
        program = jax.jit(network.apply)
        for kind in ("uniform", "smooth"):
            images = golden.images(kind, network.input_size)[:1] + np.float32(0.5)
            logits, expected = np.asarray(program(params, images))[0], record.logits[kind][0]
            distance = np.linalg.norm(logits - expected) / np.linalg.norm(expected)
            assert distance < (5e-5 if network.spec.family == "MobileNet" else 5e-6), kind


KILLS = ((400, 0), (250, 0), (1, 4), (1, 11))
"""Moments, and networks that are there. The first two fall into the download, the others into the
conversion of one network after another.
"""


@pytest.mark.long
def test_all_18_with_cuts_and_kills(tmp_path):
    """From a server: cut in twenty places, killed at some moments, and then as if undisturbed.

    Each start reads 3 GB again; three networks are killed at twenty moments in test_fetch_study.
    """
    path = tmp_path / "weights.tar.gz"
    write_all(path)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        with serving({path.name: content}) as server:
            sha256 = hashlib.sha256(content).hexdigest()
            archive = Archive(f"{server.url}/{path.name}", len(content), sha256)
            drawn = random.Random(1215)
            places = sorted(drawn.sample(range(1, len(content)), 20))
            server.cuts = [int(step) for step in np.diff([0, *places])]
            known = {"weights": tuple(archive)}
            job = killed.Job(tmp_path / "to", known, tuple(GRAPHS), 0, 2**18, only="weights")
            context = killed.processes()
            done = []
            for moment, networks in KILLS:
                killed.in_process(context, job, moment, networks)
                done.append(len([*(tmp_path / "to" / "weights").glob("*")]))
            assert done == [networks for _, networks in KILLS], done
            killed.in_process(context, job, None)
            assert not server.cuts
    whole(tmp_path / "to", tuple(GRAPHS), numbers=())
