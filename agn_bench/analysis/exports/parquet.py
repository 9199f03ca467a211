"""Two tables in Parquet, `summary.parquet` and `curves.parquet`, with the types and rows that agn_bench.read gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agn_bench.analysis.comparison import Runs, counted_points
from agn_bench.analysis.exports import Step, package
from agn_bench.base.files import written_aside
from agn_bench.base.tabular import FLAG, NUMBER, TEXT, WHOLE

if TYPE_CHECKING:
    import pandas as pd


def write(runs: Runs, out: Path, step: Step) -> list[Path]:
    """Write the tables over those that are there."""
    package("parquet", "pyarrow")
    tables = {"summary": runs.summary, "curves": counted_points(runs)}
    paths = []
    for name, table in tables.items():
        paths.append(out / f"{name}.parquet")
        _write(table, paths[-1])
    for run in runs.summary["run_id"]:
        step(run)
    return paths


def _write(table: pd.DataFrame, path: Path) -> None:
    """With the declared type of each column: a column of blanks would have none, and a text that looks like a number
    stays a text.
    """
    arrow, parquet = package("parquet", "pyarrow"), package("parquet", "pyarrow.parquet")
    kinds = {TEXT: arrow.string(), WHOLE: arrow.int64(), NUMBER: arrow.float64(), FLAG: arrow.bool_()}
    schema = arrow.schema([(str(column), kinds[str(table[column].dtype)]) for column in table])
    with written_aside(path) as aside:
        parquet.write_table(arrow.Table.from_pandas(table, schema, preserve_index=False), aside, compression="zstd")
