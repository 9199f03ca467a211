"""Whether AGN is stable on a timeline: the growth rate of a stiff direction.

With plain SGD an exchange of AGN moves the center by at most 1/λ of the way in any direction, and by 1/λ in a stiff
one, where the local phase converges to the minimum. Such a direction, alone: x ← x − s/λ at each exchange, s being the
x that the worker had pulled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import repeat

import numpy as np

_DISCARDED = 0.2
"""Of the timeline, at its beginning: the direction that grows fastest has yet to prevail."""
_BITS = 300
"""Binary digits that x may grow or shrink by before it is scaled: far inside the range of floats."""
_FEWEST_WINDOWS = 5


def growth_rate(worker: Iterable[int], workers: int, local_steps: float | np.ndarray) -> float:
    """Increase of log max|x| per n exchanges: above 0, AGN is unstable in stiff directions.

    The slope of a least-squares line through the logarithm of the largest |x| of every n exchanges.

    Args:
        worker: who exchanges, in the order applied.
        local_steps: λ, or that of each exchange's phase.

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


def _log_peaks(worker: Iterable[int], workers: int, local_steps: float | np.ndarray) -> list[float]:
    """log max|x| of every n exchanges, from x = 1 at the center and at all workers; NaN where x is 0 throughout, −inf
    where all is 0 and will be.

    The center is x 2^exponent, and what a worker holds has an exponent of its own: x may leave the range of floats for
    long before a worker that was away brings back what it had pulled.
    """
    # Plain floats: a loop over them is faster than one over NumPy scalars, and compiling would cost more than it saves.
    x, exponent = 1.0, 0
    pulled = [(1.0, 0)] * workers
    peaks, peak = [], 0.0
    indices = worker.tolist() if isinstance(worker, np.ndarray) else worker
    steps = local_steps.tolist() if isinstance(local_steps, np.ndarray) else repeat(local_steps)
    for exchange, (index, its_steps) in enumerate(zip(indices, steps, strict=False), start=1):
        value, its_exponent = pulled[index]
        if value and its_exponent > exponent + _BITS:  # it dwarfs x
            x, peak = math.ldexp(x, exponent - its_exponent), math.ldexp(peak, exponent - its_exponent)
            exponent = its_exponent
        x -= math.ldexp(value, its_exponent - exponent) / its_steps
        peak = max(peak, abs(x))
        if exchange % workers == 0:
            if peak:
                peaks.append(math.log(peak) + exponent * math.log(2))
            else:
                others = any(held for other, (held, _) in enumerate(pulled) if other != index)
                peaks.append(math.nan if others else -math.inf)
            peak = 0.0
        if x and not 2.0**-_BITS < abs(x) < 2.0**_BITS:
            shift = math.frexp(x)[1]
            x, peak, exponent = math.ldexp(x, -shift), math.ldexp(peak, -shift), exponent + shift
        pulled[index] = (x, exponent)
    return peaks
