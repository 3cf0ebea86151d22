"""Makes small tables from the measurements of `jaxadv.benchmark.accelerator`.

    python -m jaxadv.benchmark.tables results/accelerator/*.csv

This writes rates.csv and answers.csv in `jaxadv.evaluation`. --dry_run and --precision=auto read
them.
"""

import sys
from pathlib import Path

import pandas as pd

from jaxadv.evaluation import precision, rates
from jaxadv.support.files import write_atomically
from model_ports.errors import InputError


def rates_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Make rows with `rates.COLUMNS` from part a of a measurement."""
    speeds = rows[(rows["part"] == "a") & rows["gradients_per_second"].notna()]
    key = ["device", "network", "precision", "lanes"]
    ours = speeds[speeds["what"] == "gradient"]
    theirs = speeds[speeds["what"] == "pytorch"].set_index(key)["gradients_per_second"]
    joined = ours.join(theirs.rename("pytorch_per_second"), on=key)
    return joined[list(rates.COLUMNS)].reset_index(drop=True)


def answers_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Make rows with `precision.COLUMNS` from part b of a measurement."""
    known = rows[(rows["part"] == "b") & rows["changed"].notna()]
    named = known.rename(columns={"what": "attack"})
    named = named[~named["precision"].isin(["highest", "nudged"])]
    counts = dict.fromkeys(("images", "changed", "revoked"), int)
    return named[list(precision.COLUMNS)].astype(counts).reset_index(drop=True)


def main(files: list[str]) -> None:
    """Write both tables from measured CSV files. Bad input ends with one line and status 2."""
    try:
        if not files:
            raise InputError("give the CSV files that jaxadv.benchmark.accelerator has written")
        missing = [file for file in files if not Path(file).is_file()]
        if missing:
            raise InputError(f"{missing[0]!r} is no file; give those that were measured")
        rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
        for path, table in ((rates.TABLE, rates_of(rows)), (precision.TABLE, answers_of(rows))):
            write_atomically(path, table.to_csv(index=False, float_format="%.5g").encode())
            print(f"written: {path}, {len(table)} rows")
    except InputError as error:
        print(f"tables: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
