"""`fetch NAME`: one network from its own address, as a checkpoint in an archive or a bare graph."""

import hashlib
import json

import golden_weights as golden
import numpy as np
import pytest
import writers
from made_archives import SMALLEST, graph, packed
from small_study import order

from jaxadv.fetching import addresses, single
from jaxadv.fetching.addresses import GRAPHS, SINGLE, STUDY, Archive
from model_ports import registry

NAME = SMALLEST[0]


@pytest.fixture(scope="module")
def checkpoint() -> list[tuple[str, bytes]]:
    """A TensorFlow checkpoint, and what else such archives have."""
    index, data = writers.bundle(golden.weights(golden.recording(NAME).meta))
    prefix = "./mobilenet_v1_0.25_128.ckpt"
    return [
        (prefix + ".index", index),
        (prefix + ".data-00000-of-00001", data),
        (prefix + ".meta", b"graph"),
        ("mobilenet.tflite", b"mobile"),
    ]


@pytest.fixture
def at(serve, monkeypatch):
    """Serve something at the address of NAME."""

    def put(content: bytes, *, file: str = "net.tgz", known: bool = True):
        server = serve(**{file.replace(".", "__"): content})
        sha256 = hashlib.sha256(content).hexdigest() if known else None
        monkeypatch.setitem(SINGLE, NAME, Archive(f"{server.url}/{file}", sha256=sha256))
        return server

    return put


@pytest.mark.parametrize("known", [True, False])
def test_a_checkpoint_is_fetched_once(at, checkpoint, tmp_path, known):
    server = at(packed(checkpoint), known=known)
    meta = single.fetch(NAME, order(tmp_path))
    assert meta["source"] == "mobilenet_v1_0.25_128.ckpt"
    assert meta["archive"]["from"] == SINGLE[NAME].url
    record = json.loads((tmp_path / "fetched.json").read_text())
    assert record["archives"][NAME]["sha256_is_recorded"] == known
    assert record["networks"][NAME]["source"] == meta["source"]
    assert single.fetch(NAME, order(tmp_path)) is None and server.asked == [None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fetched.json", "weights"]
    assert [path.name for path in (tmp_path / "weights").iterdir()] == [NAME]


def test_a_bare_graph(at, tmp_path):
    at(graph(NAME), file="Net.pb", known=False)
    meta = single.fetch(NAME, order(tmp_path, keep_archives=True))
    assert meta["source"] == "Net.pb" and meta["source_format"] == "frozen graph"
    (kept,) = (tmp_path / "archives").iterdir()
    assert kept.name == "Net.pb" and kept.read_bytes() == graph(NAME)


@pytest.mark.parametrize("file", ["net.tgz", "Net.pb"])
def test_a_local_copy_stays(at, checkpoint, tmp_path, file):
    content = packed(checkpoint) if file == "net.tgz" else graph(NAME)
    server = at(b"", file=file, known=False)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / file).write_bytes(content)
    for keep in (False, True):
        call = order(tmp_path / str(keep), source=str(tmp_path / "copy"), keep_archives=keep)
        assert single.fetch(NAME, call) is not None
    assert server.asked == [] and (tmp_path / "copy" / file).read_bytes() == content


def test_another_hash(at, checkpoint, tmp_path, refusal, monkeypatch):
    content = packed(checkpoint)
    found = hashlib.sha256(content).hexdigest()
    at(content)
    monkeypatch.setitem(SINGLE, NAME, SINGLE[NAME]._replace(sha256="0" * 64))
    refusal(lambda: single.fetch(NAME, order(tmp_path)), f"--sha256={found}", "0" * 64)
    assert not (tmp_path / "weights").exists()
    assert single.fetch(NAME, order(tmp_path, accepted=frozenset([found]))) is not None


def test_a_hash_that_is_asked_for_where_none_is_known(at, checkpoint, tmp_path, refusal):
    at(packed(checkpoint), known=False)
    call = order(tmp_path, accepted=frozenset(["0" * 64]))
    refusal(lambda: single.fetch(NAME, call), f"--sha256 is {'0' * 64}", "nothing was unpacked")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda members: members[3:], "has 0 checkpoints"),
        (lambda members: [*members, ("other.ckpt", b"x")], "has 2 checkpoints"),
        (lambda members: [*members, ("b/" + members[0][0], b"x")], "twice"),
        (lambda members: [("../net.ckpt", b"x")], "outside its folder"),
        (lambda members: [("net.ckpt", bytes(2**25))], "33554432 bytes in the archive"),
        (lambda members: [("net.ckpt", b"x" * 100)], "net.ckpt"),
        (lambda members: [(members[0][0], members[0][1])], "data-00000-of-00001"),
    ],
    ids=["none", "two", "twice", "outside", "large", "noise", "half"],
)
def test_archives_that_are_refused(at, checkpoint, tmp_path, refusal, change, words):
    at(packed(change(checkpoint)))
    refusal(lambda: single.fetch(NAME, order(tmp_path)), words)
    assert not (tmp_path / "weights").exists()


def test_names_without_an_address(tmp_path, refusal):
    refusal(
        lambda: single.fetch("densenet121_k32", order(tmp_path)),
        "no address of densenet121_k32 "
        "alone", "fetch study --only=weights --models=densenet121_k32",
    )  # fmt: skip
    refusal(lambda: single.fetch("vgg61", order(tmp_path)), "did you mean 'vgg_16'?", "study")


def test_addresses_are_of_networks_and_over_https():
    names = [spec.name for spec in registry.MODELS]
    assert list(GRAPHS) == names and set(SINGLE) == {*names} - {
        "densenet121_k32",
        "densenet169_k32",
    }
    for archive in (*STUDY.values(), *SINGLE.values()):
        assert archive.url.startswith("https://")
        assert archive.name.endswith((".tar.gz", ".tgz", ".pb"))
        assert archive.sha256 is None or len(bytes.fromhex(archive.sha256)) == 32
    assert len({archive.url for archive in (*STUDY.values(), *SINGLE.values())}) == 18
    members = [one.member for one in GRAPHS.values()]
    assert len(set(members)) == 18 and all(name.endswith(".pb") for name in members)


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v1_050", "vgg_19"])
def test_parameters_are_counted(name):
    import jax

    network = registry.network(name, zoo="imagenet")
    counted = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(network.abstract()))
    assert addresses.GRAPHS[name].parameters == counted


def test_one_network_of_the_study_beside_its_others(at, checkpoint, tmp_path, refusal, published):
    """What came from another archive is not replaced."""
    from jaxadv.fetching import study

    study.fetch(order(tmp_path, models=SMALLEST[1:2]))
    at(packed(checkpoint))
    single.fetch(NAME, order(tmp_path))
    whole_names = sorted(path.name for path in (tmp_path / "weights").iterdir())
    assert whole_names == sorted(SMALLEST[:2])
    refusal(lambda: study.fetch(order(tmp_path)), "is there already", "mobilenet_v1_0.25_128.ckpt")
