"""`fetch study`, and then `validate --study`, on networks and pictures of rules, from archive to
exit status.

What is compared with is made here from the same graphs and pictures by other means: Pillow alone,
and one gradient of the port, in the study's pixel range.
"""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import writers
from absl.testing import flagsaver
from fetching import told_networks
from fetching.made_archives import jpeg, packed, picture_name
from PIL import Image

from jaxadv.commands import cli
from jaxadv.data import study
from jaxadv.fetching import addresses
from jaxadv.fetching.rerun import NAME as RECORD
from jaxadv.report import published
from jaxadv.validation import first_pair
from jaxadv.validation.first_pair import EPS, SOURCE, TARGET
from model_ports import registry
from model_ports.weight_map import assemble

pytestmark = pytest.mark.slow
SIZE, SEED, GREY, WRONG, TARGET_WRONG = 224, 1216, 2, 4, 6
"""Of eight pictures one has no colours; of one each network says another class than its label."""
NUMBERS = [int(number) for number in study.images(SEED)[:8]]
NAMES = [picture_name(number) for number in NUMBERS]
LABELS = [int(name.partition(".")[0]) for name in NAMES]


def read(path: Path) -> np.ndarray | None:
    """A picture as the study's code reads it, (S, S, 3) float32 in [0, 1]; None without colours."""
    picture = Image.open(path)
    ratio = SIZE / min(picture.size)
    picture = picture.resize(
        (int(picture.width * ratio), int(picture.height * ratio)), Image.Resampling.LANCZOS
    )
    left, top = picture.width // 2 - SIZE // 2, picture.height // 2 - SIZE // 2
    values = np.asarray(picture.crop((left, top, left + SIZE, top + SIZE)), np.float32) / 255
    return values if values.ndim == 3 else None


def original(arrays: dict[str, dict[str, np.ndarray]], pictures: Path) -> pd.DataFrame:
    """A row for each image that the source classifies correctly, as the re-run has them."""
    usable = [at for at, name in enumerate(NAMES) if read(pictures / name) is not None]
    x = np.stack([read(pictures / NAMES[at]) for at in usable]) - np.float32(0.5)
    label = np.array(LABELS)[usable]
    network = registry.network(SOURCE, zoo="imagenet")
    params = assemble(network.spec.weight_map, arrays[SOURCE], network.abstract())

    @jax.jit
    def gradient(x, label):
        with jax.default_matmul_precision("highest"):
            return jax.grad(lambda x: network.apply(params, x[None] + 0.5)[0, label])(x)

    steps = np.stack([np.sign(gradient(*pair)) for pair in zip(x, label, strict=True)])
    adversarial = np.clip(x - np.float32(EPS) * steps, -0.5, 0.5)

    def says(name: str, x: np.ndarray) -> np.ndarray:
        return told_networks.run(name, arrays[name], x + np.float32(0.5)).argmax(1)

    rows = pd.DataFrame(
        {
            "image_id": [NAMES[at] for at in usable],
            "label": label,
            "source_clean": says(SOURCE, x),
            "source_adv": says(SOURCE, adversarial),
            "target_clean": says(TARGET, x),
            "target_adv": says(TARGET, adversarial),
            "l2": np.linalg.norm((adversarial - x).reshape(len(x), -1), axis=1),
        }
    )
    return rows[rows["source_clean"] == rows["label"]].reset_index(drop=True)


def facts(rows: pd.DataFrame, hashes: dict[str, str]) -> pd.DataFrame:
    """A rerun.csv of these rows, counted one by one."""
    source = [row for row in rows.to_dict("records")]
    fools = [row["source_adv"] != row["label"] for row in source]
    sees = [row["target_clean"] == row["label"] for row in source]
    misled = [row["target_adv"] != row["label"] for row in source]
    both = [a and b for a, b in zip(fools, sees, strict=True)]
    neither = [b and not a for a, b in zip(fools, sees, strict=True)]

    def hit(among: list[bool]) -> tuple[int, int]:
        return sum(a and b for a, b in zip(misled, among, strict=True)), sum(among)

    values = {
        "seed": (SEED, ""),
        "source_correct": (len(source), len(NAMES)),
        "source_success": (sum(fools), len(source)),
        "target_correct": (sum(sees), len(source)),
        "fooled": hit(sees),
        "fooled_where_succeeded": hit(both),
        "fooled_where_failed": hit(neither),
        "adversarial_correct": (len(source) - sum(misled), len(source)),
        "mean_l2": (sum(row["l2"] for row in source) / len(source), ""),
    } | {f"sha256_{name}": (sha256, "") for name, sha256 in hashes.items()}
    table = pd.DataFrame(
        [(what, str(value), str(of)) for what, (value, of) in values.items()],
        columns=["what", "value", "of"],
    )
    return table


@pytest.fixture(scope="module")
def fetched(tmp_path_factory) -> tuple[Path, pd.DataFrame, dict[str, str]]:
    """The folder as `fetch study` fills it, what the original gives, and the graphs' hashes."""
    copy, to = (tmp_path_factory.mktemp(name) for name in ("copy", "study"))
    pictures = tmp_path_factory.mktemp("pictures")
    contents = {}
    for at, name in enumerate(NAMES):
        contents[name] = jpeg(NUMBERS[at], width=250 + 11 * at, height=300 - 7 * at)
        (pictures / name).write_bytes(contents[name])
        if at == GREY:
            Image.open(pictures / name).convert("L").save(pictures / name)
            contents[name] = (pictures / name).read_bytes()
    seen = [at for at in range(len(NAMES)) if at != GREY]
    images = np.stack([read(pictures / NAMES[at]) for at in seen])
    says = {
        SOURCE: [LABELS[at] if at != WRONG else 0 for at in seen],  # 0: the background
        TARGET: [LABELS[at] if at != TARGET_WRONG else 0 for at in seen],
    }
    arrays = {name: told_networks.weights(name, images, says[name]) for name in says}
    graphs = {name: writers.frozen_graph(arrays[name]) for name in says}
    archives = {
        "weights": packed(
            [(addresses.GRAPHS[name].member, graph) for name, graph in graphs.items()], level=0
        ),
        "pictures": packed([(f"imgs/{name}", content) for name, content in contents.items()]),
    }
    for part, content in archives.items():
        (copy / addresses.STUDY[part].name).write_bytes(content)
    hashes = ",".join(hashlib.sha256(content).hexdigest() for content in archives.values())
    asked = [f"--to={to}", f"--source={copy}", f"--sha256={hashes}", f"--models={SOURCE},{TARGET}"]
    run("fetch", "study", *asked)
    rows = original(arrays, pictures)
    assert rows["image_id"].tolist() == [NAMES[at] for at in seen if at != WRONG]
    return to, rows, {name: hashlib.sha256(graphs[name]).hexdigest() for name in graphs}


def run(*words: str) -> int:
    """The exit status of a command, in this process."""
    with flagsaver.flagsaver():
        try:
            cli.main(cli.parse(["run.py", *words, "--noprogress"]))
        except SystemExit as error:
            return int(error.code or 0)
    return 0


@pytest.fixture(scope="module")
def attacked() -> dict[Path, pd.DataFrame]:
    """What attack_and_show gave for a folder: it is called once for each."""
    return {}


@pytest.fixture
def validated(fetched, attacked, tmp_path, monkeypatch, capsys):
    """Publish a re-run with these rows; validate; give the status, what was printed and saved."""
    folder, _, hashes = fetched
    really = first_pair.attack_and_show

    def once(study: Path, **options) -> pd.DataFrame:
        if study not in attacked:
            attacked[study] = really(study, **options)
        return attacked[study].copy()

    monkeypatch.setattr(first_pair, "attack_and_show", once)

    def call(
        rows: pd.DataFrame, *more: str, study: Path = folder, recorded: int = len(NAMES)
    ) -> tuple[int, str, dict]:
        facts(rows, hashes).to_csv(tmp_path / "rerun.csv", index=False)
        images = rows.head(recorded).drop(columns="source_clean")
        images.to_csv(tmp_path / "rerun_images.csv", index=False)
        monkeypatch.setattr(published, "FOLDER", tmp_path)
        capsys.readouterr()
        saved = tmp_path / "check.json"
        asked = [f"--study={study}", "--num_images=8", f"--save={saved}", *more]
        status = run("validate", *asked)
        return status, capsys.readouterr().out, json.loads(saved.read_text())

    return call


def test_the_originals_results_pass(fetched, validated):
    """Of eight images: one cannot be used, one is wrong from the start, six are compared."""
    rows = fetched[1]
    status, printed, saved = validated(rows, "--lanes=3")
    assert status == 0, printed
    assert saved["passed"] and saved["images"] == 6 and saved["differences"] == []
    totals = {row["count"]: row["ours"] for row in saved["totals"]}
    assert totals["source_correct"] == "6 of 8" and totals["target_correct"] == "5 of 6"
    *counts, mean = (row["differs by"] for row in saved["totals"])
    assert counts == ["0"] * 7 and float(mean.removesuffix(" %")) < 0.01
    success = int(totals["source_success"][0])
    assert 0 < success and 0 < int(totals["fooled"][0]) < 5, totals  # else little would be tested
    assert printed.splitlines()[-1] == "the original's results"
    assert "its weights are of" not in printed  # they are of the re-run's own graphs


@pytest.mark.parametrize("column", ["source_adv", "target_adv"])
def test_another_class_of_one_image_fails_by_its_name(fetched, validated, column):
    rows = fetched[1].copy()
    at = 3
    rows.loc[at, column] = rows.loc[at, column] % 1000 + 1
    status, printed, saved = validated(rows)
    name = rows.loc[at, "image_id"]
    assert status == 1 and not saved["passed"]
    assert [one["image or count"] for one in saved["differences"]][0] == name
    assert name in printed.splitlines()[-1] and str(rows.loc[at, column]) in printed


@pytest.mark.long
def test_another_picture_is_listed_first_and_may_be_decoding(fetched, validated, tmp_path):
    """Its clean class differs; with another image's adversarial class beside it the check fails."""
    folder, rows, _ = fetched
    other = tmp_path / "other"
    (other / "pictures").mkdir(parents=True)
    (other / "weights").symlink_to(folder / "weights")
    for name in NAMES:
        (other / "pictures" / name).write_bytes((folder / "pictures" / name).read_bytes())
    changed, failing = rows["image_id"].iloc[4], rows["image_id"].iloc[1]
    (other / "pictures" / changed).write_bytes(jpeg(1))
    status, printed, saved = validated(rows, study=other)
    assert status == 0, printed
    first = saved["differences"][0]
    assert (first["image or count"], first["explained"]) == (changed, "by decoding")
    assert "clean" in first["where"]

    rows = rows.copy()
    rows.loc[1, "target_adv"] = rows.loc[1, "target_adv"] % 1000 + 1
    status, printed, saved = validated(rows, study=other)
    listed = [one["image or count"] for one in saved["differences"]]
    assert status == 1 and listed[0] == changed and failing in listed
    assert printed.index(changed) < printed.index(failing)
    assert failing in printed.splitlines()[-1] and changed not in printed.splitlines()[-1]


def test_the_re_runs_own_record_and_other_graphs(fetched, validated):
    """With DIR/rerun.jsonl every image is compared; weights of another graph are said first."""
    folder, rows, hashes = fetched
    record = folder / RECORD
    record.write_text("".join(json.dumps(row) + "\n" for row in rows.to_dict("records")))
    try:
        original_hash = hashes[TARGET]
        hashes[TARGET] = "0" * 64
        status, printed, saved = validated(rows, recorded=2)
    finally:
        hashes[TARGET] = original_hash
        record.unlink()
    assert status == 0 and saved["images"] == 6
    assert printed.splitlines()[0].startswith(f"{TARGET}: its weights come from")
