"""What a timeline says of a cluster: how stale, how long in the queue, how busy the server, how fast."""

from __future__ import annotations

from typing import Any

import numpy as np

from agn_bench.clock.stability import growth_rate
from agn_bench.clock.timeline import Timeline


def measures(timeline: Timeline, endless: bool, channels: int = 1) -> dict[str, Any]:
    """Figures of a timeline, by the columns of timeline.csv; times in simulated seconds, rates a second.

    Args:
        endless: whether all workers are active to its end. Otherwise the growth rate is that of the part until the
            first of them stops: the slow ones that are left would make it look stabler than it was.
        channels: how many exchanges the server serves at once.
    """
    applied_s = float(timeline.applied_s[-1])
    rate = timeline.exchanges / applied_s if applied_s else float("nan")
    # The index after the last exchange of each worker, and the least of them.
    active = timeline.exchanges
    if not endless:
        active -= int(np.unique(timeline.worker[::-1], return_index=True)[1].max())
    mean_steps = timeline.local_steps if timeline.own_steps is None else float(timeline.own_steps.mean())
    lost = timeline.interrupted
    worker_s = float(np.nansum(timeline.resume_s - timeline.start_s) + (lost.end_s - lost.start_s).sum())
    barrier_s = timeline.answer_wait_s
    barrier_s = barrier_s[~np.isnan(barrier_s)]
    computing_s = np.append(timeline.compute_end_s - timeline.start_s, lost.end_s - lost.start_s)
    if timeline.absences is not None:
        for part, ended in ((timeline, timeline.compute_end_s), (lost, lost.end_s)):
            computing_s = np.append(computing_s, -timeline.absences.paused_s(part.worker, part.start_s, ended))

    def share(seconds: np.ndarray) -> float:
        return float(seconds.sum()) / worker_s if worker_s else float("nan")

    return {
        "exchanges": timeline.exchanges,
        "end_s": timeline.end_s,
        "exchanges_per_s": rate,
        "gradient_steps_per_s": rate * mean_steps,
        "mean_staleness": float(timeline.staleness.mean()),
        "p95_staleness": float(np.percentile(timeline.staleness, 95)),
        "max_staleness": int(timeline.staleness.max()),
        "mean_queue_wait_s": float(timeline.queue_wait_s.mean()),
        "p95_queue_wait_s": float(np.percentile(timeline.queue_wait_s, 95)),
        "server_utilization": timeline.server_busy_s(timeline.exchanges) / applied_s / channels
        if applied_s
        else float("nan"),
        "compute_share": share(computing_s),
        "wait_share": share(timeline.queue_wait_s),
        "growth_rate": growth_rate(timeline.worker[:active], timeline.workers, timeline.steps[:active])
        if timeline.plain
        else float("nan"),
        "versions": int(timeline.version[-1]),
        "versions_per_s": float(timeline.version[-1]) / applied_s if applied_s else float("nan"),
        "mean_barrier_wait_s": float(barrier_s.mean()) if len(barrier_s) else float("nan"),
        "barrier_share": share(barrier_s),
        "accepted_steps": int(timeline.steps[timeline.accepted].sum()),
        "dropped_steps": int(timeline.steps[~timeline.accepted].sum()),
        "interrupted_steps": int(lost.steps[~lost.failed].sum()),
        "unfinished_steps": int(timeline.unfinished.steps.sum()),
        "stranded": timeline.stranded,
        **_of_absences(timeline),
    }


def _of_absences(timeline: Timeline) -> dict[str, Any]:
    """What only timelines have whose workers go away."""
    if timeline.absences is None:
        return {}
    lost, end = timeline.interrupted, timeline.end_s
    return {
        "lost_steps": int(lost.steps[lost.failed].sum()),
        "lost_phases": int(lost.failed.sum()),
        "available_share": 1 - timeline.absences.away_s(end) / (end * timeline.workers) if end else float("nan"),
    }


def staleness_counts(timeline: Timeline) -> dict[str, np.ndarray]:
    """How many exchanges had each staleness from 0 to the largest, by the columns of staleness.csv."""
    counts = np.bincount(timeline.staleness)
    return {"staleness": np.arange(len(counts)), "exchanges": counts}
