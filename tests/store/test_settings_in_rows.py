"""Settings of attacks as columns of their rows, and the columns that fit a kind."""

import pandas as pd
import pyarrow as pa
import pytest
from test_belonging import identity, rows

from jaxadv.store.rows import KINDS, fits, schema, table
from jaxadv.store.run import Run
from model_ports.errors import InputError


def attempts(label: str, **columns) -> pd.DataFrame:
    return rows("examples", 2, attack="cw", setting=label, **({"eps": float("nan")} | columns))


def test_settings_are_read_as_they_were_given(tmp_path):
    """Each attack and label has its own. What it has not is missing and NaN."""
    with Run.begin(tmp_path, identity()) as run:
        run.append(
            "examples",
            attempts("few", steps=3, loss="logit", targeted=True, rate=0.01, init=float("nan")),
            part="a",
        )
        run.append(
            "examples",
            attempts("more", loss=pd.array([None] * 2, "string"), eps=[0.1, 0.3]),
            part="b",
        )
        run.append("examples", attempts("few", steps=4), part="c")  # known: not looked at
    few = {"steps": 3, "loss": "logit", "targeted": True, "rate": 0.01}
    assert run.settings() == {("cw", "few"): few, ("cw", "more"): {"eps": 0.1}}
    assert [type(value) for value in run.settings()["cw", "few"].values()] == [
        int,
        str,
        bool,
        float,
    ]


@pytest.mark.parametrize("kind", ["string[python]", "string[pyarrow]", "str", object])
def test_text_of_any_kind_is_a_setting(kind):
    values = pd.Series(["logit", "logit"], dtype=kind)
    assert table("examples", attempts("a").assign(loss=values)).schema.field("loss").type == (
        pa.string()
    )


def test_a_setting_of_another_type_is_one_line():
    with pytest.raises(InputError, match="'when' has type timestamp.*convert it$"):
        table("examples", attempts("a").assign(when=pd.Timestamp(0)))


def test_columns_fit_their_kind_in_their_order_and_settings_may_follow():
    clean, examples = schema("clean"), schema("examples")
    assert fits("clean", clean) and fits("examples", examples)
    steps = pa.field("steps", pa.int64())
    assert fits("examples", examples.append(steps)) and not fits("clean", clean.append(steps))
    for kind, whole in (("clean", clean), ("examples", examples)):
        assert not fits(kind, whole.remove(len(whole) - 1))
        assert not fits(kind, pa.schema(reversed(list(whole))))
        assert not fits(kind, whole.set(1, whole.field(1).with_type(pa.int8())))


def test_a_digest_that_rows_lack_is_empty_and_one_that_they_have_stays():
    given = rows("clean", 2, digest=["ab", "cd"])
    assert table("clean", given)["digest"].to_pylist() == ["ab", "cd"]
    assert table("clean", given.drop(columns="digest"))["digest"].to_pylist() == ["", ""]
    assert table("transfer", rows("transfer")).column_names == list(KINDS["transfer"])
