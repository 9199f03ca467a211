"""The rules: what an optimizer asks of the clock. Who waits, which commits count, which are dropped.

Nothing here depends on a parameter's value, so it is the timeline's, and the replay stays exact. docs/clock.md says in
words and with pictures what each does.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST = 2**31 - 1
"""Of versions and exchanges; a limit so large is none."""


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
