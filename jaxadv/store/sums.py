"""What the transfer rows of a part add up to, which the part itself carries in its footer: a report of billions of rows reads none of them.

The footer's entry is the CRC-32 and the base64 of an Arrow stream, which holds the table of `of`.
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
    """Counts for each pair, attack, setting and kind of target of transfer ``rows``: of rows, and of what each treatment of images that do
    not fool their own source divides by what (see `jaxadv.report.tables.transfer`).
    """
    attacked = rows["attacked"]
    own = rows["source_success"]
    sums = rows[KEYS].assign(
        rows=1,
        invalid=rows["invalid"],
        n_released=attacked,
        n_left_out=attacked & own,
        n_as_failures=attacked,
    )
    for suffix, column in (("", "success"), ("_top5", "top5")):
        sums[f"released{suffix}"] = attacked & rows[f"released_{column}"]
        sums[f"left_out{suffix}"] = sums[f"as_failures{suffix}"] = attacked & own & rows[column]
    return added(sums)


def added(sums: pd.DataFrame) -> pd.DataFrame:
    """Tables of sums, one below the other, as one."""
    total = sums.groupby(KEYS, sort=False, observed=True).sum().reset_index()
    return total.astype(
        dict.fromkeys(KEYS, "str") | dict.fromkeys(total.columns[len(KEYS) :], "int64")
    )


def encoded(sums: pd.DataFrame) -> str:
    """As an entry of a footer."""
    table = pa.Table.from_pandas(sums, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(
        sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    return f"{zlib.crc32(content):08x}{base64.b64encode(content).decode()}"


def decoded(entry: bytes) -> pa.Table:
    """What `encoded` was given. Raises ValueError where it is damaged."""
    content = base64.b64decode(entry[8:])
    if entry[:8] != b"%08x" % zlib.crc32(content):
        raise ValueError("the checksum of its sums is wrong")
    return pa.ipc.open_stream(content).read_all()
