"""REPRODUCTION.md: the claims, and every table and figure in place, from the CSV files of all sizes that are there."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agn_bench.base import files
from agn_bench.config.shipped import experiments_folder
from agn_bench.paper.artefacts import ARTEFACTS, Artefact
from agn_bench.paper.claims import CONFIRMED, ELSEWHERE, MISSING, REFUTED, UNDECIDED, Claim, Finding, findings, verdict
from agn_bench.paper.computed import CLUSTER, COMPUTED, computed_path, computed_table
from agn_bench.paper.measures import COMPUTED_MEASURES
from agn_bench.paper.runs import SIZES, Results

REPORT = "REPRODUCTION.md"
Judged = list[tuple[Claim, list[Finding]]]


def claims_rows(judged: Judged) -> list[dict[str, Any]]:
    """One row per measure, for tables/claims.csv."""
    return [
        {
            "claim": claim.number,
            "text": claim.text,
            "verdict": verdict(own),
            "measure": finding.rule.measure,
            "what": finding.rule.what,
            "rule": finding.rule.text,
            "published": finding.published,
            "seeds": len(finding.values),
            "mean": finding.mean,
            "half_width_95": finding.half_width,
            "measure_verdict": finding.verdict,
        }
        for claim, own in judged
        for finding in own
    ]


def judge(runs: Results, root: Path) -> Judged:
    """Judge the claims at a size; writes tables/claims.csv."""
    computed = {table: computed_table(root, table) for table in COMPUTED if computed_path(root, table).is_file()}
    judged = findings(runs, computed)
    files.write_table(runs.folder / "tables" / "claims.csv", claims_rows(judged))
    return judged


def shown_verdict(own: Sequence[Finding]) -> str:
    """The verdict of a claim, and whether single seeds stand behind it."""
    found = verdict(own)
    if found not in (CONFIRMED, REFUTED):
        return found
    single = any(len(finding.values) == 1 and finding.rule.measure not in COMPUTED_MEASURES for finding in own)
    part = any(finding.verdict in (ELSEWHERE, MISSING) for finding in own)
    notes = ["in part"] * part + ["one seed"] * single
    return found + (f" ({', '.join(notes)})" if notes else "")


def shown_value(finding: Finding) -> str:
    """Mean ± half of the 95 % interval."""
    spread = finding.half_width
    return f"{finding.mean:.4g}" + ("" if math.isnan(spread) else f" ± {spread:.2g}")


def write_report(root: Path, sizes: Sequence[Results]) -> tuple[Path, dict[str, Judged]]:
    """Write the report on these sizes; where it is, and how the claims were judged at each."""
    judged = {runs.size: judge(runs, root) for runs in sizes}
    prose = [_findings(root), _odd_curves(root)]
    parts = [_head(sizes), _claims(judged), *prose, *(_section(name, root, sizes) for name in ARTEFACTS)]
    path = root / REPORT
    files.write_text(path, "\n\n".join(part for part in parts if part) + "\n")
    return path, judged


_ABOUT = """*Accumulated Gradient Normalization* (Hermans, Spanakis, Möckel 2017, [arXiv 1710.02368](https://arxiv.org/abs/1710.02368)):
this page has its claims, tables and figures, each next to ours. `agn-bench reproduce` writes it from the CSV files in
this folder. There `provenance.json` has the command, commit and machine of every run. Deviations (±) in tables are
sample standard deviations over the seeds. [How it works](../docs/how-it-works.md) explains the words."""

_RULES = """Each is judged by measures and rules set beforehand, in [experiments/paper/claims.toml](../experiments/paper/claims.toml).
A measure is undecided unless the 95 % interval of its mean over the seeds is on one side of the limit. A measure of one seed
has no interval, and is indicative only. A claim is confirmed if all of its measures speak for it, and refuted if one speaks
against it."""  # noqa: E501


def _head(sizes: Sequence[Results]) -> str:
    rows = []
    for runs in sizes:
        names = list(runs.experiments)
        missing, total = runs.missing(names), len(runs.asked(names))
        seeds = max((len(runs.seeds(name)) for name in names), default=0)
        rows.append(
            {
                "size": f"`{runs.size}`",
                "what": SIZES[runs.size],
                "seeds": seeds,
                "runs": f"{total - missing} of {total}",
                "made on": ", ".join(f"{device}: {count}" for device, count in runs.devices().most_common()),
                "results": f"[{runs.folder.name}]({runs.folder.name})",
            }
        )
    return "\n".join(
        [
            "# The paper, reproduced",
            "",
            _ABOUT,
            "",
            _table(rows),
        ]
    )


def _claims(judged: dict[str, Judged]) -> str:
    lines = [
        "## Claims",
        "",
        _RULES,
        "",
    ]
    sizes = list(judged)
    rows = []
    for index, (claim, _) in enumerate(judged[sizes[0]]):
        row: dict[str, Any] = {"": claim.number, "claim": claim.text}
        row |= {f"`{size}`": shown_verdict(judged[size][index][1]) for size in sizes}
        rows.append(row)
    lines += [_table(rows), "", "This is measure by measure, as mean ± half of the 95 % interval:", ""]
    measures = []
    for index, (claim, own) in enumerate(judged[sizes[0]]):
        for place, finding in enumerate(own):
            row = {"": claim.number, "measure": finding.rule.what, "published": finding.published}
            row["speaks for it if"] = finding.rule.text
            row |= {f"`{size}`": _marked(judged[size][index][1][place]) for size in sizes}
            measures.append(row)
    legend = (
        "✓ speaks for the claim, ✗ speaks against it, ? leaves it undecided, – means that runs are missing, and n/a "
        "that the size does not have its cells."
    )
    lines += [_table(measures), "", legend]
    return "\n".join(lines)


_MARKS = {CONFIRMED: " ✓", REFUTED: " ✗", UNDECIDED: " ?", ELSEWHERE: "n/a", MISSING: "–"}


def _marked(finding: Finding) -> str:
    return (shown_value(finding) if finding.values else "") + _MARKS[finding.verdict]


FINDINGS, ODD_CURVES = "findings.md", "odd-curves.md"
"""Beside the experiment files: what we make of it, and of suppositions about what is not reproduced. A number in
them is a cell of a CSV file, as in
{paper downpour workers=20,local_steps=1 test_accuracy}: folder, table, the row's values (with _ for blanks), column."""

_NUMBER = re.compile(r"\{(\S+) (\S+) (\S+) (\S+)\}")


def _findings(root: Path) -> str:
    return "## What we make of it\n\n" + _prose(root, FINDINGS)


def _odd_curves(root: Path) -> str:
    """What was tried to explain what is not reproduced, where it was tried."""
    return _prose(root, ODD_CURVES) if (root / CLUSTER / "tables" / "hypotheses.csv").is_file() else ""


def _prose(root: Path, file: str) -> str:
    """The prose of a file, with its numbers filled in from the tables that are there."""
    text = (experiments_folder() / "paper" / file).read_text(encoding="utf-8")
    return _NUMBER.sub(lambda found: _number(root, *found.groups()), text).strip()


def _number(root: Path, folder: str, table: str, row: str, column: str) -> str:
    """A cell of a table as the report shows it; a dash where it is not there."""
    path = root / folder / "tables" / f"{table}.csv"
    if not path.is_file():
        return "–"
    wanted = {key: value.replace("_", " ") for key, value in (part.split("=") for part in row.split(","))}
    with path.open(encoding="utf-8", newline="") as file:
        there = csv.DictReader(file)
        rows = [row for row in there if all(row[key].replace("_", " ") == value for key, value in wanted.items())]
    return _readable(rows[0])[_heading(column)] if rows else "–"


def _section(name: str, root: Path, sizes: Sequence[Results]) -> str:
    """An artefact: its pictures and tables, for every size."""
    artefact = ARTEFACTS[name]
    if artefact.shared:
        body = _files(artefact, root, artefact.shared)
        return (
            "\n\n".join([f"## {artefact.title}", *([artefact.about] if artefact.about else []), *body]) if body else ""
        )
    parts = []
    for runs in sizes:
        body = _files(artefact, root, runs.folder.name)
        if not body:
            continue
        missing, total = runs.missing(artefact.experiments), len(runs.asked(artefact.experiments))
        note = f": {total - missing} of {total} runs are there" if missing else ""
        parts += [f"### Size `{runs.size}`{note}", *body]
    if not parts:
        return ""
    command = f"`agn-bench reproduce {name}`, `make figure-{name}`."
    return "\n\n".join([f"## {artefact.title}", " ".join(filter(None, [artefact.about, command])), *parts])


def _files(artefact: Artefact, root: Path, folder: str) -> list[str]:
    """Pictures and tables of an artefact that are in a folder, as Markdown."""
    parts = []
    for figure in artefact.figures:
        if (root / folder / "figures" / f"{figure}.png").is_file():
            parts.append(f"![{artefact.title}: {folder}]({folder}/figures/{figure}.png)")
    for table in artefact.tables:
        path = root / folder / "tables" / f"{table}.csv"
        if path.is_file():
            parts.append(f"[{table}.csv]({folder}/tables/{table}.csv)\n\n{_csv_table(path)}")
    return parts


def _csv_table(path: Path) -> str:
    """A CSV file's rows, mean and deviation together, rounded as a reader wants them; many rows fold away."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [_readable(row) for row in csv.DictReader(file)]
    if not rows:
        return "nothing is there yet"
    text = _table(rows)
    if len(rows) > _MOST_ROWS:
        return f"<details><summary>{len(rows)} rows</summary>\n\n{text}\n\n</details>"
    return text


_MOST_ROWS = 20


def _readable(row: dict[str, str]) -> dict[str, str]:
    shown = {}
    for name, value in row.items():
        if name.endswith("_std"):
            continue
        std = row.get(f"{name}_std", "")
        shown[_heading(name)] = number_shown(name, value) + (
            f" ± {number_shown(name, std, spread=True)}" if std else ""
        )
    return shown


_PERCENT = ("accuracy", "_train", "_test", "largest_drop")


_NAMES = (
    "optimizer", "method", "tuned", "at_edge", "order", "of", "path", "what", "where", "within", "published_curve",
)  # fmt: skip
"""Columns that are shown as they stand, whatever they look like."""


def is_percent(name: str) -> bool:
    """Whether a table's column holds fractions that the report shows in percent."""
    base = name.removesuffix("_published").removesuffix("_best").removesuffix("_mean")
    return base.endswith(_PERCENT) or base.startswith(("published_test", "published_last"))


def number_shown(name: str, value: str, spread: bool = False) -> str:
    """A cell of a CSV file as the report shows it; several numbers are separated by slashes."""
    if not value:
        return "–"
    if name in _NAMES:
        return value
    try:
        numbers = [float(part) for part in value.split(" / ")]
    except ValueError:
        return value
    return " / ".join(_figure(name, one, spread) for one in numbers)


def _figure(name: str, value: float, spread: bool) -> str:
    if is_percent(name):
        return f"{100 * value:.2f}"
    if "efficiency" in name or "area" in name or name.isdigit():
        return f"{value:.4f}" if "area" in name else f"{value:.3f}"
    if name.endswith("_s") or "time_s" in name:
        return f"{value:.1f}" if spread else f"{value:.0f}"
    if value == int(value) and abs(value) < 1e6 and not spread:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"


def _heading(name: str) -> str:
    points = name.startswith("largest_drop")
    unit = " (points)" if points else " (%)" if is_percent(name) else " (s)" if "time_s" in name else ""
    words = name.replace("_time_s", " time").replace("time_s", "time").replace("_", " ")
    return words + unit


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(row[name]).replace("|", "\\|") for name in head) + " |" for row in rows]
    return "\n".join(lines)
