"""AutoAttack and the searches through the command line: rows, tables, JSON; continued and refused
as other attacks are.
"""

import json
import shutil

import pandas as pd
import processes
import pytest
from processes import refusal, run

from jaxadv.report import robust
from jaxadv.store.run import Run

TINY = ["--models=none", f"--model_module={processes.TINY}", "--noprogress"]
JOB = [
    *("evaluate", *TINY, "--num_images=120", "--attacked_images=10", "--block_images=4"),
    *("--lanes=4", "--attacks=autoattack,apgd,fab,square,ddn,fmn,pdpgd,alma"),
    *("--autoattack_eps=0.02,0.1", "--autoattack_steps=6", "--autoattack_queries=20"),
    *("--apgd_loss=cross_entropy,targeted_dlr", "--apgd_steps=4", "--apgd_classes=2"),
    *("--fab_steps=4", "--fab_classes=2", "--square_queries=10", "--ddn_steps=8"),
    *("--fmn_norm=l2,linf", "--fmn_steps=8", "--pdpgd_steps=6", "--alma_steps=6"),
    *("--targets=untargeted,random", "--parts=attacks,report", "--figures=robustness_*"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "modern"
    run(*JOB, f"--out={out}")
    return out


@pytest.mark.long
def test_rows_have_settings_and_who_broke_what(finished):
    rows = Run(finished).read("examples")
    own = rows[rows["attack"] == "autoattack"]
    assert set(own["target_kind"]) == {"untargeted"}  # it has no targeted form
    assert set(own["setting"]) == {"eps=0.02", "eps=0.1"}
    assert ((own["broken_by"] != "") == own["success"]).all()
    assert set(rows[rows["attack"] == "fab"]["target_kind"]) == {"untargeted"}
    apgd = rows[rows["attack"] == "apgd"]
    kinds = apgd.groupby("loss")["target_kind"].unique().map(set)
    assert kinds["cross_entropy"] == {"untargeted", "random"}
    assert kinds["targeted_dlr"] == {"untargeted"}
    assert set(rows[rows["attack"] == "fmn"]["norm"]) == {"l2", "linf"}


@pytest.mark.long
def test_tables_and_json_of_a_run(finished):
    table = pd.read_csv(finished / "tables" / "robust_accuracy.csv")
    own = table[table["attack"] == "autoattack"]
    clean, rows = Run(finished).read("clean"), Run(finished).read("examples")
    for line in own.to_dict("records"):
        model = clean[clean["model"] == line["model"]]
        attempts = rows.query("attack == 'autoattack'")
        attempts = attempts[
            (attempts["model"] == line["model"]) & (attempts["setting"] == line["setting"])
        ]
        right = (model["predicted"] == model["label"]).to_numpy()
        last = model["image_id"].tolist().index(attempts["image_id"].iloc[-1]) + 1
        assert line["images"] == last and line["correct"] == right[:last].sum() == len(attempts)
        assert line["robust"] == (~attempts["success"]).sum()
    files = list(finished.glob("robustbench/digits/Linf/*.json"))
    assert len(files) == len(own)
    assert all("autoattack_acc" in json.loads(file.read_text()) for file in files)
    assert (finished / "figures" / "robustness_curves_linf.svg").exists()
    near = robust.compute(Run(finished)).optimality
    assert (near["optimality"] <= 1 + 1e-9).all()


@pytest.mark.long
def test_parts_that_are_gone_are_made_again_to_the_bit(finished, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    expected = Run(finished).read("examples")
    for path in sorted(out.glob("examples/*"))[::3]:
        path.unlink()
    run(*JOB, f"--out={out}")
    pd.testing.assert_frame_equal(Run(out).read("examples"), expected, check_exact=True)


def test_targets_alone_are_refused_for_attacks_without_a_targeted_form(tmp_path):
    line = refusal(*JOB, "--targets=random", f"--out={tmp_path / 'run'}")
    assert "targets of autoattack are random" in line and "--autoattack_targets=untargeted" in line
    line = refusal(*JOB, "--fab_targets=least", f"--out={tmp_path / 'run'}")
    assert "targets of fab are least" in line
    assert not (tmp_path / "run").exists()


def test_bad_settings_are_one_line(tmp_path):
    for flag, told in (
        ("--autoattack_stages=apgd", "stages is 'apgd'"),
        ("--autoattack_eps=0", "eps is 0"),
        ("--fmn_norm=l3", "fmn_norm is 'l3'"),
        ("--apgd_larger_first", "larger_first is set with norm inf"),
        ("--attacks=aa", "here it is 'autoattack'"),
    ):
        assert told in refusal(*JOB, flag, f"--out={tmp_path / 'run'}")
