"""For MLflow a database, `mlflow.db`, with a run of MLflow for each run, in an experiment that is called like theirs.

Settings are parameters. A point of a curve is a metric whose step is the gradient steps, and whose timestamp is the
simulated time, in ms. What the run came to stands at its end. How it was made is in tags that begin with `agn_bench.`.

A run is in the database once: a tag has the hash of what was written. One that is there as it is stays. One that has
changed, or was not written to its end, is deleted and written anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from agn_bench.analysis.comparison import Runs
from agn_bench.analysis.exports import FINAL, Exported, Step, exported, package
from agn_bench.base.inputs import BadInput, reason_of

DATABASE = "mlflow.db"
TAG = "agn_bench."
_AT_ONCE = 1000
"""Metrics, at most, in a call of MLflow."""
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Variables of the environment with which it sends nothing anywhere."""


def write(runs: Runs, out: Path, step: Step) -> list[Path]:
    """Write the runs that are not in the database as they are."""
    with warnings.catch_warnings(action="ignore"), _complaints_in_a_line(out):
        client = _client(out)
        known: dict[str, dict[str, Any]] = {}
        for run in exported(runs):
            place = _experiment(client, run.experiment, out)
            there = known.setdefault(place, _there(client, place))
            _write_once(client, place, run, there.get(run.name))
            step(run.name)
    return [out / DATABASE]


def _client(out: Path) -> Any:
    """What writes to the database, which is made if need be."""
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    package("mlflow", "sqlalchemy")
    package("mlflow", "alembic")
    tracking = package("mlflow", "mlflow.tracking")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is raised, too
    uri = address(out / DATABASE)
    out.mkdir(parents=True, exist_ok=True)
    with _no_folder_called_like(uri):
        return tracking.MlflowClient(tracking_uri=uri, registry_uri=uri)


def address(database: Path) -> str:
    """The URL by which MLflow opens a database.

    Raises:
        BadInput: sqlalchemy has none for this path: before 2.1, if there is a question mark in it.
    """
    url = package("mlflow", "sqlalchemy.engine.url")
    path = str(database.absolute())
    plain = f"sqlite:///{path}"
    for uri in (plain, url.URL.create("sqlite", database=path).render_as_string()):
        if url.make_url(uri).set(query={}).database == path:
            return str(uri)
    raise BadInput("out", database.parent, "MLflow cannot open a database there", "a path without ?")


@contextmanager
def _no_folder_called_like(uri: str) -> Iterator[None]:
    """MLflow makes the folder of a database, and takes its name from the URL as it is, where ? is %3F."""
    folder = Path(uri.removeprefix("sqlite:///")).parent
    was_there = folder.exists()
    yield
    if not was_there:
        with suppress(OSError):
            os.removedirs(folder)


@contextmanager
def _complaints_in_a_line(out: Path) -> Iterator[None]:
    """Raise what the database says, as of a full disk, as the error of a file. MLflow's own has it as its cause."""
    try:
        yield
    except Exception as error:
        said: BaseException | None = error
        while said is not None and not hasattr(said, "orig"):  # sqlalchemy's errors have that of the database
            said = said.__cause__
        if said is None:
            raise
        raise OSError(f"{out / DATABASE}: {reason_of(said.orig)}") from None


def _experiment(client: Any, name: str, out: Path) -> str:
    """The identity of the experiment of this name, which is made if need be."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=(out / "artifacts").absolute().as_uri()))


def _there(client: Any, experiment: str) -> dict[str, Any]:
    """The runs of an experiment that were exported, by our names."""
    found: dict[str, Any] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=_AT_ONCE, page_token=token)
        found |= {run.data.tags[f"{TAG}run_id"]: run for run in page if f"{TAG}run_id" in run.data.tags}
        if not (token := page.token):
            return found


def _write_once(client: Any, experiment: str, run: Exported, there: Any) -> None:
    """Write a run, unless the one that is there says the same."""
    tags = {f"{TAG}{name}": value for name, value in {"run_id": run.name, **run.said}.items()}
    tags[f"{TAG}content"] = _content(run)
    if there is not None:
        if there.info.status == "FINISHED" and there.data.tags == {**there.data.tags, **tags}:
            return
        client.delete_run(there.info.run_id)
    entities = package("mlflow", "mlflow.entities")
    began = _milliseconds(run.record)
    made = client.create_run(experiment, start_time=began, tags=tags, run_name=run.name).info.run_id
    settings = [entities.Param(name, str(value)) for name, value in run.settings.items()]
    for first in range(0, len(settings), 100):
        client.log_batch(made, params=settings[first : first + 100])
    for several in _several(entities.Metric(*one) for one in _metrics(run)):
        client.log_batch(made, metrics=several)
    took = (run.record.get("wall_clock_s") or {}).get("total", 0)
    client.set_terminated(made, "FINISHED", began + round(1000 * took))


def _several(metrics: Iterator[Any]) -> Iterator[Sequence[Any]]:
    while several := [*islice(metrics, _AT_ONCE)]:
        yield several


def _metrics(run: Exported) -> Iterator[tuple[str, float, int, int]]:
    """Name, value, timestamp and step."""
    for column in run.measured:
        there = run.points[run.points[column].notna()]
        for time_s, steps, value in zip(there["time_s"], there["gradient_steps"], there[column], strict=True):
            yield column, float(value), round(1000 * time_s), int(steps)
    end_ms, done = round(1000 * run.results["sim_time_s"]), int(run.results["gradient_steps"])
    for name, value in run.results.items():
        yield f"{FINAL}{name}", value, end_ms, done


def _content(run: Exported) -> str:
    """A hash of what is written of a run."""
    text = json.dumps([run.settings, run.results, run.measured], sort_keys=True, default=str)
    points = run.points[["time_s", "gradient_steps", *run.measured]].to_numpy(float)
    return hashlib.sha256(text.encode() + points.tobytes()).hexdigest()


def _milliseconds(record: dict[str, Any]) -> int:
    """When a run was begun, since 1970; 0 if nothing says it."""
    try:
        return round(1000 * datetime.fromisoformat(record["started"]).timestamp())
    except (KeyError, TypeError, ValueError):
        return 0
