"""What changes rows is in a run's identity: a run is not continued with anything else, and the line
names what differs.
"""

import json
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from models import inner_images, linear, random_linear

import jaxadv
from jaxadv.data.arrays import from_arrays
from jaxadv.evaluation import identity, plan
from jaxadv.evaluation.networks import Zoo

IMAGES, LABELS = inner_images(0, 4), np.array([0, 1, 2, 0])
NETWORK = random_linear(0, 3, name="mine")
SETTINGS = {
    "parts": ("attacks",),
    "attacks": (jaxadv.FGSM(eps=0.1), jaxadv.FGSM(eps=0.2)),
    "targets": ("random",),
    "lanes": 2,
    "progress": False,
}


def evaluate(out, images=IMAGES, labels=LABELS, network=NETWORK, **settings):
    return jaxadv.evaluate(
        [network], (images, labels), jaxadv.Settings(**SETTINGS | settings), out=out
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("identity") / "run"
    evaluate(folder)
    return folder


def nudged(array: np.ndarray) -> np.ndarray:
    """One number, to the next one that float32 has."""
    changed = array.copy()
    changed.flat[7] = np.nextafter(changed.flat[7], np.float32(2))
    return changed


WEIGHTS, BIAS = NETWORK.params["weights"], NETWORK.params["bias"]
OTHERS = {
    "a pixel by an ulp": ({"images": nudged(IMAGES)}, "data"),
    "pictures in another order": ({"images": IMAGES[::-1].copy()}, "data"),
    "one label": ({"labels": np.array([0, 1, 2, 1])}, "data"),
    "a picture more": (
        {"images": np.concatenate([IMAGES, IMAGES[:1]]), "labels": np.array([0, 1, 2, 0, 0])},
        "data",
    ),
    "a weight by an ulp": (
        {"network": linear(nudged(WEIGHTS), BIAS, name="mine")},
        "weights of mine",
    ),
    "a function of the same weights": (
        {
            "network": linear(
                WEIGHTS,
                BIAS,
                name="mine",
                apply=lambda p, x: NETWORK.oracle.apply(p, x) * 1.0000001,
            )
        },
        "weights of mine",
    ),
    "eps by an ulp": (
        {"attacks": (jaxadv.FGSM(eps=0.1), jaxadv.FGSM(eps=float(np.nextafter(0.2, 1))))},
        "eps",
    ),
    "the loss": (
        {"attacks": (jaxadv.FGSM(eps=0.1, loss="cross_entropy"), jaxadv.FGSM(eps=0.2))},
        "loss",
    ),
    "the size of a block": ({"block_images": 2}, "--block_images"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_run_is_not_continued_with_something_else(out, kind):
    change, name = OTHERS[kind]
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    with pytest.raises(jaxadv.InputError, match="holds a run of other settings") as caught:
        evaluate(out, **change)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XLA_FLAGS", "--xla_cpu_enable_fast_math=true"),
        ("XLA_FLAGS", "--xla_cpu_max_isa=AVX --xla_dump_to=/x"),
        ("NPY_DISABLE_CPU_FEATURES", "AVX2"),
        ("OPENBLAS_CORETYPE", "Nehalem"),
        ("MKL_CBWR", "COMPATIBLE"),
        ("NVIDIA_TF32_OVERRIDE", "1"),
    ],
)
def test_environment_variables_that_choose_how_is_computed(out, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(jaxadv.InputError, match=f"{name} not given there"):
        evaluate(out)


@pytest.mark.parametrize(
    "setting",
    ["jax_default_matmul_precision", "jax_threefry_partitionable", "jax_softmax_custom_jvp"],
)
def test_settings_of_jax_that_change_programs(out, setting):
    before = getattr(jax.config, setting)
    jax.config.update(setting, not before if isinstance(before, bool) else "bfloat16")
    try:
        with pytest.raises(jaxadv.InputError, match=setting):
            evaluate(out)
    finally:
        jax.config.update(setting, before)


def test_flags_in_a_file_and_harmless_ones(tmp_path, monkeypatch):
    (tmp_path / "flags").write_text("--xla_dump_to=/x\n--xla_cpu_max_isa=AVX\n")
    assert identity.xla_flags(str(tmp_path / "flags")) == ["--xla_cpu_max_isa=AVX"]
    assert identity.xla_flags("--b=1 --a=2") == identity.xla_flags(" --a=2  --b=1 ") != []
    assert identity.xla_flags("--xla_force_host_platform_device_count=4") == []
    assert identity.xla_flags(str(tmp_path / "gone")) == [str(tmp_path / "gone")]
    assert identity.xla_flags(" ") == []


def test_flags_are_no_name_of_a_file(tmp_path, monkeypatch):
    (tmp_path / "--a=1").write_text("--b=2")
    monkeypatch.chdir(tmp_path)
    assert identity.xla_flags(" --a=1") == ["--a=1"]


def test_input_sizes_and_ensembles_are_named_where_there_are_any(out, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    source = from_arrays((IMAGES * 255).astype(np.uint8), LABELS)
    settings = jaxadv.Settings(**SETTINGS)
    entry: Any = SimpleNamespace(facts={"sha256": "abc"})
    facts = []
    for sizes, ensembles in (({}, {}), ({"a": 8, "b": 9}, {"ensemble.a.b": ["a", "b"]})):
        job = plan.job(settings, ["a"], ensembles, source)
        facts.append(identity.identity(job, Zoo("imagenet", input_sizes=sizes), {"a": entry}).facts)
    names = ("--input_size", "--ensembles", "XLA_FLAGS")
    assert [facts[0][name] for name in names] == [None, None, None]
    assert [facts[1][name] for name in names] == [["a=8", "b=9"], ["a+b"], None]
    assert facts[0]["weights of a"] == "abc" and facts[0]["--zoo"] == "imagenet"
    assert "MKL_CBWR" not in facts[0]


@pytest.mark.parametrize(("platform", "threads"), [("cpu", 3), ("gpu", None)])
def test_the_machine_is_its_device_and_on_a_cpu_its_threads(monkeypatch, platform, threads):
    client = SimpleNamespace(platform_version="PJRT 1.2\nbuilt today")
    device = SimpleNamespace(device_kind="fast", client=client, platform=platform)
    monkeypatch.setattr(jax, "devices", lambda: [device, None])
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    monkeypatch.setattr(identity.machine, "threads", lambda: 3)
    known = identity.this_machine()
    assert (known["device"], known["platform"]) == ("fast", "PJRT 1.2")
    assert known.get("threads") == threads
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    assert identity.this_machine().get("threads") == (8 if threads else None)


@pytest.mark.parametrize("fact", ["scipy", "pillow", "numpy", "jaxlib", "sources"])
def test_versions_and_the_code_itself(out, monkeypatch, fact):
    real = identity.identity

    def other(*arguments):
        found = real(*arguments)
        return type(found)({**found.facts, fact: "another"}, found.only, found.machine)

    monkeypatch.setattr("jaxadv.evaluation.evaluate.identity", other)
    with pytest.raises(jaxadv.InputError, match=f"{fact} .* there, another now"):
        evaluate(out)


def test_the_code_is_hashed_as_it_is(monkeypatch, tmp_path):
    import model_ports

    before = identity.sources()
    identity.sources.cache_clear()
    copy = tmp_path / "model_ports"
    copy.mkdir()
    (copy / "__init__.py").write_text("")
    monkeypatch.setattr(model_ports, "__file__", str(copy / "__init__.py"))
    first = identity.sources()
    identity.sources.cache_clear()
    (copy / "layers.py").write_text("x = 1\n")
    assert len({before, first, identity.sources()}) == 3
    identity.sources.cache_clear()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The sha256 of the sources after a change of a file, in a small copy of the project."""
    import model_ports

    for name in (
        *("jaxadv/api.py", "jaxadv/core/engine.py", "jaxadv/core/memory.py"),
        *("jaxadv/evaluation/identity.py", "jaxadv/report/html.py", "model_ports/report/x.py"),
        *("model_ports/__init__.py", "setup.py", "jaxadv/core/notes.txt"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(identity, "__file__", str(tmp_path / "jaxadv" / "evaluation" / "i.py"))
    monkeypatch.setattr(model_ports, "__file__", str(tmp_path / "model_ports" / "__init__.py"))

    def changed(name: str = "setup.py") -> str:
        (tmp_path / name).write_text("x = 2\n")
        identity.sources.cache_clear()
        try:
            return identity.sources()
        finally:
            (tmp_path / name).write_text("x = 1\n")
            identity.sources.cache_clear()

    return changed


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("jaxadv/api.py", True),
        ("jaxadv/core/engine.py", True),
        ("model_ports/report/x.py", True),
        ("jaxadv/core/memory.py", False),
        ("jaxadv/evaluation/identity.py", False),
        ("jaxadv/report/html.py", False),
        ("jaxadv/core/notes.txt", False),
        ("setup.py", False),
    ],
)
def test_code_counts_if_rows_may_depend_on_it(code, name, counts):
    assert (code(name) != code()) is counts


def test_the_manifest_says_all_of_it(out):
    facts = json.loads((out / "manifest.json").read_text())["identity"]
    assert {*identity.PACKAGES, "sources", "data", "weights of mine", "--lanes"} <= facts.keys()
