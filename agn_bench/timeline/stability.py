"""Whether AGN is stable on a timeline: the growth rate of a stiff direction.

With plain SGD an exchange of AGN moves the center by at most 1/λ of the way in any direction, and by 1/λ in a stiff
one, where the local phase converges to the minimum. Such a direction, alone: x ← x − s/λ at each exchange, s being the
x that the worker had pulled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

_DISCARDED = 0.2
"""Of the timeline, at its beginning: the direction that grows fastest has yet to prevail."""
_RANGE = 1e100
_FEWEST_WINDOWS = 5


def growth_rate(worker: Iterable[int], workers: int, local_steps: float) -> float:
    """Increase of log max|x| per n exchanges: above 0, AGN is unstable in stiff directions.

    The slope of a least-squares line through the logarithm of the largest |x| of every n exchanges.

    Args:
        worker: who exchanges, in the order applied.

    Returns:
        The rate; NaN if the timeline is shorter than 5 n exchanges; −inf if x is 0 to the end.
    """
    peaks = np.array(_log_peaks(worker, workers, local_steps))
    kept = np.arange(math.floor(_DISCARDED * len(peaks)), len(peaks))
    if len(peaks) < _FEWEST_WINDOWS:
        return math.nan
    if np.isneginf(peaks[-1]):
        return -math.inf
    kept = kept[np.isfinite(peaks[kept])]  # x may pass through 0 and come back from what a worker holds
    return float(np.polyfit(kept, peaks[kept], 1)[0]) if len(kept) > 1 else math.nan


def _log_peaks(worker: Iterable[int], workers: int, local_steps: float) -> list[float]:
    """log max|x| of every n exchanges, from x = 1 at the center and at all workers; NaN where x is 0 throughout, −inf
    where all is 0 and will be.
    """
    # Plain floats: a loop over them is faster than one over NumPy scalars, and compiling would cost more than it saves.
    x, pulled = 1.0, [1.0] * workers
    peaks, peak, scale = [], 0.0, 0.0
    for exchange, index in enumerate(worker.tolist() if isinstance(worker, np.ndarray) else worker, start=1):
        x -= pulled[index] / local_steps
        pulled[index] = x
        peak = max(peak, abs(x))
        window_ends = exchange % workers == 0
        if window_ends or peak > _RANGE:
            largest = max(map(abs, pulled))
            if window_ends:
                peaks.append(scale + math.log(peak) if peak else math.nan if largest else -math.inf)
                peak = 0.0
            if largest and not 1 / _RANGE < largest < _RANGE:  # what the workers hold counts too: it comes back
                x, peak, pulled = x / largest, peak / largest, [value / largest for value in pulled]
                scale += math.log(largest)
    return peaks
