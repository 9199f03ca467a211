"""For TensorBoard a folder of each run, with its curves and its settings.

A point of a curve has the gradient steps as its step. Its wall time is the simulated time, counted from 1970, so that
TensorBoard's axis RELATIVE shows simulated time. What the run came to stands at its end, and in the tab HPARAMS.

The events are written one by one in place of tensorboardX's own writer, which puts the date and the name of the machine
into the name of a file and into its first event: so the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agn_bench.analysis.comparison import Runs
from agn_bench.analysis.exports import FINAL, Exported, Step, exported, package
from agn_bench.base.files import written_aside

EVENTS = "events.out.tfevents.0.agn-bench"
"""TensorBoard reads files in whose names `tfevents` stands."""
_VERSION = "brain.Event:2"
"""The version of the format, which the first event of a file says."""


def write(runs: Runs, out: Path, step: Step) -> list[Path]:
    """Write the file of each run over the one that is there."""
    records = package("tensorboard", "tensorboardX.record_writer")
    for run in exported(runs):
        with written_aside(out / run.name / EVENTS) as aside:
            file = records.RecordWriter(str(aside))
            for event in _events(run):
                file.write(event.SerializeToString())
            file.close()
        step(run.name)
    return [out]


def _events(run: Exported) -> Iterator[Any]:
    """The run's file."""
    protos = package("tensorboard", "tensorboardX.proto.event_pb2")
    summaries = package("tensorboard", "tensorboardX.proto.summary_pb2")
    hparams = package("tensorboard", "tensorboardX.summary").hparams

    def scalars(values: dict[str, float]) -> Any:
        return summaries.Summary(
            value=[summaries.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )

    yield protos.Event(wall_time=0.0, file_version=_VERSION)
    results = {f"{FINAL}{name}": value for name, value in run.results.items()}
    for said in hparams({**run.settings, "status": run.said["status"]}, results):
        yield protos.Event(wall_time=0.0, step=0, summary=said)
    columns = run.measured
    for time_s, steps, *values in run.points[["time_s", "gradient_steps", *columns]].itertuples(index=False):
        found = {name: value for name, value in zip(columns, values, strict=True) if value == value}  # NaN: blank
        if found:
            yield protos.Event(wall_time=time_s, step=int(steps), summary=scalars(found))
    end_s, done = run.results["sim_time_s"], int(run.results["gradient_steps"])
    yield protos.Event(wall_time=end_s, step=done, summary=scalars(results))
