"""Nothing but names changed: the committed results of an old commit beside those of the working tree.

python verify_renamed.py REPOSITORY OLD_COMMIT

Reads the old files out of git and the new ones from disk, with the standard library alone: no line of the program is
used. Cells are compared as the text that stands in the files.
"""

import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

csv.field_size_limit(10**9)
ROOT, OLD = Path(sys.argv[1]), sys.argv[2]
NAMES = {"run_id", "configuration"}
bad = 0


def old(path):
    return subprocess.run(["git", "-C", ROOT, "show", f"{OLD}:{path}"], check=True, capture_output=True).stdout


def listed(path):
    out = subprocess.run(
        ["git", "-C", ROOT, "ls-tree", "-r", "--name-only", OLD, path], check=True, capture_output=True
    )
    return out.stdout.decode().split()


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def check(holds, what):
    global bad
    if not holds:
        bad += 1
        print("  DIFFERS:", what)


for name in ("four-methods", "paper", "reduced"):
    folder = ROOT / "results" / name
    made = json.loads((folder / "provenance.json").read_text())
    made_before = json.loads(old(f"results/{name}/provenance.json"))
    new_of = {record["renamed_from"]["run_id"]: run for run, record in made.items() if "renamed_from" in record}
    summary, before = rows((folder / "summary.csv").read_bytes()), rows(old(f"results/{name}/summary.csv"))
    by_name = {row["run_id"]: row for row in summary}
    check(len(by_name) == len(summary) == len(before) == len(new_of), "numbers of runs")
    cells = added = 0
    configurations = {}
    for row in before:
        new = by_name[new_of[row["run_id"]]]
        configurations.setdefault(row["configuration"], set()).add(new["configuration"])
        for column, value in row.items():
            if column not in NAMES:
                cells += 1
                check(new.get(column) == value, f"{name} {row['run_id']} {column}: {value} -> {new.get(column)}")
        added = len(new) - len(row)
    check(all(len(found) == 1 for found in configurations.values()), "configurations are mapped one to one")
    check(len({found for one in configurations.values() for found in one}) == len(configurations), "no two became one")
    # curves
    points, points_before = {}, {}
    for row in rows(gzip.decompress((folder / "curves.csv.gz").read_bytes())):
        points.setdefault(row.pop("run_id"), []).append(row)
    for row in rows(old(f"results/{name}/curves.csv")):
        points_before.setdefault(row.pop("run_id"), []).append(row)
    check(set(points) == {new_of[run] for run in points_before}, "runs with points")
    for run, own in points_before.items():
        check(points[new_of[run]] == own, f"points of {run}")
    count = sum(map(len, points_before.values()))
    # configurations and what made them
    for run, new in new_of.items():
        config = json.loads(old(f"results/{name}/runs/{run}/run.json"))["config"]
        kept = {key: value for key, value in config.items() if value is not None}
        for owner, numbers in (("optimizer", ["alpha"]), ("local_optimizer", ["learning_rate", "momentum"])):
            kept[owner] = ":".join([kept[owner], *(f"{key}={kept.pop(key)}" for key in numbers if key in kept)])
        check(made[new]["config"] == kept, f"configuration of {run}")
        text = json.dumps({"semantics": made[new]["semantics_version"], **kept}, sort_keys=True)
        check(new.endswith(hashlib.sha256(text.encode()).hexdigest()[:8]), f"name of {new}")
        for key, value in made_before[run].items():
            check(made[new][key] == value or key == "command", f"{key} of {run}")
    plan, plan_before = (
        json.loads((folder / "experiment.json").read_text()),
        json.loads(old(f"results/{name}/experiment.json")),
    )
    there = [new_of[run] for run in plan_before["runs"] if run in new_of]
    check([run for run in plan["runs"] if run in set(there)] == there, "planned runs, in order")
    check(len(plan["runs"]) == len(plan_before["runs"]), "number of planned runs")
    print(
        f"{name}: {len(before)} runs, {cells} cells of summary.csv, {count} points of curves, the same to the digit "
        f"({added} columns added); {len(configurations)} configurations, each with a new name"
    )

tables = 0
for path in listed("results"):
    if "/tables/" in path or (
        path.endswith(".csv") and "/runs/" not in path and not path.endswith(("summary.csv", "curves.csv"))
    ):
        mine, theirs = rows((ROOT / path).read_bytes()), rows(old(path))
        check(len(mine) == len(theirs), f"rows of {path}")
        for one, other in zip(mine, theirs):
            for column, value in other.items():
                check(column in NAMES or one.get(column) == value, f"{path} {column}: {value} -> {one.get(column)}")
        tables += 1
print(f"{tables} tables: every cell the same, but for names of configurations")
report, report_before = (ROOT / "results/REPRODUCTION.md").read_bytes(), old("results/REPRODUCTION.md")
print("REPRODUCTION.md:", "the same bytes" if report == report_before else "DIFFERS")
bad += report != report_before
print("differences:", bad)
sys.exit(bad > 0)
