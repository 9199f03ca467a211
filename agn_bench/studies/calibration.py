"""Fitting a delay profile to measured training times: what step, network and server times explain the seconds.

Each measured run is simulated at its own number of workers and local steps, with the same seeds whatever the numbers
tried, so that the error is a function of the profile alone. It is minimised with Nelder and Mead's simplex over the
logarithms of the profile's numbers, started from what the data bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from agn_bench.analysis import metrics
from agn_bench.base.inputs import BadInput
from agn_bench.clock import Profile, draw_delays, parse_profile
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.profile_files import as_toml
from agn_bench.studies.measured import Measured

_DIGITS = 3
_LEAST_NETWORK = 1e-4
_INADMISSIBLE = 1e6
_PRECISION = 1e-3
"""Of the fitted numbers and of the error, relative: finer than what is kept of them."""


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
    return np.array(
        [
            [
                simulate_timeline(
                    draw_delays(profile, seed, n, gradient_steps // n // steps, steps, message_bytes)
                ).end_s
                for seed in range(seeds)
            ]
            for n, steps in zip(measured.workers.tolist(), measured.local_steps.tolist(), strict=True)
        ]
    )


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

    Fitted are the means of step, server and network (one number for both ways: seconds cannot tell them apart), and
    the coefficient of variation of the step if it has one, each to 3 digits.

    Raises:
        BadInput: the profile has a part without a mean of its own, or there are fewer runs than numbers.
    """
    from scipy import optimize

    starts = [np.log(start) for start in _starts(base, measured, gradient_steps)]
    if len(measured.seconds) < len(starts[0]):
        problem = f"{len(measured.seconds)} training runs cannot tell {len(starts[0])} numbers"
        raise BadInput("TIMES", measured.column, problem, f"at least {len(starts[0])} runs")
    best = Trial(0, math.inf)

    def error(numbers: np.ndarray) -> float:
        nonlocal best
        profile = _with(base, np.exp(numbers))
        if not _is_admissible(profile):
            return _INADMISSIBLE
        found = float(
            np.abs(errors(simulated_s(profile, measured, gradient_steps, seeds, message_bytes), measured)).mean()
        )
        best = Trial(best.evaluations + 1, min(best.error, found))
        on_trial(best)
        return found

    scores = [error(start) for start in starts]
    numbers = starts[int(np.argmin(scores))] if min(scores) < _INADMISSIBLE else np.log(_own_numbers(base))
    for _ in range(2):  # a second simplex around the first one's end: the first may have collapsed too early
        simplex = np.vstack([numbers, numbers + 0.2 * np.eye(len(numbers))])
        options = {"initial_simplex": simplex, "xatol": _PRECISION, "fatol": _PRECISION / 10, "maxfev": 400}
        numbers = optimize.minimize(error, numbers, method="Nelder-Mead", options=options).x
    fitted = _with(base, np.array([float(f"{value:.{_DIGITS}g}") for value in np.exp(numbers)]))
    if not _is_admissible(fitted):
        raise BadInput("delays", base.name, "no numbers of this profile fit the times", "another profile to start from")
    return fitted


def _is_admissible(profile: Profile) -> bool:
    """Whether the profile could stand in a file."""
    try:
        parse_profile(profile.name, as_toml(profile).encode())
    except BadInput:
        return False
    return True


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


def write_calibration(
    folder: Path,
    fitted: Profile,
    source: str,
    cells: list[dict[str, Any]],
    summary: list[dict[str, Any]],
    facts: dict[str, Any],
) -> list[Path]:
    """Write profile.toml, cells.csv, errors.csv, the figure and the provenance; return the pictures."""
    import pandas as pd

    from agn_bench.analysis.figures.clock import measured_against_simulated
    from agn_bench.base import files

    files.write_text(folder / "profile.toml", as_toml(replace(fitted, source=source, description="")))
    files.write_table(folder / "cells.csv", cells)
    files.write_table(folder / "errors.csv", summary)
    files.record_provenance(folder, {"calibrate": facts})
    return measured_against_simulated(pd.DataFrame(cells), folder / "figures" / "measured-against-simulated")


def _starts(base: Profile, measured: Measured, gradient_steps: int) -> list[np.ndarray]:
    """First guesses. No run is shorter than its workers' steps, or than the server's exchanges."""
    phases = gradient_steps // measured.workers // measured.local_steps
    step = (measured.seconds / (phases * measured.local_steps)).min()
    server = (measured.seconds / (phases * measured.workers)).min()
    return [
        np.array([step, share * server, max(server / 2, _LEAST_NETWORK), *([cv] if hasattr(base.step, "cv") else [])])
        for share in (1.0, 0.5)
        for cv in (0.3, 0.03)
    ]


def _own_numbers(base: Profile) -> np.ndarray:
    """What is fitted of a profile, as it is."""
    means = [base.step.moments().mean, base.server.moments().mean, base.up.moments().mean]
    return np.array([*np.maximum(means, _LEAST_NETWORK), *([base.step.cv] if hasattr(base.step, "cv") else [])])


def _with(base: Profile, numbers: np.ndarray) -> Profile:
    """`base` with the means of step, server and network, and the step's cv if it has one."""
    step, server, network, *cv = map(float, numbers)
    for part in ("step", "up", "down", "server"):
        distribution: Any = getattr(base, part)
        if "mean" not in {field.name for field in fields(distribution)}:
            raise BadInput("delays", base.name, f"{part} has no mean to fit", "distributions given by their means")
    # Of the Distribution protocol's types only those with a mean get here.
    means: dict[str, Any] = {
        part: replace(getattr(base, part), mean=mean)
        for part, mean in (("up", network), ("down", network), ("server", server))
    }
    step_numbers = {"mean": step, **({"cv": min(cv[0], 100.0)} if cv else {})}
    return replace(base, step=replace(base.step, **step_numbers), **means)  # type: ignore[type-var]
