"""Sums of transfer rows, counted by hand, and their entry in a footer."""

import pandas as pd
import pytest

from jaxadv.store import sums

KEYS = {"source": "s", "model": "m", "attack": "a", "setting": "e", "target_kind": "t"}
FLAGS = [name for name in sums.COLUMNS if name not in KEYS]  # from attacked to released_top5


def shown(*outcomes: str, **keys: str) -> pd.DataFrame:
    """Transfer rows; each outcome has a digit for each of FLAGS."""
    values = [[digit == "1" for digit in outcome] for outcome in outcomes]
    return pd.DataFrame(values, columns=FLAGS).assign(**(KEYS | keys))


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        # rows, invalid; then released, left out, as failures: of how many, fooled, out of top 5
        ("0000000", {}),
        ("0111111", {"invalid": 1}),  # its model knows the clean image wrongly
        ("1000000", {"n_released": 1, "n_as_failures": 1}),
        ("1001111", dict.fromkeys(["n_released", "released", "released_top5", "n_as_failures"], 1)),
        (
            "1011000",
            dict.fromkeys(["n_released", "n_left_out", "left_out", "n_as_failures"], 1)
            | {"as_failures": 1},
        ),
        (
            "1010110",
            dict.fromkeys(["n_released", "released", "n_left_out", "n_as_failures"], 1)
            | {"left_out_top5": 1, "as_failures_top5": 1},
        ),
    ],
)
def test_what_an_outcome_counts_for(outcome, counts):
    (row,) = sums.of(shown(outcome, outcome)).to_dict("records")
    assert {name: row.pop(name) for name in KEYS} == KEYS
    assert row.pop("rows") == 2
    assert {name: count for name, count in row.items() if count} == {
        name: 2 * count for name, count in counts.items()
    }


def test_sums_have_a_row_for_each_key_that_was_seen_as_it_was_seen_first():
    parts = [shown("1" * 7, model=model) for model in ("m2", "m1", "m2")]
    rows = pd.concat(parts, ignore_index=True).astype({"model": "category", "source": "category"})
    total = sums.of(rows)
    assert total["model"].tolist() == ["m2", "m1"] and total["rows"].tolist() == [2, 1]
    assert {str(total[name].dtype) for name in total.columns[5:]} == {"int64"}
    rows["model"] = rows["model"].cat.add_categories("never seen")
    assert sums.of(rows).equals(total)
    assert sums.added(pd.concat([total, total]))["rows"].tolist() == [4, 2]


def test_an_entry_is_read_as_it_was_written_or_not_at_all():
    table = sums.of(shown("1" * 7, "0" * 7)[::-1])
    entry = sums.encoded(table).encode()
    found = sums.decoded(entry)
    assert found.column_names == list(table.columns) and found.to_pandas().equals(table)
    with pytest.raises(ValueError, match="the checksum of its sums is wrong"):
        sums.decoded(b"0" * 8 + entry[8:])
