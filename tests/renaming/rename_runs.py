"""Give the committed runs their new names, once. Refuses if anything but names would change.

python rename_runs.py RESULTS
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pandas as pd

from agn_bench.base import files
from agn_bench.config.experiment import read_experiment_file
from agn_bench.config.resolving import recorded_options, resolve
from agn_bench.config.run import digest_of
from agn_bench.config.shipped import experiment_file
from agn_bench.paper.runs import experiments_of, whole
from agn_bench.store.collected import content_of, write_collected


def table(content: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)


def contents(name: str, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    return {
        kind: content_of({column: part[column].tolist() for column in part})
        for kind, part in ((kind, one[one["run_id"] == name]) for kind, one in tables.items())
    }


def rename(folder: Path) -> None:
    provenance = json.loads((folder / "provenance.json").read_text())
    tables = {
        "summary": table((folder / "summary.csv").read_bytes()),
        "curve": table(gzip.decompress((folder / "curves.csv.gz").read_bytes())),
    }
    summary = tables["summary"]
    configuration_of = dict(zip(summary["run_id"], summary["configuration"], strict=True))
    names, configurations, made = {}, {}, {}
    for old, record in provenance.items():
        if "config" not in record:  # of a command, not of a run
            made[old] = record
            continue
        assert old.endswith(digest_of(record["config"], record["semantics_version"])), old
        config = resolve({}, recorded_options(record["config"]))
        assert config.delays.as_dict() == record["config"]["delays"], old
        names[old] = config.run_id
        assert configurations.setdefault(configuration_of[old], config.configuration) == config.configuration
        made[config.run_id] = {
            **record,
            "command": config.command(),
            "config": config.as_dict(),
            "renamed_from": {"run_id": old, "command": record["command"]},
        }
    assert set(names) == set(summary["run_id"]) == set(tables["curve"]["run_id"])
    assert len(set(names.values())) == len(names)
    assert len(set(configurations.values())) == len(configurations)
    for one in tables.values():
        one["run_id"] = one["run_id"].map(names)
    summary["configuration"] = summary["configuration"].map(configurations)
    tables = {kind: one.sort_values("run_id", kind="stable") for kind, one in tables.items()}
    for new, record in made.items():
        if "content" in record:
            assert contents(new, tables) == record["content"], new
    plan = json.loads((folder / "experiment.json").read_text())
    if folder.name == "four-methods":
        configs = read_experiment_file(experiment_file("four-methods")).configs
    else:
        configs = whole(folder.name, experiments_of(folder.name)).configs
    planned = [config.run_id for config in configs]
    assert len(planned) == len(plan["runs"])
    assert all(names.get(old, new) == new for old, new in zip(plan["runs"], planned, strict=True))
    write_collected(folder / "summary.csv", files.csv_text(tables["summary"]))
    write_collected(folder / "curves.csv.gz", files.csv_text(tables["curve"]))
    files.write_text(folder / "provenance.json", json.dumps(dict(sorted(made.items())), indent=2) + "\n")
    files.write_text(folder / "experiment.json", json.dumps({**plan, "runs": planned}, indent=2) + "\n")
    print(f"{folder.name}: {len(names)} runs have new names; the hashes of what they hold are the same")


for name in ("four-methods", "paper", "reduced"):
    rename(Path(sys.argv[1]) / name)
