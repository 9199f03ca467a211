"""The rules: what an optimizer asks of the clock. Who waits, which commits count, which are dropped.

Nothing here depends on a parameter's value, so it is the timeline's, and the replay stays exact. docs/clock.md says in
words and with pictures what each does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MOST = 2**31 - 1
"""The most versions and exchanges; a limit so large is none."""


@dataclass(frozen=True)
class Rules:
    """By default asynchronous: every commit makes a version, and its worker goes on at once."""

    quorum: int = 1
    """Accepted commits that make a version."""
    waits: bool = False
    """Who has contributed waits until the version is made, and goes on from it."""
    drop_at: int | None = None
    """Commits at least so stale are not accepted, and their workers go on at once; None: none is dropped."""
    cancels: bool = False
    """At a version, workers in whose phase the staleness has reached `drop_at` are told, over the down link, to begin
    again from the new center. What was sent by then is not called back.
    """
    ahead: int | None = None
    """Nobody begins a phase more than so many ahead of the slowest's; None: no limit."""
    grace_s: float = 0.0
    """All who arrive within so many seconds of a group's first are served, then go on together from the newest center;
    0: there are no groups; infinite: a group ends when all have come.
    """

    def problem(self, workers: int) -> tuple[str, str] | None:
        """What is wrong with them for so many workers, and what is accepted; None if nothing is."""
        if not _whole(self.quorum, 1):
            return f"a quorum of {self.quorum}", "a whole number of commits from 1"
        if self.waits and self.quorum > workers:
            return f"workers that wait for a quorum of {self.quorum}", f"a quorum up to {workers}"
        if self.drop_at is not None and not _whole(self.drop_at, 1):
            return f"commits dropped from staleness {self.drop_at}", "a whole number of versions from 1"
        if self.cancels and self.drop_at is None:
            return "cancels without drop_at", "drop_at: how stale a phase is when it is interrupted"
        if self.ahead is not None and not _whole(self.ahead, 0):
            return f"{self.ahead} phases ahead", "a whole number of phases from 0"
        if not self.grace_s >= 0:
            return f"a grace period of {self.grace_s} s", "seconds, 0 or more"
        return None


def _whole(value: object, least: int) -> bool:
    return type(value) is int and least <= value <= MOST


ASYNCHRONOUS = Rules()

_FEW, _MANY = 60, 101
"""Numbers of workers that tell n, n − 1, n / 2 and numbers that do not depend on n apart."""


def in_words(of: Callable[[int], Rules]) -> str:
    """What rules say, for any number of workers n.

    Args:
        of: the rules for so many workers.
    """
    few, many = of(_FEW), of(_MANY)
    said = []
    if (few.quorum, many.quorum) != (1, 1):
        waits = ", for which their workers wait" if many.waits else ""
        said.append(f"{_in_terms_of_n(few.quorum, many.quorum)} commits make a version{waits}")
    if few.drop_at is not None and many.drop_at is not None:
        least = _in_terms_of_n(few.drop_at, many.drop_at)
        which = "stale commits" if least == "1" else f"commits of staleness {least} or more"
        said.append(f"{which} are dropped" + (" and such phases interrupted" if many.cancels else ""))
    if few.ahead is not None and many.ahead is not None:
        said.append(f"nobody is more than {_in_terms_of_n(few.ahead, many.ahead)} phases ahead of the slowest")
    if many.grace_s:
        said.append(f"who arrives within {many.grace_s:g} s of a group's first goes on with it")
    return "; ".join(said) or "asynchronous"


def _in_terms_of_n(few: int, many: int) -> str:
    """A number of the rules for _FEW and for _MANY workers, as a formula if it is a simple one."""
    if few == many:
        return str(few)
    more = few - _FEW
    if more == many - _MANY:
        return f"n {'−' if more < 0 else '+'} {abs(more)}" if more else "n"
    part = round(_FEW / few) if few else 0
    if part > 1 and few == -(-_FEW // part) and many in (_MANY // part, -(-_MANY // part)):
        return f"n / {part}"
    return f"{few} of {_FEW} workers and {many} of {_MANY}"
