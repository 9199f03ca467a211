"""The command that finds each optimizer's best numbers with as many trials, and compares them on fresh seeds: tune."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agn_bench.base.inputs import BadInput, choose, whole_number
from agn_bench.cli import options
from agn_bench.cli.base import (
    EXIT_FAILED,
    WHICH,
    app,
    completion,
    console,
    facts_of,
    interrupts_wait,
    option,
    path,
)
from agn_bench.cli.sweeping import make_runs, place_of, show_report
from agn_bench.config.options import MAX_SEED, OPTIONS, RUN
from agn_bench.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from agn_bench.cli.display import Terminal
    from agn_bench.config.run import RunConfig
    from agn_bench.execution.sweep import Place
    from agn_bench.studies.tuning.goal import Goal
    from agn_bench.studies.tuning.search import Contestant
    from agn_bench.studies.tuning.trials import Trial

_NOT_OF_TUNE = (
    "optimizer", "epochs", "gradient_steps", "until", "shares", "leftover", "timeline", "columns", "seed",
)  # fmt: skip
"""Options of `run` for which all optimizers would not have the same simulated time, or that are given otherwise."""
_OF_RUNS = [name for name in OPTIONS if name not in _NOT_OF_TUNE]
_SECONDS = 100.0
_TUNE = "Trials and comparison"
MOST_TRIALS = 10_000
_NAME = "tuned"
"""The name of the experiment that the comparison is."""


@dataclass(frozen=True)
class _Chosen:
    """An optimizer with the numbers that were found for it."""

    shown: dict[str, str]
    """Its row, for a reader."""
    config: RunConfig
    at_edge: Sequence[str]
    """The columns of the numbers at the edge of what was tried."""


@app.command()
@options.takes(
    *_OF_RUNS,
    seconds={"help": "Simulated seconds that every run lasts", "default": _SECONDS},
    local_steps={
        "help": "Mini-batch steps between two exchanges of a worker, λ; without it the best is searched, auto first",
        "default": None,
    },
    learning_rate={"help": "Step length of the local optimizer; without it the best is searched, the default first"},
)
def tune(
    context: typer.Context,
    optimizers: Annotated[
        list[str] | None,
        typer.Argument(
            help="Optimizers to tune and compare, as in agn easgd; a number that is given, as in easgd:alpha=0.1, is "
            "not searched.",
            metavar="OPTIMIZER…",
            autocompletion=completion(OPTIMIZERS),
        ),
    ] = None,
    trials: Annotated[str | None, option("Trials of each optimizer; default 20.", "N", _TUNE)] = None,
    tuning_seeds: Annotated[str | None, option("Seeds of each trial, from 10000 on; default 2.", "N", _TUNE)] = None,
    seeds: Annotated[
        str | None,
        option("Fresh seeds of the comparison, from 0 on, or after those of --from; default 5.", "N", _TUNE),
    ] = None,
    measure: Annotated[
        str | None,
        option(
            "By which numbers are chosen and compared, as `table` takes it, such as train_accuracy; default the first "
            "measure of the center, such as test_accuracy.",
            "NAME",
            _TUNE,
        ),
    ] = None,
    goal: Annotated[
        str | None,
        option(
            "area: the measure's mean over the simulated time; end: its value at the end; default area.",
            "NAME",
            _TUNE,
            ("area", "end"),
        ),
    ] = None,
    sampler_seed: Annotated[str | None, option("Seed of the choice of what is tried; default 0.", "N", _TUNE)] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Take each optimizer's best setting of the runs in this experiment folder instead of making trials.",
            metavar="DIR",
            rich_help_panel=WHICH,
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        option("With --from: only runs that have this, as in workers=20; may be given again.", "KEY=VALUE", WHICH),
    ] = None,
    data_dir: options.DataDir = None,
    jobs: options.Jobs = None,
    threads: options.RunThreads = None,
    device: options.Device = None,
    out: Annotated[str, option("Experiment folder to write to; default results/tuned.", "DIR", RUN)] = "results/tuned",
    **configuration: object,
) -> None:
    """Give every optimizer as many trials to find its numbers, then compare all at their best on fresh seeds.

    Searched are λ, the learning rate, and numbers of the optimizer that say where (see `list NAME`); whatever is given
    stays as it is. The first trial has the defaults. A trial that is behind the median of earlier ones, at a fourth or
    at half of the simulated time, is ended. All runs last as long in simulated time. Needs the extra tune. If it is
    stopped, in whatever way, the same command goes on where it was; with more --trials it goes further.

    ```console
    agn-bench tune agn easgd dynsgd downpour --workers 20
    agn-bench tune agn easgd --delays stragglers --trials 40
    agn-bench tune --from results/equal-time-tuning --seeds 3
    ```
    """
    from agn_bench.studies.tuning.goal import AREA, GOALS
    from agn_bench.studies.tuning.trials import MOST_SEEDS

    given = {name: value for name, value in configuration.items() if value not in (None, [], ())}
    by = choose("goal", AREA if goal is None else goal, GOALS)
    number_of_seeds = whole_number("seeds", 5 if seeds is None else seeds, 1, MOST_SEEDS)
    folder = path("out", out)
    with interrupts_wait() as stop_if_asked:
        terminal = console()
        if source is not None:
            own = {"trials": trials, "tuning_seeds": tuning_seeds, "sampler_seed": sampler_seed, **given}
            _refuse_with_source(source, optimizers, own)
            place = place_of(jobs, threads, device, data_dir, None)
            taken, found, chosen = _of_a_sweep(path("from", source), only or [], measure, by)
            from agn_bench.studies.tuning.selected import fresh_seeds

            fresh = fresh_seeds(number_of_seeds, taken)
        else:
            if only:
                raise BadInput("only", only[0], "given without `from`", "`from=DIR` with it")
            asked = _Asked(
                whole_number("trials", 20 if trials is None else trials, 1, MOST_TRIALS),
                whole_number("tuning_seeds", 2 if tuning_seeds is None else tuning_seeds, 1, MOST_SEEDS),
                whole_number("sampler_seed", 0 if sampler_seed is None else sampler_seed, 0, MAX_SEED),
                measure,
                by,
            )
            spaces = _spaces(optimizers or [], {"seconds": _SECONDS, **given})
            place = place_of(jobs, threads, device, data_dir, None)
            fresh = list(range(number_of_seeds))
            found, chosen = _of_trials(terminal, spaces, asked, folder, place, context, stop_if_asked)
        _show_chosen(terminal, found, chosen)
        compare = _compare(terminal, found, chosen, fresh, folder, place, stop_if_asked)
    if not compare:
        raise typer.Exit(EXIT_FAILED)


@dataclass(frozen=True)
class _Asked:
    """How trials are made."""

    trials: int
    tuning_seeds: int
    sampler_seed: int
    measure: str | None
    by: str


def _refuse_with_source(source: str, optimizers: Sequence[str] | None, own: Mapping[str, object]) -> None:
    if optimizers:
        problem, accepted = f"given together with `from={source}`", "`only=optimizer=NAME`, which leaves others out"
        raise BadInput("OPTIMIZER", " ".join(optimizers), problem, accepted)
    for name, value in own.items():
        if value is not None:
            accepted = "the folder's own, or optimizers instead of `from`"
            raise BadInput(name, value, f"given together with `from={source}`", accepted)


def _spaces(optimizers: Sequence[str], given: Mapping[str, object]) -> list[Any]:
    """What is searched of each optimizer."""
    from agn_bench.studies.tuning.space import Space

    if not optimizers:
        raise BadInput("OPTIMIZER", "", "missing", "one or several, as in agn easgd, or `from=DIR`")
    spaces: dict[str, Space] = {}
    for text in optimizers:
        try:
            space = Space(given, text)
        except BadInput as error:
            if error.option != "optimizer":
                raise
            raise BadInput("OPTIMIZER", error.value, error.problem, error.accepted) from None
        if space.name in spaces:
            raise BadInput("OPTIMIZER", text, "given twice", "each once")
        spaces[space.name] = space
    return [*spaces.values()]


def _of_trials(
    terminal: Terminal,
    spaces: Sequence[Any],
    asked: _Asked,
    folder: Path,
    place: Place,
    context: typer.Context,
    stop_if_asked: Callable[[], None],
) -> tuple[Goal, list[_Chosen]]:
    """Make the trials that are missing; what is compared, and each optimizer's best."""
    from agn_bench.base import files
    from agn_bench.base.inputs import check_writable
    from agn_bench.cli.progress import StepDisplay
    from agn_bench.studies.tuning import search as searching
    from agn_bench.studies.tuning.goal import Goal
    from agn_bench.studies.tuning.trials import FILE, TrialsFile, tuning_seeds

    check_writable("out", folder)
    base = spaces[0].base
    read = searching.measured(base, asked.measure, place.terms.data_dir)
    goal = Goal(read, base.seconds, base.window, asked.by)
    with searching.alone(folder):
        _check_folder(folder)
        told = {"sampler_seed": asked.sampler_seed, "measure": read.column, "goal": asked.by}
        seeds = tuning_seeds(asked.tuning_seeds)
        file = TrialsFile(folder / FILE, goal, seeds, told)
        file.begin(spaces)
        contestants = [
            searching.Contestant(space, file.of(space), goal, seeds, asked.trials, asked.sampler_seed)
            for space in spaces
        ]
        left = sum(one.left for one in contestants)
        if left:
            with StepDisplay(terminal, "trials", left, stop_if_asked) as display:
                searching.search(
                    contestants,
                    file,
                    folder / searching.RUNS,
                    place,
                    lambda one, trial: display.step(_ended(one, trial, goal)),
                    stop_if_asked,
                )
            files.record_provenance(folder, {FILE: {**facts_of(context), "optuna": _version("optuna")}})
    return goal, [_chosen(one, goal) for one in contestants]


def _check_folder(folder: Path) -> None:
    """Raise BadInput if the comparison cannot be made there: said before hours of trials, and not after them."""
    from agn_bench.base import machine
    from agn_bench.store import folder as folders

    folders.prepare(folder)
    folders.check_experiment(folder, _NAME)
    folders.check_threads(folder, machine.threads())


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _ended(one: Contestant, trial: Trial, goal: Goal) -> str:
    """What became of a trial, in a line."""
    from agn_bench.studies.tuning.trials import COMPLETE, PRUNED

    number = len(one.trials)
    if trial.state == COMPLETE:
        return f"{one.space.label} {number}: {goal.measure.value(trial.value)}"
    if trial.state == PRUNED:
        return f"{one.space.label} {number}: ended at {goal.times[len(trial.values[-1]) - 1]:g} simulated s"
    return f"{one.space.label} {number}: its numbers are refused"


def _chosen(one: Contestant, goal: Goal) -> _Chosen:
    """The best trial of an optimizer."""
    from agn_bench.analysis.values import worded
    from agn_bench.studies.tuning.trials import PRUNED

    trial = one.tried[one.best]
    at_edge = one.space.at_edge(trial.numbers)
    numbers = [worded(column, value) + " *" * (column in at_edge) for column, value in trial.numbers.items()]
    shown = {
        "optimizer": one.space.label,
        "trials": f"{len(one.tried)} ({sum(each.state == PRUNED for each in one.tried)} ended early)",
        "best": ", ".join(numbers) or "its defaults",
        "trial": str(one.best + 1),
        _worth(goal): goal.measure.value(trial.value),
        "defaults": goal.measure.value(one.tried[0].value),
    }
    return _Chosen(shown, one.space.config(trial.numbers), at_edge)


def _of_a_sweep(
    folder: Path, only: Sequence[str], measure: str | None, by: str
) -> tuple[list[int], Goal, list[_Chosen]]:
    """The seeds of a sweep, what is compared, and the best setting of each optimizer."""
    from agn_bench.studies.tuning.selected import selected

    found, goal, seeds = selected(folder, only, measure, by)
    chosen = []
    for one in found:
        shown = {
            "optimizer": one.label,
            "tried": str(one.tried),
            "best": ", ".join(one.numbers) + " *" * bool(one.at_edge) or "the one that is there",
            _worth(goal): goal.measure.value(one.value),
        }
        chosen.append(_Chosen(shown, one.config, one.at_edge))
    return seeds, goal, chosen


def _worth(goal: Goal) -> str:
    return goal.measure.headed("area" if goal.by == "area" else "at the end")


def _show_chosen(terminal: Terminal, goal: Goal, chosen: Sequence[_Chosen]) -> None:
    from agn_bench.cli.display import show_rows

    show_rows(terminal, f"best by the {goal.measure.name} of the tuning seeds", [one.shown for one in chosen])
    if any(one.at_edge for one in chosen):
        terminal.say("  * at the edge of what was tried, so a better one may lie beyond")


def _compare(
    terminal: Terminal,
    goal: Goal,
    chosen: Sequence[_Chosen],
    seeds: Sequence[int],
    folder: Path,
    place: Place,
    stop_if_asked: Callable[[], None],
) -> bool:
    """Make the runs of the comparison, show and write its table; whether all runs were made."""
    from agn_bench.analysis import comparison, written
    from agn_bench.cli.display import show_path, show_rows
    from agn_bench.cli.tables import Asked, measure_tables
    from agn_bench.config.experiment import Experiment

    configs = [replace(one.config, seed=seed) for one in chosen for seed in seeds]
    cell_of = {one.config.configuration: index for index, one in enumerate(chosen)}
    experiment = Experiment(_NAME, "each optimizer with its best numbers, on fresh seeds", tuple(configs), cell_of)
    report = make_runs(configs, folder, place, experiment, False, stop_if_asked)
    show_report(terminal, report, folder)
    if report.failures:
        return False
    runs = comparison.read_runs([folder]).asked()
    read = runs.measured(goal.measure.column)
    last_s = goal.seconds if read.is_of_center else goal.seconds - goal.window  # the last window that is whole
    at = sorted({time_s for time_s in (*goal.times[:-1], last_s) if 0 <= time_s <= last_s})
    edges = {one.config.configuration: one.at_edge for one in chosen if one.at_edge}
    groups = {"": comparison.configurations(runs, read)}
    rows, shown = measure_tables(groups, None, Asked(at, (), read), edges)
    target = folder / "tables" / f"{read.stem}.csv"
    written.write_tables(target, rows, shown.tables)
    for one in shown.on_screen[-1]:
        show_rows(terminal, one.title, one.rows)
        for note in one.notes:
            terminal.say(f"  {note}")
    if edges:
        terminal.say("  * at the edge of what was tried, so a better one may lie beyond")
    show_path(terminal, target)
    return True
