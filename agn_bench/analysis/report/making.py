"""What made the runs, in few lines: machines, commits and versions, and each command once for all of its seeds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agn_bench.analysis.comparison import Runs
from agn_bench.analysis.report.cells import Json, number
from agn_bench.base.files import read_json
from agn_bench.base.inputs import printable
from agn_bench.store.collected import PROVENANCE

EXPERIMENT = "experiment.json"
_SEED = re.compile(r" --seed (\S+)")


def read(path: Path) -> dict[str, Any]:
    """A JSON file of a folder; nothing if it is not there, or is none."""
    try:
        content = read_json(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def records(folder: Path) -> dict[str, Any]:
    """What provenance.json of a folder says, by run or by what a command wrote."""
    return {name: record for name, record in read(folder / PROVENANCE).items() if isinstance(record, dict)}


def of_runs(runs: Runs, known: Mapping[str, Mapping[str, Any]]) -> Json:
    """What made them: `groups` of runs with the same machine, commit and versions; `commands`, each with its seeds;
    and `others`, what commands wrote beside runs. None if nothing is known.

    Args:
        known: the records of all folders.
    """
    wanted = {*runs.summary["run_id"]}
    own = {run: record for run, record in known.items() if run in wanted}
    if not own:
        return None
    others = {name: record for name, record in known.items() if "config" not in record and "command" in record}
    return {
        "groups": _groups(own),
        "commands": _commands(own),
        "others": [[printable(name), printable(str(record["command"]))] for name, record in others.items()],
        "unknown": len(wanted) - len(own),
    }


def _groups(own: Mapping[str, Mapping[str, Any]]) -> Json:
    """Runs made alike, most first."""
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for record in own.values():
        alike.setdefault(json.dumps(_table(record.get("machine")), sort_keys=True), []).append(record)
    ordered = sorted(alike.items(), key=lambda pair: -len(pair[1]))
    return [_group(json.loads(machine), records) for machine, records in ordered]


def _table(value: Any) -> dict[str, Any]:
    """A part of a record; without anything if somebody has written something else there."""
    return value if isinstance(value, dict) else {}


def _seconds(record: Mapping[str, Any]) -> float:
    """How long a run took; 0 if nothing says it."""
    total = _table(record.get("wall_clock_s")).get("total")
    return total if isinstance(total, int | float) and math.isfinite(total) else 0


def _group(machine: Mapping[str, Any], records: list[Mapping[str, Any]]) -> Json:
    hardware, commit, versions = (_table(machine.get(name)) for name in ("hardware", "commit", "versions"))
    days = sorted(str(record["started"])[:10] for record in records if record.get("started"))
    spent = [_seconds(record) for record in records]
    said = {
        "runs": str(len(records)),
        "machine": _machine(hardware),
        "device": str(machine.get("device", "")),
        "threads": str(machine.get("threads", "")),
        "commit": str(commit.get("id", ""))[:12] + (" with changes" if commit.get("modified") else ""),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "made": " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "",
        "hours of computing": f"{number(sum(spent) / 3600, 3)}",
    }
    return {name: printable(text) for name, text in said.items() if text}


def _machine(hardware: Mapping[str, Any]) -> str:
    memory = hardware.get("memory_gb")
    parts = [hardware.get("processor"), f"{hardware.get('cores')} cores", memory and f"{memory} GB"]
    return ", ".join(str(part) for part in [*parts, hardware.get("system")] if part) if hardware else ""


def _commands(own: Mapping[str, Mapping[str, Any]]) -> Json:
    """Each command once, with the seeds that it was called with."""
    seeds: dict[str, list[str]] = {}
    for record in own.values():
        command = str(record.get("command", ""))
        found = _SEED.search(command)
        seeds.setdefault(_SEED.sub("", command), []).append(found[1] if found else "")
    return [[printable(command), ", ".join(sorted(filter(None, each)))] for command, each in seeds.items() if command]


def described(folder: Path) -> str:
    """What an experiment's file says that it is for, if the folder is a sweep's."""
    return printable(str(read(folder / EXPERIMENT).get("description", "")))
