"""The program's own speed against its limits, measured side by side in one process."""

from __future__ import annotations

import bisect
import heapq
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np

from agn_bench.clock import Draws, draw_delays, load_profile
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.stability import stable_at_constant_staleness

TIMELINE_WORKERS = (1, 40, 400, 10_000)
TIMELINE_ORDERS = ("random", "fifo")
TIMELINE_CELLS = len(TIMELINE_WORKERS) * len(TIMELINE_ORDERS)
_BASE = 40
"""Workers to whose cost per exchange the others are compared."""


def timeline_benchmark(
    exchanges: int, repetitions: int, on_step: Callable[[str], None] = lambda text: None
) -> Iterator[dict[str, Any]]:
    """Time drawing and simulating timelines of the paper's cluster, and a heapq loop on the same draws, in turn.

    Yields:
        A row for every number of workers and order of service: medians over repetitions, in wall-clock seconds;
        `same_order` says whether both served the same workers in the same order at the same times, to 1e-9 s.
    """
    local_steps = stable_at_constant_staleness(_BASE)
    costs = {}
    for order in TIMELINE_ORDERS:
        profile = load_profile("paper-cluster", [f"server.order={order}"])
        for workers in sorted(TIMELINE_WORKERS, key=lambda n: n != _BASE):
            simulate_timeline(draw_delays(profile, 0, workers, exchanges // workers, local_steps))  # compiles
            draw_s, simulate_s, heapq_s, same = [], [], [], True
            for seed in range(repetitions):
                on_step(f"{workers} workers, {order}, repetition {seed + 1}")
                began = time.perf_counter()
                draws = draw_delays(profile, seed, workers, exchanges // workers, local_steps)
                drawn = time.perf_counter()
                timeline = simulate_timeline(draws)
                simulated = time.perf_counter()
                worker, served_s = heapq_timeline(draws)
                done = time.perf_counter()
                draw_s.append(drawn - began)
                simulate_s.append(simulated - drawn)
                heapq_s.append(done - simulated)
                same &= worker == timeline.worker.tolist()
                same &= bool(np.allclose(served_s, timeline.served_s, rtol=0, atol=1e-9))
            made = timeline.exchanges
            both = median(draw + simulate for draw, simulate in zip(draw_s, simulate_s, strict=True))
            costs[order, workers] = both / made
            yield {
                "workers": workers,
                "order": order,
                "exchanges": made,
                "repetitions": repetitions,
                "draw_s": median(draw_s),
                "simulate_s": median(simulate_s),
                "exchanges_per_s": made / both,
                "cost_over_40_workers": costs[order, workers] / costs[order, _BASE],
                "heapq_s": median(heapq_s),
                "times_as_fast_as_heapq": median(h / s for h, s in zip(heapq_s, simulate_s, strict=True)),
                "same_order": same,
            }


def heapq_timeline(draws: Draws) -> tuple[list[int], list[float]]:
    """Whom the server serves and when, by the loop one would otherwise write: a heap of arrivals and, in random order,
    a sorted list of those who wait. For draws that are all random or all first come, first served.
    """
    compute, up, down, server = (part.tolist() for part in (draws.compute, draws.up, draws.down, draws.server))
    draw, end = draws.first.tolist(), (draws.first + draws.phases).tolist()
    arrivals = [
        (begin + compute[first] + up[first], worker)
        for worker, (begin, first) in enumerate(zip(draws.begin.tolist(), draw, strict=True))
    ]
    heapq.heapify(arrivals)
    waiting: list[int] = []  # by worker index
    free = 0.0
    served_worker, served_s = [], []
    for u in draws.order.tolist():
        if u < 0:
            arrive, worker = heapq.heappop(arrivals)
            now = max(free, arrive)
        else:
            now = free if waiting else max(free, arrivals[0][0])
            while arrivals and arrivals[0][0] <= now:
                bisect.insort(waiting, heapq.heappop(arrivals)[1])
            worker = waiting.pop(int(u * len(waiting)))
        served_worker.append(worker)
        served_s.append(now)
        this = draw[worker]
        free = now + server[this]
        draw[worker] += 1
        if draw[worker] < end[worker]:
            heapq.heappush(arrivals, (free + down[this] + compute[this + 1] + up[this + 1], worker))
    return served_worker, served_s
