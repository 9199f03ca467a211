"""How fast the event simulation is where an optimizer has rules, or the server several channels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

from agn_bench.clock import draw_delays, load_profile
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.rules import ASYNCHRONOUS, Rules
from agn_bench.clock.stability import stable_at_constant_staleness


class Case(NamedTuple):
    """Rules, and the cluster that keeps them."""

    name: str
    workers: int
    rules: Rules
    settings: tuple[str, ...] = ()
    """Settings of the paper's cluster."""


_FAST = ("server.mean=0.01",)
"""So that a thousand workers are not all in the queue."""
CASES = (
    Case("none", 40, ASYNCHRONOUS),
    Case("synchronous", 40, Rules(quorum=40, waits=True)),
    Case("backup workers", 40, Rules(quorum=36, waits=True, drop_at=1)),
    Case("buffer of 10", 40, Rules(quorum=10)),
    Case("drops", 40, Rules(drop_at=40)),
    Case("drops and interrupts", 40, Rules(drop_at=30, cancels=True)),
    Case("3 phases ahead", 40, Rules(ahead=3)),
    Case("grace period of 1 s", 40, Rules(grace_s=1.0)),
    Case("4 channels", 40, ASYNCHRONOUS, ("server.channels=4",)),
    Case("synchronous", 1000, Rules(quorum=1000, waits=True), _FAST),
    Case("drops and interrupts", 1000, Rules(drop_at=500, cancels=True), _FAST),
    Case("a version of 100 interrupts", 1000, Rules(quorum=100, drop_at=1, cancels=True), _FAST),
)


def rules_benchmark(
    exchanges: int, repetitions: int, on_step: Callable[[str], None] = lambda text: None
) -> Iterator[dict[str, Any]]:
    """Time drawing and simulating timelines under rules, so many local phases each; one row per case, medians."""
    for case in CASES:
        profile = load_profile("paper-cluster", case.settings)
        phases = max(1, exchanges // case.workers)
        draw_s, simulate_s = [], []
        for seed in range(-1, repetitions):  # the first one compiles
            on_step(f"{case.workers} workers, {case.name}, repetition {seed + 1}")
            began = time.perf_counter()
            draws = draw_delays(profile, max(seed, 0), case.workers, phases, stable_at_constant_staleness(40))
            drawn = time.perf_counter()
            timeline = simulate_timeline(draws, case.rules)
            if seed >= 0:
                draw_s.append(drawn - began)
                simulate_s.append(time.perf_counter() - drawn)
        both = median(draw + simulate for draw, simulate in zip(draw_s, simulate_s, strict=True))
        yield {
            "rules": case.name,
            "workers": case.workers,
            "exchanges": timeline.exchanges,
            "interrupted": len(timeline.interrupted),
            "repetitions": repetitions,
            "draw_s": median(draw_s),
            "simulate_s": median(simulate_s),
            "exchanges_per_s": timeline.exchanges / both if both else math.nan,
        }
