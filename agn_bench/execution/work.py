"""What there is to make, in an order that compiles little, and who is told of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from agn_bench.config.run import RunConfig
from agn_bench.training.records import Check, Progress, RunResult


class Watcher:
    """Is told what becomes of runs, and does nothing about it. What it raises ends them all."""

    def found(self, config: RunConfig) -> None:
        """The run was finished before, or by another process, and is not repeated."""

    def started(self, config: RunConfig) -> None: ...

    def progressed(self, config: RunConfig, progress: Progress) -> object:
        """A run that is made in this process ends soon after the answer True."""

    def ended(self, config: RunConfig, result: RunResult) -> None:
        """The run is made. What diverged is a result, too."""

    def failed(self, config: RunConfig, error: Exception) -> None: ...

    def waiting(self, reason: str) -> None:
        """Nothing goes on."""

    def tick(self) -> None:
        """Now and then, while nothing is reported."""


Program = tuple[object, ...]
"""What XLA compiles for a run (see RunConfig.program)."""


class Work:
    """Runs waiting to be made, the more important first; among those of the same importance, in an order that compiles
    little.

    Args:
        allowed: asked when a run's turn comes; a run that may not be made now is left out.
        importance: of a run, the lowest first.
    """

    def __init__(
        self,
        configs: Iterable[RunConfig],
        allowed: Callable[[RunConfig], bool] = lambda config: True,
        importance: Callable[[RunConfig], int] = lambda config: 0,
    ) -> None:
        waiting: dict[int, dict[Program, deque[RunConfig]]] = {}
        for config in configs:
            waiting.setdefault(importance(config), {}).setdefault(config.program, deque()).append(config)
        self._waiting = [waiting[key] for key in sorted(waiting)]
        self._allowed = allowed
        self._compiled: Counter[Program] = Counter()

    def checks(self, config: RunConfig) -> Sequence[Check]:
        """What may end a run before its end, in processes of this machine."""
        return ()

    def take(self, compiled: set[Program]) -> RunConfig | None:
        """The next run for a process, None if there is none.

        Its programs are among those the process has compiled, if there are such runs; if not, they are those that the
        fewest processes have compiled, and the first of these.

        Args:
            compiled: the process's programs; those of the run are added.
        """
        while self._waiting:
            waiting = self._waiting[0]
            program = min(waiting, key=lambda program: (program not in compiled, self._compiled[program]))
            config = waiting[program].popleft()
            if not waiting[program]:
                del waiting[program]
            if not waiting:
                del self._waiting[0]
            if self._allowed(config):
                self._compiled[program] += program not in compiled
                compiled.add(program)
                return config
        return None
