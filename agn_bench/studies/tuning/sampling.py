"""The next trial's numbers, by Optuna's tree-structured Parzen estimator.

Optuna keeps nothing: it is given all earlier trials anew, with a seed for this one. So a trial's numbers are a function
of the earlier trials, of the seed and of the trial's number.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

from agn_bench.base.inputs import BadInput
from agn_bench.base.quantities import LOG
from agn_bench.studies.tuning.goal import LOOKS, Goal
from agn_bench.studies.tuning.space import Numbers, Searched, Space
from agn_bench.studies.tuning.trials import COMPLETE, PRUNED, Trial

STARTUP = 8
"""Trials of an optimizer before anything is learned from them: its defaults, then numbers at random."""


def require_optuna() -> Any:
    """The module, which says nothing by itself.

    Raises:
        BadInput: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise BadInput("OPTIMIZER", "", "Optuna, which chooses what is tried, is not installed",
                       "pip install 'agn-bench[tune]'") from None  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


def suggested(space: Space, trials: Sequence[Trial], goal: Goal, seed: int) -> Numbers:
    """The numbers of an optimizer's next trial; the first one's are its defaults.

    Args:
        trials: all earlier ones.
    """
    if not trials or not space.numbers:
        return space.default
    optuna = require_optuna()
    with warnings.catch_warnings(action="ignore"):  # of what is experimental in Optuna
        sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=_seed(space, len(trials), seed))
        direction = "maximize" if goal.measure.higher_is_better else "minimize"
        study = optuna.create_study(direction=direction, sampler=sampler)
        distributions = {column: _distribution(optuna, one) for column, one in space.numbers.items()}
        study.add_trials([_frozen(optuna, distributions, trial) for trial in trials])
        found = study.ask(distributions).params
    return {column: one.rounded(found[column]) for column, one in space.numbers.items()}


def _seed(space: Space, number: int, seed: int) -> int:
    text = f"{space.name} {number} {seed}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _distribution(optuna: Any, one: Searched) -> Any:
    low, high, scale = one.search
    if one.whole:
        return optuna.distributions.IntDistribution(int(low), int(high), log=scale == LOG)
    return optuna.distributions.FloatDistribution(float(low), float(high), log=scale == LOG)


def _frozen(optuna: Any, distributions: Any, trial: Trial) -> Any:
    """A trial as Optuna has it: what is said on the way is the mean so far, a step for each look of each seed."""
    states = {COMPLETE: optuna.trial.TrialState.COMPLETE, PRUNED: optuna.trial.TrialState.PRUNED}
    on_the_way = {
        seed * (len(LOOKS) + 1) + look: mean
        for seed, own in enumerate(trial.values)
        for look in range(len(own))
        if (mean := trial.mean(seed + 1, look)) is not None
    }
    return optuna.trial.create_trial(
        state=states.get(trial.state, optuna.trial.TrialState.FAIL),
        params=trial.numbers,
        distributions=distributions,
        value=trial.value if trial.state == COMPLETE else None,
        intermediate_values=on_the_way,
    )
