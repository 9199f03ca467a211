"""What must hold of any run: of random profiles, random sizes, random optimizers. Configurations are generated."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from conftest import (
    MORE_IN_FULL,
    PERCEPTRON,
    WIDTHS,
    Figure,
    examples,
    exchanged,
    in_full,
    initial_params,
    local_optimizer,
    reference_log,
    tried,
)
from hypothesis import assume, given
from hypothesis import strategies as st

from agn_bench.base import files
from agn_bench.base.inputs import BadInput
from agn_bench.clock import (
    LONGEST,
    Bandwidth,
    Constant,
    Draws,
    Exponential,
    Gamma,
    Ladder,
    Lognormal,
    Pareto,
    Profile,
    ShiftedExponential,
    Stragglers,
    draw_delays,
)
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.rules import ASYNCHRONOUS
from agn_bench.clock.stops import NEVER
from agn_bench.clock.timeline import Timeline
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig
from agn_bench.execution import sweep
from agn_bench.execution.sweep import Place
from agn_bench.execution.work import Watcher
from agn_bench.optimizers import LOCAL_OPTIMIZERS, OPTIMIZERS, Optimizer
from agn_bench.optimizers.easgd import Easgd
from agn_bench.problems import shares
from agn_bench.problems.datasets import Dataset
from agn_bench.training import columns
from agn_bench.training.replay import replay_timeline
from agn_bench.training.simulate import simulate
from agn_bench.training.timing import timeline_of

_WITH_NUMBERS = (
    "easgd:alpha=0.3", "fedbuff:size=3", "dana:momentum=0.5", "stale-synchronous:ahead=1", "ringmaster:threshold=2",
    "rennala:size=2", "malenia:size=1", "backup-workers:backups=0",
)  # fmt: skip
EVERY_OPTIMIZER: dict[str, Optimizer] = {name: OPTIMIZERS[name]() for name in OPTIMIZERS} | {
    text.partition(":")[0]: OPTIMIZERS.choose(text).thing for text in _WITH_NUMBERS
}
SOME_KINDS = ("agn", "easgd", "fedbuff", "gem")
EACH_KIND = ("agn", "easgd", "local-sgd", "fedbuff", "dana", "picky", "gem", "ringleader")
"""One of each kind: of several commits, with a memory, by their values."""


# --- the clock ---

means = st.sampled_from([0.01, 0.25, 0.5, 1.0, 3.0])
distributions = st.one_of(
    st.builds(Constant, means),  # so that messages come at the same moment
    st.builds(Constant, means),
    st.builds(Gamma, means, st.sampled_from([0.1, 1.0, 3.0])),
    st.builds(Exponential, means),
    st.builds(Lognormal, means, st.sampled_from([0.3, 2.0])),
    st.builds(Pareto, means, st.just(1.2), st.just(50.0)),
    st.builds(lambda mean, share: ShiftedExponential(mean, mean * share), means, st.sampled_from([0.0, 0.5, 1.0])),
)
nothing_or = st.just(Constant(0.0)) | distributions
bandwidths = st.sampled_from([float("inf"), 1e3, 1e6])


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    order = draw(st.sampled_from(["fifo", "random"]))
    return Profile(
        "any",
        draw(distributions),
        draw(nothing_or),
        draw(nothing_or),
        draw(nothing_or),
        order=order,
        fifo_share=draw(st.sampled_from([0.0, 0.3, 1.0])) if order == "random" else 0.0,
        bandwidth=Bandwidth(draw(bandwidths), draw(bandwidths), draw(bandwidths)),
        speeds=draw(st.sampled_from([Ladder(), Stragglers(0.3, 5.0), Profile("x", Constant(1.0)).speeds])),
        start_interval=draw(st.sampled_from([0.0, 0.25])),
    )


@st.composite
def draws_of_a_run(draw: st.DrawFn) -> Draws:
    workers = draw(st.integers(1, 12))
    phases = draw(st.lists(st.integers(1, 9), min_size=workers, max_size=workers))
    local_steps = draw(st.integers(1, 5))
    return draw_delays(draw(profiles()), draw(st.integers(0, 99)), workers, np.array(phases), local_steps, 1000)


def test_any_timeline_keeps_the_servers_rules(figure: Figure) -> None:
    """One exchange at a time, never idle while one waits, whom the order says; every worker's phases in a row."""

    @examples(400)
    @given(draws_of_a_run())
    def attempt(draws: Draws) -> None:
        timeline = simulate_timeline(draws)
        np.testing.assert_array_equal(np.bincount(timeline.worker, minlength=timeline.workers), draws.phases)
        assert (timeline.served_s >= timeline.arrive_s).all()
        free = np.concatenate([[0.0], timeline.applied_s[:-1]])
        assert (timeline.served_s >= free).all()
        for k in range(timeline.exchanges):
            unserved = timeline.arrive_s[k:]
            assert timeline.served_s[k] == max(free[k], unserved.min())
            if draws.order[k] == LONGEST:
                assert timeline.arrive_s[k] == unserved.min()
        for worker in range(timeline.workers):
            own = np.flatnonzero(timeline.worker == worker)
            first = draws.first[worker]
            np.testing.assert_array_equal(timeline.phase[own], np.arange(len(own)))
            assert timeline.start_s[own[0]] == draws.begin[worker]
            np.testing.assert_array_equal(timeline.start_s[own[1:]], timeline.resume_s[own[:-1]])
            spent = timeline.compute_end_s[own] - timeline.start_s[own]
            np.testing.assert_allclose(spent, draws.compute[first : first + len(own)], atol=1e-9)

    figure("invariants", what="timelines: the server's rules", **tried(attempt))


def test_any_timelines_staleness_adds_up_and_agrees_with_the_reference(figure: Figure) -> None:
    """Worker by worker, the versions gained from its first pull to its last commit are Σ (τ + 1)."""

    @examples(200)
    @given(draws_of_a_run())
    def attempt(draws: Draws) -> None:
        timeline = simulate_timeline(draws)
        for worker in range(timeline.workers):
            own = np.flatnonzero(timeline.worker == worker)
            assert (timeline.staleness[own] + 1).sum() == own[-1] + 1
        log = reference_log(draws)
        np.testing.assert_array_equal(timeline.worker, [row["worker"] for row in log])
        np.testing.assert_array_equal(timeline.staleness, [row["staleness"] for row in log])
        np.testing.assert_allclose(timeline.applied_s, [row["applied_s"] for row in log], rtol=1e-12, atol=1e-9)

    figure("invariants", what="timelines: staleness, and the log of the reference", **tried(attempt))


# --- the methods ---

coordinates = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=4, max_size=4).map(np.array)


def test_easgd_conserves_center_and_worker(figure: Figure) -> None:
    """What the center gains, the worker loses: their sum is as before, to the rounding of the additions."""

    @examples(300)
    @given(coordinates, coordinates, st.floats(1e-6, 1.0), st.integers(1, 50), st.integers(0, 50))
    def attempt(center: np.ndarray, end: np.ndarray, alpha: float, local_steps: int, staleness: int) -> None:
        new, following = exchanged(Easgd(alpha=alpha), [center], [center], [end], local_steps, staleness)
        largest = np.abs(center) + np.abs(end)
        np.testing.assert_array_less(
            np.abs(new[0] + following[0] - center - end), 8 * np.finfo(float).eps * largest + 1e-300
        )

    figure("invariants", what="EASGD: center and worker are conserved", **tried(attempt))


def test_where_a_worker_did_not_move_no_method_moves_the_center(figure: Figure) -> None:
    """But EASGD, which pulls the center to the worker; a worker at the center moves nothing there either."""

    @examples(200)
    @given(coordinates, coordinates, st.integers(1, 50), st.integers(0, 50))
    def attempt(center: np.ndarray, start: np.ndarray, local_steps: int, staleness: int) -> None:
        for name, optimizer in EVERY_OPTIMIZER.items():
            at = center if name in ("easgd", "eamsgd", "fedasync") else start
            with jax.enable_x64(True):
                new, following = exchanged(optimizer, [center], [at], [at], local_steps, staleness)
            np.testing.assert_array_equal(new[0], center)
            np.testing.assert_array_equal(following[0], center)

    figure("invariants", what="methods: no local step, no commit", **tried(attempt))


# --- whole runs ---

ANY_OPTIMIZER = [
    *OPTIMIZERS, "fedbuff:size=3", "stale-synchronous:ahead=0", "ringmaster:threshold=2:stops=yes",
    "local-sgd:backups=1",
]  # fmt: skip
SOME_OPTIMIZERS = (
    "agn", "easgd", "fedbuff:size=3", "stale-synchronous:ahead=0", "ringmaster:threshold=2:stops=yes",
    "local-sgd:backups=1", "dana", "malenia:size=1", "picky", "diloco",
)  # fmt: skip
SECONDS = st.sampled_from([30.0, 45.5])
WORK = st.one_of(
    st.fixed_dictionaries({"gradient_steps": st.integers(40, 160)}),
    st.fixed_dictionaries({"gradient_steps": st.integers(40, 160)}, optional={"shares": st.just("open")}),
    st.fixed_dictionaries({"seconds": SECONDS}, optional={"gradient_steps": st.integers(40, 160)}),
    st.fixed_dictionaries({"seconds": SECONDS, "gradient_steps": st.integers(40, 160), "shares": st.just("equal")}),
)
OPTIONS: dict[str, Any] = {
    "workers": st.sampled_from([1, 2, 5, 12]),
    "local_steps": st.sampled_from([1, 3]),  # each compiles
    "local_optimizer": st.just("sgd"),
    "until": st.sampled_from([None, None, "test_accuracy=0.5"]),
    "data_split": st.sampled_from(["mixed", "sharded", "dirichlet:concentration=0.5"]),
    "delays": st.sampled_from(["paper-cluster", "ideal", "stragglers", "wide-area", "pai-3"]),
    "window": st.sampled_from([0.7, 5.0, 1000.0]),
    "eval_every": st.none() | st.integers(1, 3),
    "learning_rate": st.sampled_from([0.1, 0.3, 1e12]),
    "seed": st.integers(0, 2**32 - 1),
    "batch_size": st.just(8),
    "model": st.just("mlp-8"),
}


@st.composite
def options_of_runs(draw: st.DrawFn, dataset: str, optimizers: Sequence[str] = ()) -> dict[str, Any]:
    """Runs of any optimizer, ended by time, by work, by both or at a target; with enough of it for a version."""
    options = draw(st.fixed_dictionaries({**OPTIONS, "dataset": st.just(dataset)})) | draw(WORK)
    needs_two = ("local-sgd:backups=1", "backup-workers")
    optimizers = optimizers or in_full(ANY_OPTIMIZER, SOME_OPTIMIZERS)  # each compiles
    fit = [one for one in optimizers if not (one in needs_two and options["workers"] == 1)]
    found = {**options, "optimizer": draw(st.sampled_from(fit))}
    try:
        timeline_of(resolve(found))
    except BadInput as error:
        assume("are never there" not in str(error))
    return found


def test_any_run_agrees_with_its_timeline_and_its_files_keep_every_digit(
    quick_dataset: str, tiny: Dataset, figure: Figure
) -> None:
    """Exchanges, steps and mini-batches counted three ways; and what pandas reads of a CSV file and writes is the same
    text, and the same floats as were measured.
    """
    data = _float32(tiny).train, _float32(tiny).test

    @examples(50)
    @given(options_of_runs(quick_dataset))
    def attempt(options: dict[str, Any]) -> None:
        config = resolve(options)
        result = simulate(config, data)
        summary, curve, commits = columns.summary(result), columns.curve(result), columns.commits(result.timeline)
        made, timeline = result.replay.exchanges, result.timeline
        assert timeline.exchanges == len(commits["exchange"])
        assert result.replay.losses.shape == result.replay.measured["accuracy"].shape == (made, config.local_steps)
        assert summary["gradient_steps"] == made * config.local_steps
        assert summary["sim_time_s"] == timeline.end_s <= (config.seconds or np.inf)
        if result.status == "done":
            assert made == timeline.exchanges
            assert curve["gradient_steps"][-1] == summary["gradient_steps"]
        else:
            assert made == summary["diverged_exchange"] + 1
            assert summary["test_accuracy"] == 0.25
        reached = config.until is not None and summary["reached_s"] is not None
        assert reached == (config.until is not None and result.status == "done" and summary["test_accuracy"] >= 0.5)
        whole = config.workers * config.phases
        if config.shares == "equal":
            assert timeline.exchanges + len(timeline.interrupted) <= config.exchanges == whole
            if config.seconds is None and not reached and not timeline.stranded:
                assert timeline.exchanges + len(timeline.interrupted) == whole
        elif config.gradient_steps is not None:
            assert timeline.steps.sum() + timeline.interrupted.steps.sum() <= config.gradient_steps
        by_counts = type(config.optimizer.thing).timeline is not Optimizer.timeline
        if config.rules == ASYNCHRONOUS and not by_counts:
            assert timeline.plain and "versions" not in summary
        elif by_counts and timeline.plain:
            assert "versions" not in summary
        else:
            if not by_counts:
                np.testing.assert_array_equal(timeline.version, np.cumsum(timeline.accepted) // config.rules.quorum)
            assert summary["versions"] == timeline.version[made - 1]
            assert summary["dropped"] == made - timeline.accepted[:made].sum()
        assert (np.diff(curve["gradient_steps"]) >= 0).all()
        for table in (curve, commits, {name: [value] for name, value in summary.items()}):
            text = files.csv_text(table)
            again = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
            assert again.to_csv(index=False, lineterminator="\n") == text
            for name, measured in table.items():
                if np.asarray(measured).dtype == np.float64:
                    read = [float(cell) if cell else np.nan for cell in again[name]]
                    np.testing.assert_array_equal(read, measured)

    figure("invariants", what="runs: counts agree, CSV files keep every digit", **tried(attempt))


def test_nothing_depends_on_the_progress_display_or_the_folders_name(
    quick_dataset: str, tmp_path: Path, figure: Figure
) -> None:
    number = 0

    class Talkative(Watcher):
        def progressed(self, *_: Any) -> None:
            _ = jax.device_count()  # something between two segments

    @examples(25)
    @given(
        options_of_runs(quick_dataset, in_full(ANY_OPTIMIZER, ["agn", "fedbuff:size=3"])),
        st.text("aZ09 _-éλ.", min_size=1, max_size=20).filter(lambda name: name.strip(". ")),
    )
    def attempt(options: dict[str, Any], name: str) -> None:
        nonlocal number
        number += 1
        config = resolve(options)
        folders = [tmp_path / str(number) / "plain", tmp_path / str(number) / "other" / name]
        runs = [
            sweep.run_all([config], folder, watcher).runs[0]
            for folder, watcher in zip(folders, [Watcher(), Talkative()], strict=True)
        ]
        for file in ("summary.csv", "curve.csv", "commits.csv"):
            assert (runs[0] / file).read_bytes() == (runs[1] / file).read_bytes()
        for file in ("summary.csv", "curves.csv.gz"):
            assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()

    figure("invariants", what="runs: the same in any folder, with any display", **tried(attempt))


def test_nothing_depends_on_the_number_of_processes(tmp_path: Path, figure: Figure) -> None:
    """On data that other processes have: the installed digits."""
    few = ("agn", "fedbuff:size=3", "local-sgd:backups=1", "ringmaster:threshold=2:stops=yes")
    number = 0

    @examples(2)
    @given(st.lists(options_of_runs("mnist-5k", few), min_size=8, max_size=8))
    def attempt(several: list[dict[str, Any]]) -> None:
        nonlocal number
        number += 1
        given = [{**options, "local_steps": 2} for options in several]
        configs: dict[str, RunConfig] = {config.run_id: config for config in map(resolve, given)}
        folders = {processes: tmp_path / f"{number}-{processes}" for processes in (1, 3)}
        for processes, folder in folders.items():
            assert not sweep.run_all(list(configs.values()), folder, Watcher(), Place(processes)).failures
        for file in ("summary.csv", "curves.csv.gz"):
            assert (folders[3] / file).read_bytes() == (folders[1] / file).read_bytes()

    figure("invariants", what="runs: the same from 1 and 3 processes", **tried(attempt))


# --- numbers ---


def _float32(data: Dataset) -> Dataset:
    images = (data.train_images.astype(np.float32), data.test_images.astype(np.float32))
    return Dataset("tiny", images[0], data.train_labels, images[1], data.test_labels)


def _trained(
    timeline: Timeline,
    batches: np.ndarray,
    data: Dataset,
    optimizer: str,
    initial: Any = None,
    local: str = "sgd",
    rate: float = 0.1,
) -> Any:
    return replay_timeline(
        timeline,
        batches,
        optimizer=EVERY_OPTIMIZER[optimizer],
        local=local_optimizer(local, rate, 0.9),
        problem=PERCEPTRON,
        initial=initial_params(3, np.float32) if initial is None else initial,
        train=data.train,
        test=data.test,
        evaluate_at={0, timeline.exchanges},
    )


def _timeline(optimizer: str, seed: int, workers: int = 5, phases: int = 12, local_steps: int = 3) -> Timeline:
    profile = Profile("busy", Gamma(1.0, 0.8), server=Gamma(0.3, 0.5), order="random")
    draws = draw_delays(profile, seed, workers, phases, local_steps)
    return EVERY_OPTIMIZER[optimizer].timeline(draws, EVERY_OPTIMIZER[optimizer].rules(workers), NEVER)


@pytest.mark.parametrize(
    ("optimizer", "bad"),
    [*((name, np.nan) for name in in_full(EACH_KIND, ["agn", "fedbuff"])), ("agn", np.inf), ("agn", -np.inf)],
)
def test_an_image_that_is_not_finite_is_told_with_the_exchange_that_trained_on_it(
    tiny: Dataset, optimizer: str, bad: float, figure: Figure, at_full_size: bool
) -> None:
    """Wherever it is: the first exchange, in the order applied, that has it in a mini-batch. With five workers two
    exchanges are applied at once, which compiles another program.
    """
    workers = 5 if at_full_size or optimizer == "agn" else 3

    @examples(12)
    @given(st.integers(0, 299), st.integers(0, 11), st.integers(0, 5))
    def attempt(image: int, pixel: int, seed: int) -> None:
        timeline = _timeline(optimizer, seed, workers)
        batches = shares.deal(shares.Sharded(), seed, tiny.train_labels, workers, 36, 8)
        data = _float32(tiny)
        data.train_images[image, pixel] = bad
        held = [
            image in batches[worker, 3 * phase : 3 * phase + 3]
            for worker, phase in zip(timeline.worker, timeline.phase, strict=True)
        ]
        found = _trained(timeline, batches, data, optimizer)
        assert found.diverged_exchange == (held.index(True) if any(held) else None)
        assert found.exchanges == (held.index(True) + 1 if any(held) else timeline.exchanges)

    figure(
        "invariants",
        what=f"{optimizer}: an image with {bad} is found at its exchange",
        **tried(attempt),
    )


PARAMETERS = [(0, "weights"), (1, "biases"), (2, "weights")]


@MORE_IN_FULL
@pytest.mark.parametrize(
    ("optimizer", "widths", "layer", "name", "bad"),
    [
        # These have one layer, for which a program is compiled soonest.
        *((optimizer, WIDTHS[::3], 0, "biases", np.inf) for optimizer in in_full(EVERY_OPTIMIZER, SOME_KINDS)),
        *(("agn", WIDTHS, *parameter, np.nan) for parameter in PARAMETERS),
    ],
)
def test_a_parameter_that_is_not_finite_is_told_at_the_first_exchange(
    tiny: Dataset, optimizer: str, widths: tuple[int, ...], layer: int, name: str, bad: float
) -> None:
    initial = initial_params(3, np.float32, widths)
    initial[layer][name].flat[0] = bad
    batches = shares.deal(shares.Mixed(), 0, tiny.train_labels, 3, 36, 8)
    assert (
        _trained(_timeline(optimizer, 0, workers=3), batches, _float32(tiny), optimizer, initial).diverged_exchange == 0
    )


@MORE_IN_FULL
@pytest.mark.parametrize(
    ("optimizer", "local", "dtype"),
    [
        *((name, "sgd", np.float32) for name in in_full(EVERY_OPTIMIZER, SOME_KINDS)),
        *(("agn", name, dtype) for name in LOCAL_OPTIMIZERS for dtype in (np.float32, np.float64) if name != "sgd"),
    ],
)
def test_no_number_changes_its_type(tiny: Dataset, optimizer: str, local: str, dtype: Callable[..., Any]) -> None:
    """With 64 bits allowed, so that a promotion to them shows, which JAX would otherwise round away. There are two
    workers and one layer, for which a program is compiled soonest.
    """
    data = _float32(tiny) if dtype is np.float32 else tiny
    batches = shares.deal(shares.Mixed(), 0, tiny.train_labels, 2, 36, 8)
    initial = [{"weights": np.zeros((12, 4), dtype), "biases": np.zeros(4, dtype)}]
    with jax.enable_x64(True):
        found = _trained(_timeline(optimizer, 0, workers=2), batches, data, optimizer, initial, local, 0.01)
    assert {leaf.dtype for leaf in jax.tree.leaves(found.center)} == {np.dtype(dtype)}
    assert found.losses.dtype == dtype
    assert found.measured["accuracy"].dtype == np.int32
    assert np.isfinite(found.losses).all()
