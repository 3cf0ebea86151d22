"""The claims count transfer as attested: towards a target the top-5, and failed sources too."""

from types import SimpleNamespace

import pandas as pd
import pytest

from jaxadv.report.study.claims_transfer import _printed_cell, _targets
from jaxadv.report.study.verdicts import Evidence
from jaxadv.report.tables import transfer

SOURCES = ("inception_v1", "inception_v2", "vgg_16")


def rows(kind: str, *, success: float, top5: float, failed: float = 0.0) -> pd.DataFrame:
    """A hundred images of each source shown to both others; shares of them, the first ones each."""
    frames = []
    for source in SOURCES:
        for model in set(SOURCES) - {source}:
            image = pd.Series(range(100))
            frame = pd.DataFrame({"image_id": image, "source": source, "model": model})
            frame["success"] = frame["released_success"] = image < 100 * success
            frame["top5"] = frame["released_top5"] = image < 100 * top5
            frame["source_success"] = image >= 100 * failed
            frames.append(frame)
    how = {"attack": "fgsm", "setting": "eps=0.1", "target_kind": kind}
    return pd.concat(frames).assign(**how, attacked=True, invalid=False)


def evidence(*parts: pd.DataFrame, zoo: str = "imagenet") -> Evidence:
    made = SimpleNamespace(transfer=transfer(pd.concat(parts)))
    return Evidence(made, [], {}, zoo)  # type: ignore[arg-type]


@pytest.mark.parametrize(("zoo", "verdict"), [("imagenet", "does not hold"), ("digits", "holds")])
def test_towards_a_target_the_top_5_count_on_imagenet(zoo, verdict):
    """5 % reach their target, 30 % have it among the five largest; 40 % are misled without one."""
    aimed = rows("random", success=0.05, top5=0.3)
    claim = _targets(evidence(rows("untargeted", success=0.4, top5=0), aimed, zoo=zoo))
    assert claim.verdict == verdict and claim.settled == "yes"
    assert ("five largest outputs" in claim.rule) == (zoo == "imagenet")
    assert ("30.0 %" if zoo == "imagenet" else "5.0 %") in claim.evidence


def test_failed_sources_count():
    """The images that fool their source never transfer here; only with the failed ones there is
    any.
    """
    free = rows("untargeted", success=0.4, top5=0, failed=0.4)
    aimed = rows("random", success=0, top5=0.1, failed=0.1)
    claim = _targets(evidence(free, aimed))
    assert claim.verdict == "holds" and "untargeted 40.0 %" in claim.evidence


def test_the_printed_cell_and_the_re_run_are_two_things():
    shown = rows("untargeted", success=0.5, top5=0)
    claim = _printed_cell(evidence(shown))
    assert claim.verdict == "measured" and claim.settled == ""
    for text in ("this run 0.500 (n 100)", "Fig. 3: 0.36", "345 of 645 = 0.535", "not known"):
        assert text in claim.evidence
    assert "two different things" in claim.rule
    assert _printed_cell(evidence(shown, zoo="digits")).verdict == "not tested"
    assert _printed_cell(evidence(shown[shown["source"] != "inception_v1"])).verdict == "not tested"
