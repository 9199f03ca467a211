"""Rules of λ: how many local steps each phase of each worker has.

The rules here know all before training, for the clock needs it; those of adaptive_steps.py go by what training gives.
A shipped rule is a class here and a line in LOCAL_STEPS_RULES; anyone's own is a file anywhere, chosen as
`--local-steps-rule my.py:Mine`. config.plan asks a rule for the phases of a run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from agn_bench.base.named import Named
from agn_bench.optimizers import optimizer, quantity

if TYPE_CHECKING:
    import numpy as np


class Moment(NamedTuple):
    """What is known of some local phases before they begin; arrays of shape (phases,)."""

    local_steps: int
    """λ, as the run has it."""
    slowness: np.ndarray
    """By what the mean step time of the phase's worker is larger than the fastest worker's, 1 or more."""
    progress: np.ndarray
    """How much of the run is over, from 0 to 1: as is expected, where time or open shares end the run."""
    left: np.ndarray
    """Local steps that the worker still has before it, of its share or as is expected; infinite without an end."""
    learning_rate: float
    """The learning rate of the local optimizer, without the schedule; NaN if it has none."""
    factor: np.ndarray
    """By what the schedule multiplies the rate: the largest from the phase's beginning to the run's end. So while the
    rate warms up, it is what it warms up to.
    """


class LocalStepsRule(ABC):
    """How many local steps a phase has."""

    changes: ClassVar[bool] = True
    """Whether a worker's λ changes over the run."""
    needs_rate: ClassVar[bool] = False
    """Whether it goes by the learning rate."""

    @abstractmethod
    def steps(self, moment: Moment) -> np.ndarray:
        """λ of phases, (phases,) whole numbers from 1: each a function of what the moment says of that phase."""


@optimizer
class Fixed(LocalStepsRule):
    """λ for all"""

    changes: ClassVar[bool] = False

    def steps(self, moment: Moment) -> np.ndarray:
        import numpy as np

        return np.full(len(moment.progress), moment.local_steps)


@optimizer
class BySpeed(LocalStepsRule):
    """λ v / v_max, rounded down but at least 1, v the worker's speed: phases take about as long, as in DyLU (Liu et al.
    2024, arXiv 2401.09135)
    """

    changes: ClassVar[bool] = False

    def steps(self, moment: Moment) -> np.ndarray:
        import numpy as np

        # What is a whole number but for the rounding of floats is one.
        return np.maximum(1, np.floor(moment.local_steps / moment.slowness + 1e-9).astype(np.int64))


@optimizer
class PostLocal(LocalStepsRule):
    """1 until a share of the run is over, λ from there on (Lin et al. 2020, arXiv 1808.07217)"""

    after: float = quantity(0, 1, default=0.5, help="That share of the run.")

    def steps(self, moment: Moment) -> np.ndarray:
        import numpy as np

        # A run may last longer than is expected; all of it is all of it.
        return np.where((moment.progress < self.after) | (self.after == 1), 1, moment.local_steps)


@optimizer
class Qsr(LocalStepsRule):
    """(α / η)², rounded down but at least λ, η the learning rate: phases grow as it falls (Gu et al. 2023, arXiv
    2310.14423)

    While the rate warms up, η is what it warms up to, and no phase is longer than what is left of the run. That the
    paper has it so in both was not confirmed. By default α is the whole rate times √λ: (α / η)² is then λ at first, and
    grows as soon as the rate falls. The paper's α was tuned: 0.0175 for AdamW with a rate of 0.008 and λ = 4, where the
    default would be 0.016.
    """

    needs_rate: ClassVar[bool] = True

    alpha: float = quantity(0, 1e6, default=0.0, help="α; 0 stands for the whole learning rate times √λ.")
    most: int = quantity(1, 1e6, whole=True, default=128, help="No phase is longer, unless λ is.")

    def steps(self, moment: Moment) -> np.ndarray:
        import numpy as np

        with np.errstate(divide="ignore"):
            if self.alpha:
                grown = (self.alpha / (moment.learning_rate * moment.factor)) ** 2
            else:
                grown = moment.local_steps / np.asarray(moment.factor, np.float64) ** 2
        bounded = np.floor(np.minimum(np.minimum(grown, self.most), moment.left))
        return np.maximum(bounded, moment.local_steps).astype(np.int64)


LOCAL_STEPS_RULES: Named[LocalStepsRule] = Named(
    "local_steps_rule",
    LocalStepsRule,  # type: ignore[type-abstract]
    "agn_bench.local_steps_rules",
    {
        "fixed": "agn_bench.optimizers.local_steps:Fixed",
        "by-speed": "agn_bench.optimizers.local_steps:BySpeed",
        "post-local": "agn_bench.optimizers.local_steps:PostLocal",
        "qsr": "agn_bench.optimizers.local_steps:Qsr",
        "adacomm": "agn_bench.optimizers.adaptive_steps:AdaComm",
        "by-growth": "agn_bench.optimizers.adaptive_steps:ByGrowth",
    },
    "@optimizer",
)
