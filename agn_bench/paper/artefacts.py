"""What there is to reproduce: of each table and figure its name, the runs it needs, and what the report says of it.

A new one is a function in drawing.py and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agn_bench.paper import drawing
from agn_bench.paper.computed import BEALE, CLUSTER, computed_path
from agn_bench.paper.runs import Results


@dataclass(frozen=True)
class Artefact:
    """A table or a figure, or some that belong together."""

    title: str
    experiments: tuple[str, ...]
    """Whose runs it shows."""
    make: Callable[[Results, Path], None]
    """Writes its CSV tables and pictures, given the runs of a size and the folder of all results."""
    figures: tuple[str, ...]
    """Names of the pictures, in figures/ of the size's folder."""
    tables: tuple[str, ...] = ()
    """Names of the tables that the report shows, in tables/."""
    about: str = ""
    """What the report says of it."""
    computed: tuple[str, ...] = ()
    """COMPUTED tables that have to be there first."""
    shared: str = ""
    """The folder of its files, if they are the same at every size."""


ARTEFACTS = {
    "agn-vs-others": Artefact(
        "Accuracy over time: AGN, EASGD, DynSGD",
        ("agn-vs-others",),
        drawing.agn_vs_others,
        ("agn-vs-others",),
        ("agn-vs-others",),
        "These runs have 20 workers. The curves are the training accuracy of the workers' mini-batches, averaged over "
        "5 s, and are drawn while most workers are at work.",
    ),
    "agn-vs-dynsgd": Artefact(
        "AGN and DynSGD with the same local steps",
        ("agn-vs-dynsgd",),
        drawing.agn_vs_dynsgd,
        ("agn-vs-dynsgd",),
        ("agn-vs-dynsgd",),
    ),
    "downpour": Artefact(
        "DOWNPOUR against workers and local steps",
        ("downpour",),
        drawing.downpour,
        ("downpour",),
        ("downpour",),
        "These runs have an eighth of the work, as in the paper (at size quick all of it).",
    ),
    "dynsgd": Artefact(
        "DynSGD against workers and local steps",
        ("dynsgd",),
        drawing.dynsgd,
        ("dynsgd",),
        ("dynsgd",),
        "These runs are as for DOWNPOUR. The paper shows n = 20 with λ = 1 and 10 only.",
    ),
    "grid": Artefact(
        "The grid: accuracies, times, temporal efficiency",
        ("grid",),
        drawing.grid,
        ("temporal-efficiency",),
        ("agreement", "wins", "temporal-efficiency", "grid"),
        "The temporal efficiency is E = ∫ AGN dt / ∫ EASGD dt of the training curves, up to the end of the shorter "
        "one. Above 1, AGN wins. The bounds are those that the paper's size is held to. A cell has the accuracies "
        "of the workers' last mini-batches (train) and of the final center, the server's parameters, on the test "
        "set (test). Both are means over the seeds. Wins are counted with E as printed, with three decimals. The "
        "authors count those at least 1: they mark the 34 cells whose unrounded E is above 1, and one of these is "
        "printed as 1.000.",
    ),
    "grid-curves": Artefact(
        "The grid, curve by curve",
        ("grid",),
        drawing.grid_curves,
        ("grid-by-workers", "grid-by-local-steps"),
        about="The curves are the training accuracy over time, as above, from 0.8 on.",
    ),
    "accuracy-vs-workers": Artefact(
        "Accuracy against workers",
        ("grid",),
        drawing.accuracy_vs_workers,
        ("accuracy-vs-workers-training", "accuracy-vs-workers-test"),
        ("accuracy-vs-workers",),
        "The paper compares the best of AGN's λ with the mean over EASGD's. Both are shown for both here.",
    ),
    "temporal-efficiency": Artefact(
        "Temporal efficiency at λ = n and at λ = 20",
        ("grid",),
        drawing.temporal_efficiency,
        ("temporal-efficiency-lines",),
        ("temporal-efficiency-lines",),
    ),
    "stability-map": Artefact(
        "Where AGN is stable",
        ("grid",),
        drawing.stability_map,
        ("stability-map",),
        ("edge", "stability-map"),
        "In a *stiff direction* the loss is so steep that the local steps of a worker reach the bottom. The *growth"
        " rate* says how fast a deviation in it grows. It comes from the timeline alone, and above 0 AGN is "
        "unstable. It is compared here with what training gave.",
        computed=("stability-map", "fifo-share"),
    ),
    "order-of-service": Artefact(
        "What the order of service has to do with it",
        ("order-of-service", "grid"),
        drawing.order_of_service,
        ("order-of-service",),
        ("order-of-service",),
        "The timeline alone says that AGN with 40 workers and 20 local steps is stable if the server takes anyone who "
        "waits, and not if it serves first in first out. Here it is trained.",
    ),
    "baselines": Artefact(
        "Fair baselines: every method at its best",
        ("baselines",),
        drawing.baselines,
        ("baselines",),
        ("baselines", "baselines-tried"),
        "Each method has the best of five settings, by the area under its training curve. It is chosen and reported on "
        "the same seeds. EASGD's settings are values of α at the common learning rate, and the others' are learning "
        "rates. The paper gives all the same rate, and EASGD one α. Two controls see the same data: one worker, and 20 "
        "synchronous ones. Their clocks are not compared.",
    ),
    "staleness": Artefact(
        "Staleness with 20 workers",
        (),
        drawing.staleness,
        ("staleness",),
        ("staleness-by-local-steps",),
        "The picture has 15 local steps, and the table shows how it changes with them. Both are of one seed, 0. The "
        "published histogram peaks at 19 to 20, and has a low plateau from 0 to 12 and a thin tail to 140. The paper "
        "does not say with how many local steps.",
        computed=("staleness", "staleness-by-local-steps"),
        shared=CLUSTER,
    ),
    "beale": Artefact(
        "Paths on the Beale function",
        (),
        drawing.beale,
        ("beale",),
        ("shapes",),
        "There is one worker. It starts at (−2.5, −2) with learning rate 0.001, and the minimum is at (3, 0.5).",
        computed=("paths", "shapes"),
        shared=BEALE,
    ),
}


def shown_at(name: str, runs: Results) -> bool:
    """Whether a size has runs of what an artefact shows, or it needs none."""
    own = ARTEFACTS[name].experiments
    return not own or any(experiment in runs.experiments for experiment in own)


def make(name: str, runs: Results, root: Path) -> None:
    """Write an artefact's tables and pictures, if the size has it and what has to be computed for it is there."""
    if shown_at(name, runs) and all(computed_path(root, table).is_file() for table in ARTEFACTS[name].computed):
        ARTEFACTS[name].make(runs, root)


def needed(names: Sequence[str]) -> list[str]:
    """The experiments whose runs these artefacts show."""
    return list(dict.fromkeys(experiment for name in names for experiment in ARTEFACTS[name].experiments))
