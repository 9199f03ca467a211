"""Fitting a delay profile to measured training times: what step, network and server times explain the seconds.

Each measured run is simulated at its own number of workers and local steps, with the same seeds whatever the numbers
tried, so that the error is a function of the profile alone. It is minimised with Nelder and Mead's simplex over the
logarithms of the profile's numbers, started from what the data bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.base.inputs import BadInput
from agn_bench.clock import Profile, draw_delays
from agn_bench.clock.batched import end_seconds
from agn_bench.clock.draws import Remembered
from agn_bench.clock.profile_files import as_toml
from agn_bench.clock.timeline import in_order
from agn_bench.studies.confidence import Confidence, confidence
from agn_bench.studies.fitted_numbers import first_guesses, is_admissible, values_of, with_values
from agn_bench.studies.measured import Measured

_DIGITS = 3
_INADMISSIBLE = 1e6
_PRECISION = 1e-3
"""The precision of the fitted numbers and of the error, relative: finer than what is kept of them."""


@dataclass(frozen=True)
class Trial:
    """How far a fit has come."""

    evaluations: int
    error: float
    """The least mean absolute relative error so far."""


def simulated_s(
    profile: Profile, measured: Measured, gradient_steps: int, seeds: int, message_bytes: int
) -> np.ndarray:
    """Simulated seconds of every measured run, (cells, seeds)."""
    # Cells in the order of their workers: those with fewer have longer draws, with which the others' begin, and
    # those that are held alike in the program come together.
    order = np.argsort(measured.workers, kind="stable")
    sums = Remembered()
    shares = gradient_steps // measured.workers
    left = shares % measured.local_steps if measured.leftover else np.zeros_like(shares)
    drawn = (
        draw_delays(profile, seed, n, share // steps, steps, message_bytes, rest, sums)
        for n, steps, share, rest in zip(
            *(part[order].tolist() for part in (measured.workers, measured.local_steps, shares, left)), strict=True
        )
        for seed in range(seeds)
    )
    return in_order(order, np.array(list(end_seconds(drawn))).reshape(len(order), seeds))


def errors(simulated: np.ndarray, measured: Measured) -> np.ndarray:
    """Relative error of every cell, the simulated seconds being the mean over seeds."""
    relative: np.ndarray = simulated.mean(axis=1) / measured.seconds - 1
    return relative


def fit(
    base: Profile,
    measured: Measured,
    gradient_steps: int,
    seeds: int,
    message_bytes: int,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Profile:
    """The profile of the kind of `base` with the least mean absolute relative error on the measured seconds.

    Fitted are those of fitted_numbers.NUMBERS that the profile has, each to 3 digits.

    Raises:
        BadInput: the profile has a part without a mean of its own, or there are fewer runs than numbers.
    """
    from scipy import optimize

    starts = [np.log(start) for start in first_guesses(base, measured, gradient_steps)]
    if len(measured.seconds) < len(starts[0]):
        problem = f"{len(measured.seconds)} training runs cannot tell {len(starts[0])} numbers"
        raise BadInput("TIMES", measured.column, problem, f"at least {len(starts[0])} runs")
    best = Trial(0, math.inf)

    def error(numbers: np.ndarray) -> float:
        nonlocal best
        profile = with_values(base, np.exp(numbers))
        if not is_admissible(profile):
            return _INADMISSIBLE
        found = float(
            np.abs(errors(simulated_s(profile, measured, gradient_steps, seeds, message_bytes), measured)).mean()
        )
        best = Trial(best.evaluations + 1, min(best.error, found))
        on_trial(best)
        return found

    scores = [error(start) for start in starts]
    numbers = starts[int(np.argmin(scores))] if min(scores) < _INADMISSIBLE else np.log(values_of(base))
    for _ in range(2):  # a second simplex around the first one's end: the first may have collapsed too early
        simplex = np.vstack([numbers, numbers + 0.2 * np.eye(len(numbers))])
        options = {"initial_simplex": simplex, "xatol": _PRECISION, "fatol": _PRECISION / 10, "maxfev": 400}
        numbers = optimize.minimize(error, numbers, method="Nelder-Mead", options=options).x
    fitted = with_values(base, np.array([float(f"{value:.{_DIGITS}g}") for value in np.exp(numbers)]))
    if not is_admissible(fitted):
        raise BadInput("delays", base.name, "no numbers of this profile fit the times", "another profile to start from")
    return fitted


def report(
    fitted: Profile, columns: Sequence[Measured], gradient_steps: int, seeds: int, message_bytes: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """How well a profile explains measured seconds: the rows of cells.csv, a measured run each, and of errors.csv.

    Args:
        columns: the one that was fitted, and those that were held out.
    """
    cells: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    for index, measured in enumerate(columns):
        role = "held out" if index else "fitted"
        simulated = simulated_s(fitted, measured, gradient_steps, seeds, message_bytes)
        relative = errors(simulated, measured)
        cells += [
            {
                "column": measured.column,
                "role": role,
                "workers": int(measured.workers[i]),
                "local_steps": int(measured.local_steps[i]),
                "measured_s": float(measured.seconds[i]),
                "simulated_s": float(simulated[i].mean()),
                "simulated_std_s": metrics.mean_and_deviation(simulated[i])[1],
                "error": float(relative[i]),
            }
            for i in range(len(relative))
        ]
        single = np.abs(simulated / measured.seconds[:, None] - 1).mean(axis=0)
        summary.append(
            {
                "column": measured.column,
                "role": role,
                "cells": len(relative),
                "seeds": seeds,
                "mean_absolute_error": float(np.abs(relative).mean()),
                "mean_absolute_error_worst_seed": float(single.max()),
                "mean_error": float(relative.mean()),
                "largest_absolute_error": float(np.abs(relative).max()),
            }
        )
    return cells, summary


def confidence_of(
    fitted: Profile,
    measured: Measured,
    gradient_steps: int,
    seeds: int,
    message_bytes: int,
    resamples: int,
    on_step: Callable[[str], None] = lambda text: None,
) -> Confidence:
    """How well the measured seconds bind the numbers of a profile that was fitted to them (see studies.confidence)."""

    def simulate(profile: Profile) -> np.ndarray:
        return simulated_s(profile, measured, gradient_steps, seeds, message_bytes).mean(axis=1)

    return confidence(fitted, measured, simulate, gradient_steps, message_bytes, resamples, on_step)


def write_calibration(
    folder: Path,
    fitted: Profile,
    source: str,
    confidence: Confidence | None,
    cells: list[dict[str, Any]],
    summary: list[dict[str, Any]],
    facts: dict[str, Any],
) -> list[Path]:
    """Write profile.toml, numbers.csv, cells.csv, errors.csv, the figure and the provenance; return the pictures.

    Args:
        confidence: None: there is no numbers.csv, nor that of an earlier fit.
    """
    import pandas as pd

    from agn_bench.analysis.figures.clock import measured_against_simulated
    from agn_bench.base import files

    files.write_text(folder / "profile.toml", as_toml(replace(fitted, source=source, description="")))
    (folder / "numbers.csv").unlink(missing_ok=True)
    if confidence is not None:
        files.write_table(folder / "numbers.csv", confidence.rows())
    files.write_table(folder / "cells.csv", cells)
    files.write_table(folder / "errors.csv", summary)
    files.record_provenance(folder, {"calibrate": facts})
    return measured_against_simulated(pd.DataFrame(cells), folder / "figures" / "measured-against-simulated")
