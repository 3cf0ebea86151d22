"""The page shows the printed 0.36 and the re-run's 0.535 beside our own rate, as two different
things.
"""

from types import SimpleNamespace

import pandas as pd

from jaxadv.report.published import _first_pair


def test_the_printed_cell_and_the_re_run_stand_beside_ours():
    columns = ["source", "model", "attack", "setting", "target_kind", "released", "n_released"]
    rows = [("inception_v1", "inception_v2", "fgsm", "eps=0.1", "untargeted", 0.5, 640)]
    rows += [("inception_v2", "inception_v1", "fgsm", "eps=0.1", "untargeted", 0.7, 640)]
    views = SimpleNamespace(made=SimpleNamespace(transfer=pd.DataFrame(rows, columns=columns)))
    text = _first_pair(views)
    assert "0.500 (n 640)" in text and "<em>345 of 645 = 0.535</em> <small>[P]" in text
    assert "<em>0.36</em> <small>[P]" in text and "0.700" not in text
    views.made.transfer = views.made.transfer.tail(1)
    assert _first_pair(views) == ""
