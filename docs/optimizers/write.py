"""Writes what docs/optimizers.md has from the program: its tables, and the two pictures in this folder.

    python docs/optimizers/write.py

`make docs` runs it. The prose of the page is written by hand. A table stands between two comments, `<!-- NAME -->` and
`<!-- end of NAME -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agn_bench.cli.catalogue import optimizers
from agn_bench.optimizers import FAMILIES, OPTIMIZERS

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "optimizers.md"


# --- tables ---


def by_family() -> str:
    """A heading, a sentence and a table for each family."""
    parts = []
    for family, rows in optimizers().items():
        if family in FAMILIES:
            cells = [[_code(row["optimizer"]), *_shown(row)] for row in rows]
            heading = f"### {family[0].upper()}{family[1:]}\n\n{FAMILIES[family]}"
            parts += [heading, _table(["optimizer", "equation", "rules", "numbers", "source"], cells)]
    return "\n\n".join(parts)


def _shown(row: dict[str, str]) -> list[str]:
    numbers = " ".join(map(_code, row["numbers"].split())) or "–"
    return [_plain(row["equation"]), _plain(row["rules"]), numbers, _plain(row["source"])]


def own_defaults() -> str:
    """Optimizers that train with other options than the preset's."""
    rows = []
    for name, kind in OPTIMIZERS.items():
        options = [_code(f"--{key.replace('_', '-')} {value}") for key, value in kind.trained_with.items()]
        if options:
            rows.append([_code(name), ", ".join(options)])
    return _table(["optimizer", "its defaults"], rows)


def needs_rate() -> str:
    """Those whose equation has the learning rate."""
    return ", ".join(_code(name) for name, kind in OPTIMIZERS.items() if kind.needs_learning_rate) + "."


TABLES: dict[str, Callable[[], str]] = {
    "all optimizers": by_family,
    "own defaults": own_defaults,
    "need a learning rate": needs_rate,
}


def written(page: str) -> str:
    """The page with its tables as the program says them now."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, after = page.split(begin)[0], page.split(end)[1]
        page = f"{before}{begin}\n\n{table()}\n\n{end}{after}"
    return page


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _plain(text: str) -> str:
    """Text as it is, where Markdown has signs of its own."""
    return re.sub(r"([|*_<>\[\]])", r"\\\1", text)


def _code(text: str) -> str:
    return f"`{text}`"


# --- the family tree ---


class Branch(NamedTuple):
    """What a student wants to know of a family."""

    moves: str
    """What moves the center."""
    waits: str
    """Who waits."""
    stale: str
    """What staleness does."""


NOBODY = "Nobody waits."
MEAN = "The mean Δ of several commits is added, all at once."
TREE: dict[str, dict[str, Branch]] = {
    "Each commit makes a version.": {
        "additive": Branch(
            "Δ is added.",
            "Nobody waits, but with stale-synchronous those who are too far ahead do.",
            "It changes nothing, but ringmaster and picky leave commits out.",
        ),
        "normalized": Branch(
            "Δ / λ is added; agn-when-needed adds Δ where it can.",
            NOBODY,
            "It changes nothing in agn; adag-agn corrects by distance too.",
        ),
        "weighted by staleness": Branch(
            "A share of Δ is added; fedasync draws the center to the worker.",
            NOBODY,
            "The larger τ is, the smaller is the share.",
        ),
        "corrected by distance": Branch(
            "Δ is changed weight by weight, then added.",
            NOBODY,
            "The farther the center has moved since the pull, the more is changed.",
        ),
        "elastic": Branch(
            "Center and worker draw each other closer.",
            NOBODY,
            "It changes nothing: a worker keeps parameters of its own.",
        ),
        "server momentum": Branch(
            "Δ goes into a momentum, which moves the center.",
            "Nobody waits, but with a grace period groups do.",
            "dana, nag-asgd and smega2 send workers where the center will be; gem shortens Δ.",
        ),
    },
    "Several commits make one.": {
        "barrier": Branch(
            MEAN,
            "A worker whose commit counts waits for the version.",
            "backup-workers and k-sync drop what is stale; k-async counts it.",
        ),
        "buffer": Branch(
            MEAN, NOBODY, "rennala and malenia drop what is stale, fedbuff counts it less, ringleader counts it whole."
        ),
    },
    "As many as another optimizer asks for.": {
        "server optimizer": Branch(
            "A rule such as Adam makes a step along the other's.",
            "It is as with the other one.",
            "It is as with the other one.",
        ),
    },
}
"""By how many commits make a version, and by family."""

_COLUMNS = {"What moves the center?": 4.35, "Who waits?": 6.55, "What does staleness do?": 8.75}
"""Their left edges; these and all below are inches."""
_WIDE, _ROW, _HEAD = 11.0, 0.62, 0.35
_BRANCH, _FORK, _FAMILY, _FAMILY_WIDE, _CELL_WIDE = 0.1, 1.45, 1.75, 2.2, 2.05


def draw_tree() -> None:
    """docs/optimizers/families.png and .svg."""
    from agn_bench.analysis.figures.lettering import wrapped
    from agn_bench.analysis.figures.look import COLOURS, picture

    members = {family: ", ".join(row["optimizer"] for row in rows) for family, rows in optimizers().items()}
    high = _HEAD + _ROW * len(FAMILIES)
    with picture(FOLDER / "families", 1, 1, figsize=(_WIDE, high)) as (figure, axes, _):
        axes.set_axis_off()
        axes.set_xlim(0, _WIDE)
        axes.set_ylim(high, 0)

        def say(x: float, y: float, text: str, inches: float, **look: Any) -> None:
            axes.text(x, y, wrapped(figure, text, inches, 8), fontsize=8, va="center", **look)

        for heading, x in _COLUMNS.items():
            say(x, _HEAD / 2, heading, _CELL_WIDE, weight="bold")
        row = 0
        for colour, (rule, families) in zip(COLOURS, TREE.items(), strict=False):
            rows = [_HEAD + _ROW * (row + index + 0.5) for index in range(len(families))]
            middle = sum(rows) / len(rows)
            say(_BRANCH, middle, rule, 1.0, weight="bold", color=colour)
            for y, (family, branch) in zip(rows, families.items(), strict=True):
                axes.plot(
                    [_FORK - 0.2, _FORK, _FORK, _FAMILY - 0.07], [middle, middle, y, y], color=colour, linewidth=1
                )
                axes.text(_FAMILY, y - 0.17, family, fontsize=8.5, va="center", weight="bold", color=colour)
                axes.text(
                    _FAMILY, y - 0.06, wrapped(figure, members[family], _FAMILY_WIDE, 7.5), fontsize=7.5, va="top"
                )
                for x, text in zip(_COLUMNS.values(), branch, strict=True):
                    say(x, y, text, _CELL_WIDE)
                axes.plot([_FAMILY, _WIDE], [y - _ROW / 2] * 2, color="#DDDDDD", linewidth=0.6)
            row += len(families)


# --- everybody on one clock ---

CLOCKS = {
    "Asynchronous: each commit makes a version": "downpour",
    "Stale synchronous: nobody is more than one phase ahead": "stale-synchronous:ahead=1",
    "Buffered: five commits make a version, and nobody waits": "fedbuff:size=5",
    "Barrier: all wait for all": "local-sgd",
    "Backup workers: a round does not wait for the last": "backup-workers:backups=1",
    "K-sync: three commits make a version, and the others begin again": "k-sync:size=3",
    "Grace period: who comes within a second goes on together": "delayed-nesterov:grace=1",
    "Ringleader: collects from all, then makes five versions": "ringleader",
}
"""What the strips show, and the optimizers whose clock it is."""
WORKERS, SECONDS = 5, 30
CONFIGURATION: dict[str, Any] = {
    "workers": WORKERS,
    "local_steps": 4,
    "delays": "stragglers",
    "delay": ["server.mean=0.3"],
    "seconds": SECONDS,
}


def draw_clocks() -> None:
    """docs/optimizers/clocks.png, and .svg if it is small: the same delays and seed for all."""
    import numpy as np
    import pandas as pd

    from agn_bench.analysis.figures.clock import activities
    from agn_bench.analysis.figures.curves import TIME
    from agn_bench.analysis.figures.lettering import foot
    from agn_bench.analysis.figures.look import picture
    from agn_bench.config.run import RunConfig
    from agn_bench.training import columns
    from agn_bench.training.timing import timeline_of

    with picture(FOLDER / "clocks", len(CLOCKS), 1, figsize=(9, 1.12 * len(CLOCKS)), sharex="all") as (figure, all_, _):
        handles: dict[str, Any] = {}
        for axes, (says, optimizer) in zip(all_, CLOCKS.items(), strict=True):
            timeline = timeline_of(RunConfig.of(optimizer=optimizer, **CONFIGURATION))
            commits, lost = (pd.DataFrame(of(timeline)) for of in (columns.commits, columns.interrupted))
            handles |= activities(axes, commits, lost, WORKERS, SECONDS)
            made = timeline.applied_s[np.diff(timeline.version, prepend=0) > 0]
            handles["a version is made"] = axes.vlines(made, -0.6, WORKERS - 0.4, color="black", linewidth=0.7)
            if not timeline.accepted.all():
                dropped = {"x": timeline.applied_s[~timeline.accepted], "y": timeline.worker[~timeline.accepted]}
                handles["a commit is dropped"] = axes.scatter(**dropped, marker="x", color="black", s=22, zorder=3)
            axes.set_title(f"{says} ({optimizer})", loc="left", fontsize=9)
            axes.set_xlim(0, SECONDS)
            axes.set_yticks(range(WORKERS))
            axes.set_ylabel("worker")
        all_[-1].set_xlabel(TIME)
        foot(figure, handles, [])


if __name__ == "__main__":
    page = written(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page, encoding="utf-8")
    if "--tables" not in sys.argv[1:]:
        draw_tree()
        draw_clocks()
