"""Time and memory of the tables of a big run: 18 models, all 306 pairs, 12 settings.

The test has 4 settings and 300 images, a tenth of the 3.7 million transfer rows. Run the whole by
hand: `PYTHONPATH=tests python tests/report/test_scale.py DIR`. With `DIR 200` it has 50,000 images
in 200 blocks, each a copy of one. That gives 14,400 parts of examples and as many of transfer, with
11 and 184 million rows.

The time of transfer grows with its rows. That of the other tables grows mostly with the number of
groups, and that of the figures with their number. Both are a third here. Memory grows with the rows
of a part.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report import attempts

from jaxadv.report import tables
from jaxadv.report.tables import DISTANCES
from jaxadv.store.run import Run

MODELS = [f"model_{number:02d}" for number in range(18)]
SETTINGS = [("fgsm", f"eps={eps}", "untargeted") for eps in (0.1, 0.2, 0.3)]
SETTINGS += [("ifgsm_search", f"initial_eps={eps}", "random") for eps in (0.01, 0.02, 0.04)]
SETTINGS += [
    (attack, f"confidence={level}", "random") for attack in ("cw", "ead") for level in (0, 10, 20)
]


def made_up_run(directory, images: int = 1000, settings=SETTINGS) -> Run:
    draw, run = np.random.default_rng(0), Run.begin(directory)
    image = np.arange(images)
    label = (image % 10).astype(np.int32)
    common = {"image_id": image, "label": label}
    for number, name in enumerate(MODELS):
        predicted = np.where(draw.random(images) < 0.01 * (number + 1), (label + 1) % 10, label)
        run.append(
            "clean",
            pd.DataFrame(
                common | {"model": name, "predicted": predicted, "top5": True, "invalid": False}
            ),
            part=name,
        )
        rows = []
        for attack, setting, kind in settings:
            success = draw.random(images) < 0.8
            how = {"model": name, "attack": attack, "setting": setting, "target_kind": kind}
            lengths = {
                length: np.where(success, draw.lognormal(size=images), np.nan)
                for length in DISTANCES
            }
            spent = {
                "target": 1,
                "predicted": 1,
                "gradients": 100,
                "forwards": 9,
                "eps": np.nan,
                "const": np.nan,
            }
            spent |= dict.fromkeys(("near_tie", "revoked", "invalid", "zero_gradient"), False)
            name_of, value = setting.split("=")
            spent |= {"eps": float(value) if name_of == "eps" else np.nan}
            own = pd.DataFrame(
                common
                | how
                | lengths
                | spent
                | {"success": success}
                | attempts.columns(attack, **{name_of: float(value)})
            )
            rows.append(own)
            pairs = []
            for other in MODELS:
                if other != name:
                    fooled = draw.random((4, images)) < 0.3
                    shown = {
                        "source": name,
                        "model": other,
                        "clean_predicted": label,
                        "source_success": success,
                    }
                    shown |= {"attacked": True, "invalid": False}
                    answers = dict(
                        zip(
                            ("success", "top5", "released_success", "released_top5"),
                            fooled,
                            strict=True,
                        )
                    )
                    pairs.append(
                        pd.DataFrame(common | how | {"target": 1, "predicted": 1} | shown | answers)
                    )
            run.append(
                "transfer", pd.concat(pairs), part=f"{name}-{attack}-{setting.split('=')[1]}"
            )
        attempts.append(run, pd.concat(rows), name)
        fit = {
            column: 1.0
            for column in ("margin", "lipschitz", "shape", "location", "scale", "ks", "p_value")
        }
        scores = [
            common
            | fit
            | {
                "model": name,
                "target": 1,
                "target_kind": "random",
                "norm": norm,
                "score": draw.lognormal(size=images),
            }
            for norm in ("1", "2", "inf")
        ]
        clever = pd.concat([pd.DataFrame(rows) for rows in scores])
        run.append(
            "clever", clever.assign(maxima=[np.ones(50, np.float32)] * len(clever)), part=name
        )
    run.write_manifest(run.manifest() | {"models": MODELS})
    run.close()
    return run


def blocks_of(directory, count: int, images: int = 250, settings=SETTINGS) -> Run:
    """The run of a few images, whose parts of examples and transfer are one for each model and
    attack, ``count`` times.
    """
    run = made_up_run(directory, images, settings)
    for kind, of in (("examples", "model"), ("transfer", "source")):
        all_rows = run.read(kind)
        for path in (run.directory / kind).iterdir():
            path.unlink()
        for (name, attack), own in all_rows.groupby([of, "attack"]):
            own = attempts.own(own) if kind == "examples" else own
            for number in range(count):
                block = own.assign(image_id=own["image_id"] + number * images)
                run.append(kind, block, part=f"{name}-{attack}-{number:04d}")
    return run


@pytest.mark.long
def test_blocks_add_up(tmp_path):
    run = blocks_of(tmp_path / "run", 3, images=20, settings=SETTINGS[::6])
    made = tables.compute(run)
    for copy in run.directory.glob("*/*-000[12].parquet"):
        copy.unlink()
    once = tables.compute(run)
    assert made.counts["attempts"] == 3 * once.counts["attempts"] == 3 * 18 * 2 * 20
    assert made.counts["transfer checks"] == 3 * once.counts["transfer checks"]
    assert (made.transfer["n_released"] == 3 * once.transfer["n_released"]).all()
    for column in ("released", "left_out_top5"):
        np.testing.assert_allclose(made.transfer[column], once.transfer[column])
    for column in ("success_rate", "l2_mean", "l2_std", "linf_median", "gradients_mean"):
        np.testing.assert_allclose(made.robustness[column], once.robustness[column])


def remade(
    directory, code="from jaxadv.report.remake import remake; remake(sys.argv[1])"
) -> tuple[float, float, float]:
    """Of a process of its own that remakes the views: seconds of the processor (which other
    processes' work does not lengthen), seconds of the clock, and peak GiB.
    """
    # Not ru_maxrss, which a process inherits from the one that started it.
    told = (
        "; used = resource.getrusage(resource.RUSAGE_SELF); status = "
        "open('/proc/self/status').read().split(); "
    )
    told += "most = int(status[status.index('VmHWM:') + 1]); "
    told += "print(json.dumps([used.ru_utime + used.ru_stime, time.time() - begun, most / 2**20]))"
    command = [
        sys.executable,
        "-c",
        f"import json, resource, sys, time; begun = time.time(); {code}{told}",
        str(directory),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    processor, clock, memory = json.loads(done.stdout.splitlines()[-1])
    return processor, clock, memory


@pytest.mark.slow
def test_report_of_a_tenth_of_the_study(tmp_path):
    run = made_up_run(tmp_path / "run", 300, SETTINGS[::3])
    processor, _, memory = remade(run.directory)
    # the whole has to be below 60 s and 2 GiB
    assert processor < 30 and memory < 1
    table = pd.read_csv(tmp_path / "run" / "tables" / "transfer.csv")
    assert len(table) == 18 * 17 * 4 and (table["n_released"] == 300).all()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if not folder.exists():
        begun = time.time()
        blocks_of(folder, int(sys.argv[2])) if len(sys.argv) > 2 else made_up_run(folder)
        print(f"made in {time.time() - begun:.0f} s")
    only_tables = (
        "from jaxadv.report import tables; from jaxadv.store.run import Run; run = "
        "Run(sys.argv[1]); "
    )
    only_tables += "tables.write_all(run, run.directory / 'tables')"
    for what, measured in (("tables", remade(folder, only_tables)), ("report", remade(folder))):
        print(
            "{}: {:.1f} s of the processor, {:.1f} s of the clock, {:.2f} GiB".format(
                what, *measured
            )
        )
