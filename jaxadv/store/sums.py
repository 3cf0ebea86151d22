"""Sums of the transfer rows of a part, which the part keeps in its footer. So a report of billions
of rows reads no row.

The footer's entry is the CRC-32 and the base64 of an Arrow stream with the table of `of`.
"""

import base64
import zlib

import pandas as pd
import pyarrow as pa

ENTRY = "jaxadv.sums"
KEYS = ["source", "model", "attack", "setting", "target_kind"]
COLUMNS = [
    *KEYS,
    "attacked",
    "invalid",
    "source_success",
    "success",
    "top5",
    "released_success",
    "released_top5",
]


def of(rows: pd.DataFrame) -> pd.DataFrame:
    """Count transfer rows.

    Args:
        rows: transfer rows.

    Returns:
        A row for each source, model, attack, setting and kind of target. The columns ``rows`` and
        ``invalid`` count rows. The others are numerators and denominators of the transfer rates in
        the three treatments of images that do not fool their source (see
        `jaxadv.report.tables.transfer`).
    """
    attacked = rows["attacked"]
    fools_source = rows["source_success"]
    sums = rows[KEYS].assign(
        rows=1,
        invalid=rows["invalid"],
        n_released=attacked,
        n_left_out=attacked & fools_source,
        n_as_failures=attacked,
    )
    for suffix, column in (("", "success"), ("_top5", "top5")):
        sums[f"released{suffix}"] = attacked & rows[f"released_{column}"]
        transferred = attacked & fools_source & rows[column]
        sums[f"left_out{suffix}"] = transferred
        sums[f"as_failures{suffix}"] = transferred
    return added(sums)


def added(sums: pd.DataFrame) -> pd.DataFrame:
    """Add up tables of sums.

    Args:
        sums: the tables, one below the other.

    Returns:
        One table with one row for each key.
    """
    total = sums.groupby(KEYS, sort=False, observed=True).sum().reset_index()
    return total.astype(
        dict.fromkeys(KEYS, "str") | dict.fromkeys(total.columns[len(KEYS) :], "int64")
    )


def encoded(sums: pd.DataFrame) -> str:
    """A table of sums as an entry of a footer.

    Args:
        sums: the table of `of`.

    Returns:
        ASCII text.
    """
    table = pa.Table.from_pandas(sums, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(
        sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    return f"{zlib.crc32(content):08x}{base64.b64encode(content).decode()}"


def decoded(entry: bytes) -> pa.Table:
    """The table of sums from an entry of `encoded`.

    Args:
        entry: the entry of a footer.

    Returns:
        The table.

    Raises:
        ValueError: if the entry is damaged.
    """
    content = base64.b64decode(entry[8:])
    if entry[:8] != b"%08x" % zlib.crc32(content):
        raise ValueError("the checksum of its sums is wrong")
    return pa.ipc.open_stream(content).read_all()
