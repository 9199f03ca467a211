"""The timeline of a configuration: recorded or simulated, what is taken from a trace, and which run it then is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import reference
from test_results import Silent

from agn_bench.base import files
from agn_bench.base.inputs import BadInput
from agn_bench.base.streams import Kind, stream
from agn_bench.clock import (
    Bandwidth,
    Constant,
    Draws,
    Exponential,
    Gamma,
    GammaSpeeds,
    Ladder,
    Profile,
    Speeds,
    Stragglers,
    Tiers,
    draw_delays,
    endless,
    load_profile,
    profile_names,
)
from agn_bench.clock.endless import active_timeline
from agn_bench.clock.events import simulate_timeline
from agn_bench.clock.stops import Stop
from agn_bench.clock.timeline import Timeline
from agn_bench.clock.trace import Trace
from agn_bench.config.resolving import resolve
from agn_bench.config.run import RunConfig, with_seeds
from agn_bench.execution import sweep
from agn_bench.problems import perceptron, shares
from agn_bench.problems.catalogue import MODELS
from agn_bench.problems.datasets import Dataset
from agn_bench.training import columns
from agn_bench.training.simulate import simulate
from agn_bench.training.timing import recognised, timeline_of

COLUMNS = ("worker", "phase", "start_s", "compute_end_s", "arrive_s", "served_s", "applied_s", "resume_s", "staleness")
SMALL = {"workers": 4, "local_steps": 3, "gradient_steps": 130}
UNEVEN = "worker,applied_s\n0,1\n1,2\n0,3\n2,3.5\n0,4\n0,6\n2,7\n"
"""Worker 0 makes four exchanges, 1 one and 2 two."""


@pytest.fixture
def tiny_run(quick_dataset: str) -> Callable[..., dict[str, Any]]:
    """Options of a run of the tiny problem: four workers, ten phases of three steps."""
    base = {"dataset": quick_dataset, "model": "mlp-8", "batch_size": 8, "window": 2}
    return lambda **options: {**base, **options}


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    path = tmp_path / "uneven.csv"
    path.write_text(UNEVEN)
    return path


def written(folder: Path, config: RunConfig) -> Path:
    """The commits.csv of a configuration, without the run."""
    path = folder / "commits.csv"
    path.write_text(files.csv_text(columns.commits(timeline_of(config))))
    return path


def run_of(folder: Path, **options: Any) -> Path:
    return sweep.run_all([resolve(options)], folder, Silent()).runs[0]


def assert_same(one: Timeline, other: Timeline) -> None:
    assert (one.workers, one.local_steps) == (other.workers, other.local_steps)
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column), column)


def test_workers_phases_and_work_are_those_of_the_trace(uneven: Path) -> None:
    """λ automatic is 2 at three workers; the work is as if all made the most phases, four."""
    config = resolve({"timeline": str(uneven)})
    assert (config.workers, config.local_steps, config.phases, config.exchanges) == (3, 2, 4, 7)
    assert config.gradient_steps == 3 * 4 * 2
    assert resolve({"timeline": uneven, "local_steps": "5"}).gradient_steps == 3 * 4 * 5
    assert resolve({"timeline": uneven, "preset": "paper"}).gradient_steps == 3 * 4 * 2


def test_work_that_comes_to_as_many_phases_may_be_asked_for(uneven: Path) -> None:
    """A worker's share of 20 to 24 steps is four phases of five, and a rest that is not trained."""
    for steps in (60, 74):
        config = resolve({"timeline": uneven, "workers": 3, "local_steps": 5, "gradient_steps": steps})
        assert (config.gradient_steps, config.phases) == (steps, 4)
    assert resolve({"timeline": uneven, "local_steps": 5, "epochs": 2, "batch_size": 128}).gradient_steps == 62


def test_the_timeline_is_the_recorded_one_with_the_configurations_local_steps(uneven: Path) -> None:
    config = resolve({"timeline": uneven, "local_steps": 6, "delays": "ideal", "seed": 9})
    assert isinstance(config.delays, Trace)
    assert_same(timeline_of(config), replace(config.delays.timeline, local_steps=6))
    assert_same(timeline_of(replace(config, seed=10)), timeline_of(config))


def test_a_recorded_timeline_is_cut_off_at_a_time_and_counts_by_rules(uneven: Path) -> None:
    for seconds, rows in ((3.5, 4), (3.4, 3)):
        config = resolve({"timeline": uneven, "seconds": seconds})
        timeline = timeline_of(config)
        assert (config.gradient_steps, timeline.exchanges, timeline.end_s) == (24, rows, seconds)
    assert timeline_of(resolve({"timeline": uneven, "seconds": 100})).end_s == 7.0
    buffered = timeline_of(resolve({"timeline": uneven, "seconds": 3.5, "optimizer": "fedbuff:size=2"}))
    np.testing.assert_array_equal(buffered.version, [0, 1, 1, 2])
    fresh = timeline_of(resolve({"timeline": uneven, "optimizer": "ringmaster:threshold=3"}))
    np.testing.assert_array_equal(fresh.accepted, [True, True, True, False, True, True, True])
    for optimizer in ("local-sgd", "stale-synchronous"):
        with pytest.raises(BadInput, match="its workers go on at once, and the optimizer asks for Rules"):
            timeline_of(resolve({"timeline": uneven, "optimizer": optimizer}))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"workers": 4}, "workers=4: too large; accepted: a whole number from 3 to 3, as the timeline has"),
        ({"shares": "open"}, "shares=open: of a recorded timeline, whose work is what it holds; accepted: equal"),
        ({"workers": "2"}, "workers=2: too small; accepted: a whole number from 3 to 3, as the timeline has"),
        ({"local_steps": 0}, "local_steps=0: too small; accepted: a whole number from 1 to 651041, or auto"),
        ({"local_steps": 651_042}, "local_steps=651042: too large; accepted: a whole number from 1 to 651041"),
        ({"local_steps": 5, "gradient_steps": 59}, "gradient_steps=59: not the 4 phases of 5 local steps that the"),
        ({"local_steps": 5, "gradient_steps": 75}, "gradient_steps=75: not the 4 phases of 5 local steps"),
        ({"epochs": 40}, "epochs=40: not the 4 phases of 2 local steps"),
        ({"eval_every": 8}, "eval_every=8: too large; accepted: a whole number from 1 to 7, exchanges"),
        ({"delays": "idael"}, "delays=idael: unknown, did you mean ideal?"),
        ({"timeline": "none.csv"}, "timeline=none.csv: there is no such file"),
    ],
)
def test_what_the_trace_does_not_hold_is_refused(options: dict[str, Any], says: str, uneven: Path) -> None:
    """10⁹ images drawn are the most: at batches of 128, 651,041 steps in each of three workers' four phases."""
    with pytest.raises(BadInput) as refused:
        resolve({"timeline": uneven, **options})
    assert str(refused.value).startswith(says)


def test_the_work_that_the_trace_holds_is_named_where_other_work_is_asked_for(uneven: Path) -> None:
    with pytest.raises(BadInput) as refused:
        resolve({"timeline": uneven, "local_steps": 5, "gradient_steps": 59})
    assert refused.value.accepted == "`gradient_steps=60`, or neither `epochs` nor `gradient_steps`"


def test_a_trace_longer_than_a_run_can_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("worker,applied_s\n" + "".join(f"{i % 1000},{i}\n" for i in range(252_000)))
    with pytest.raises(BadInput, match=r"timeline=long-\w{8}: 1000 workers with up to 252 exchanges are more than"):
        resolve({"timeline": path, "batch_size": 4_000})
    assert resolve({"timeline": path, "local_steps": 1, "batch_size": 3_968}).gradient_steps == 252_000


@pytest.mark.parametrize("delays", profile_names())
def test_a_replayed_log_is_the_configuration_that_wrote_it(delays: str, tmp_path: Path) -> None:
    config = resolve({**SMALL, "delays": delays, "seed": 3})
    path = written(tmp_path, config)
    replayed = resolve({**SMALL, "timeline": path, "delays": delays, "seed": 3})
    assert replayed.run_id != config.run_id
    assert recognised(replayed) == config
    assert recognised(replayed).run_id == config.run_id
    assert recognised(resolve({"timeline": path, "local_steps": 3, "delays": delays, "seed": 3})) == replace(
        config, gradient_steps=120
    )


RULED = {
    "fedbuff": {"optimizer": "fedbuff:size=3", "seed": 3},
    "local-sgd with backups, some stranded": {"optimizer": "local-sgd:backups=1", "workers": 4},
    "interruptions": {"optimizer": "ringmaster:threshold=3:stops=yes", "seed": 3},
    "ahead": {"optimizer": "stale-synchronous:ahead=0"},
    "time": {"optimizer": "fedbuff:size=3", "seconds": 9.0, "shares": "equal"},
    "pulls": {"delay": ["server.pull=separate"]},
    "away": {
        "delay": [
            *("between_pauses.distribution=exponential", "between_pauses.mean=2"),
            *("pause.distribution=constant", "pause.mean=1"),
            *("between_failures.distribution=exponential", "between_failures.mean=4"),
            *("failure.distribution=constant", "failure.mean=1"),
            *("join.distribution=exponential", "join.mean=1"),
        ]
    },
}
ANSWERED_LATER = ("ahead", "pulls", "away")
"""What any asynchronous optimizer can be trained along, as its workers may wait for other reasons."""


@pytest.mark.parametrize("what", RULED)
def test_a_replayed_log_under_rules_is_the_configuration_that_wrote_it(what: str, tmp_path: Path) -> None:
    options = {**SMALL, "delays": "heterogeneous", **RULED[what]}
    config = resolve(options)
    timeline = timeline_of(config)
    assert not timeline.plain
    assert bool(timeline.stranded) == ("stranded" in what)
    path = written(tmp_path, config)
    replayed = resolve({**options, "timeline": path})
    assert replayed.run_id != config.run_id
    assert recognised(replayed) == config
    as_agn = resolve({**options, "timeline": path, "optimizer": "agn"})
    if what in ANSWERED_LATER:
        assert any("answered only after a later one" in note for note in as_agn.delays.notes)
        assert timeline_of(as_agn).answered.tolist() == timeline.answered.tolist()
        return
    with pytest.raises(BadInput, match="as the optimizer asks"):
        timeline_of(as_agn)


def test_a_log_is_recognised_without_delays_where_they_are_the_default(tmp_path: Path) -> None:
    config = resolve(SMALL)
    assert recognised(resolve({**SMALL, "timeline": written(tmp_path, config)})) == config


def test_a_configuration_without_a_trace_is_itself() -> None:
    config = resolve(SMALL)
    assert recognised(config) is config


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"local_steps": 4, "gradient_steps": 160}, {"model": "mlp-8-8"}, {"delay": "server.mean=0.02"}],
    ids=lambda other: min(other),
)
def test_a_log_of_another_seed_phase_model_or_profile_is_not_recognised(other: dict[str, Any], tmp_path: Path) -> None:
    """The size of the model is that of the messages, which takes time on the lines of this profile."""
    options = {**SMALL, "model": "mlp-8", "delays": "wide-area"}
    # The profile of the log is no shipped one in that case: those are all looked at.
    logged = {**options, **other} if "delay" in other else options
    replayed = options if "delay" in other else {**options, **other}
    config = resolve({**replayed, "timeline": written(tmp_path, resolve(logged))})
    assert isinstance(config.delays, Trace)
    config = replace(config, delays=replace(config.delays, required=False))
    assert recognised(config) is config
    assert config.run_id != resolve(replayed).run_id


def test_a_log_with_one_time_changed_in_the_last_digit_is_another(tmp_path: Path) -> None:
    config = resolve(SMALL)
    path = written(tmp_path, config)
    table = pd.read_csv(path)
    table.loc[39, "resume_s"] = np.nextafter(table.loc[39, "resume_s"], np.inf)
    path.write_text(files.csv_text(table))
    replayed = resolve({**SMALL, "timeline": path})
    assert recognised(replayed) is replayed
    assert replayed.run_id != config.run_id


@pytest.mark.parametrize(
    "contradiction",
    [{"delays": "ideal"}, {"delay": "server.mean=0.3"}, {"delays": "paper-cluster", "seed": 1}],
    ids=["delays", "delay", "seed"],
)
def test_delays_asked_for_beside_a_timeline_must_be_those_that_give_it(
    contradiction: dict[str, Any], tmp_path: Path
) -> None:
    path = written(tmp_path, resolve(SMALL))
    config = resolve({**SMALL, "timeline": path, **contradiction})
    with pytest.raises(BadInput) as refused:
        recognised(config)
    name = "ideal" if "ideal" in contradiction.values() else "paper-cluster"
    assert str(refused.value).startswith(f"delays={name}")
    assert f"not what timeline={config.delays.name} holds, with seed {config.seed}" in str(refused.value)
    with pytest.raises(BadInput, match="not what timeline"):
        sweep.run_all([config], tmp_path / "out", Silent())
    assert not (tmp_path / "out").exists()


def test_further_seeds_replay_the_same_times_under_names_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path, resolve(SMALL))
    configs = [recognised(config) for config in with_seeds(resolve({**SMALL, "timeline": path}), 3)]
    assert configs[0] == resolve(SMALL)
    assert [isinstance(config.delays, Trace) for config in configs] == [False, True, True]
    assert len({config.run_id for config in configs}) == 3
    assert_same(timeline_of(configs[2]), timeline_of(configs[0]))


def test_the_identity_of_a_trace_is_its_name_and_content_not_its_place(uneven: Path, tmp_path: Path) -> None:
    config = resolve({"timeline": uneven})
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / "uneven.csv"
    copy.write_text(UNEVEN)
    assert resolve({"timeline": copy}).run_id == config.run_id
    assert config.as_dict()["delays"] == {"trace": config.delays.name}
    assert str(tmp_path) not in json.dumps(config.as_dict()) + config.command()
    assert "--timeline uneven.csv" in config.command()
    copy.write_text(UNEVEN.replace("7\n", "7.5\n"))
    assert resolve({"timeline": copy}).run_id != config.run_id


@pytest.mark.parametrize(
    "options",
    [
        {"delays": "paper-cluster", "optimizer": "dynsgd"},
        {"delays": "wide-area", "seed": 5, "local_optimizer": "adam"},
        {"optimizer": "downpour", "learning_rate": 1e20},
        {"optimizer": "fedbuff:size=3"},
        {"optimizer": "local-sgd:backups=1", "delays": "heterogeneous", "seed": 3},
    ],
    ids=["dynsgd", "wide-area", "diverging", "fedbuff", "backups"],
)
def test_a_run_replayed_from_its_own_log_gives_the_same_bytes(
    options: dict[str, Any], tiny_run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    options = tiny_run(**SMALL, **options)
    run = run_of(tmp_path / "one", **options)
    again = run_of(tmp_path / "again", **options, timeline=run / "commits.csv")
    assert again.name == run.name
    for name in ("summary.csv", "curve.csv", "commits.csv"):
        assert (again / name).read_bytes() == (run / name).read_bytes()
    status = json.loads((again / "run.json").read_text())["status"]
    assert status == ("diverged" if "learning_rate" in options else "done")


def test_a_log_under_another_name_gives_the_same_training(
    tiny_run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Without what would be recognised: no shipped profile gives the log."""
    run = run_of(tmp_path / "one", **tiny_run(**SMALL, delay="server.mean=0.3"))
    again = run_of(tmp_path / "again", **tiny_run(**SMALL, timeline=run / "commits.csv"))
    assert again.name != run.name
    one, other = (pd.read_csv(folder / "curve.csv").drop(columns="run_id") for folder in (run, again))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert (again / "commits.csv").read_bytes() == (run / "commits.csv").read_bytes()
    assert pd.read_csv(again / "summary.csv")["delays"].iloc[0].startswith("commits-")


def test_workers_with_unequal_work_train_to_the_end(
    tiny_run: Callable[..., dict[str, Any]], uneven: Path, tmp_path: Path
) -> None:
    run = run_of(tmp_path / "out", **tiny_run(timeline=uneven, local_steps=5))
    row, curve = pd.read_csv(run / "summary.csv").iloc[0], pd.read_csv(run / "curve.csv")
    assert (row["status"], row["workers"], row["exchanges"], row["gradient_steps"]) == ("done", 3, 7, 35)
    assert (row["sim_time_s"], row["mean_queue_wait_s"], row["server_utilization"]) == (7.0, 0.0, 0.0)
    assert row["mean_staleness"] == (0 + 1 + 1 + 3 + 1 + 0 + 2) / 7
    assert curve["gradient_steps"].iloc[-1] == 35
    assert curve["time_s"].iloc[-1] >= 7.0


def test_workers_with_unequal_work_learn_what_the_reference_learns(
    tiny: Dataset, tiny_run: Callable[..., dict[str, Any]], uneven: Path
) -> None:
    """In float32 against float64: 20 steps a worker at most, each with a relative error of some 1e-6."""
    config = resolve(tiny_run(timeline=uneven, local_steps=5, learning_rate=0.1, seed=2))
    images, tests = tiny.train_images.astype(np.float32), tiny.test_images.astype(np.float32)
    result = simulate(config, ((images, tiny.train_labels), (tests, tiny.test_labels)))
    log = [
        {"worker": worker, "phase": phase, "staleness": staleness}
        for worker, phase, staleness in [(0, 0, 0), (1, 0, 1), (0, 1, 1), (2, 0, 3), (0, 2, 1), (0, 3, 0), (2, 1, 2)]
    ]
    batches = shares.deal(shares.Mixed(), 2, tiny.train_labels, 3, 20, 8, pooled_steps=60)
    initial = perceptron.initial_params(stream(2, Kind.PARAMETERS), (12, 8, 4))
    _, losses, correct = reference.train(log, batches, tiny.train_images, tiny.train_labels, initial, "agn", "sgd", 0.1)
    np.testing.assert_allclose(result.replay.losses, losses, rtol=1e-4)
    np.testing.assert_array_equal(result.replay.measured["accuracy"], correct)


def test_a_message_is_the_models_parameters_in_float32() -> None:
    assert resolve({"preset": "paper"}).message_bytes == 19_192_040
    assert resolve({"model": "mlp-10"}).message_bytes == 4 * (785 * 10 + 11 * 10)


def test_a_message_takes_the_time_of_its_bytes_on_the_wide_area_lines() -> None:
    """19.2 MB at 12.5 MB a second are 1.54 s, and 19 ms at the server; latencies around 50 ms come on top of it.

    The mean of 200 latencies with deviation 25 ms, within 4 standard errors.
    """
    config = resolve({"preset": "paper", "delays": "wide-area", "workers": 4, "gradient_steps": 400, "local_steps": 2})
    timeline = timeline_of(config)
    transfer = 19_192_040 / 12.5e6
    for seconds in (timeline.arrive_s - timeline.compute_end_s, timeline.resume_s - timeline.applied_s):
        assert transfer < seconds.min() < transfer + 0.05 < seconds.max()
        assert seconds.mean() == pytest.approx(transfer + 0.05, abs=4 * 0.025 / np.sqrt(200))
    service = timeline.applied_s - timeline.served_s
    assert 19_192_040 / 1e9 < service.min() < 19_192_040 / 1e9 + 0.005
    light = timeline_of(replace(config, model=MODELS.choose("mlp-8")))
    assert (light.arrive_s - light.compute_end_s).max() < 1


ACTIVE = [
    pytest.param(Profile("ladder", Gamma(1.0, 0.3), server=Constant(1e-3), speeds=Ladder()), 200, id="ladder"),
    pytest.param(
        Profile("ladder", Gamma(1.0, 0.3), server=Constant(0.5), order="random", speeds=Ladder()), 200, id="saturated"
    ),
    pytest.param(
        Profile("slow", Exponential(1.0), server=Constant(1.0), order="random", speeds=Stragglers(0.1, 50.0)),
        30,
        id="stragglers",
    ),
    pytest.param(Profile("fast", Constant(1.0), server=Constant(2.0), speeds=Stragglers(0.1, 1e-5)), 20, id="one-fast"),
    pytest.param(
        Profile("gamma", Gamma(1.0, 0.3), order="random", fifo_share=0.3, speeds=GammaSpeeds(1.0)), 20, id="gamma"
    ),
    pytest.param(Profile("late", Gamma(1.0, 0.3), server=Constant(0.2), start_interval=40.0), 10, id="late"),
    pytest.param(
        Profile("lines", Exponential(1.0), server=Gamma(0.1, 0.5), bandwidth=Bandwidth(100, 50, 5e3)), 10, id="lines"
    ),
    pytest.param(Profile("two", Constant(1.0), speeds=Tiers((1.0, 1e6), (1.0, 1.0))), 2, id="two"),
]
"""Estimated rates that are right, and ones that are wrong by far since the server has no time for more."""


@pytest.mark.parametrize(("profile", "workers"), ACTIVE)
def test_active_workers_never_stop(profile: Profile, workers: int) -> None:
    """As if each had more phases than there are exchanges at all."""
    for exchanges in (1, 40, 3000):
        plenty = draw_delays(profile, 6, workers, exchanges + 1, 2, 1000)
        assert_same(
            active_timeline(profile, 6, workers, 2, 1000, exchanges), simulate_timeline(plenty, stop=Stop(exchanges))
        )


@pytest.mark.parametrize("speeds", [Ladder(), Stragglers(0.1, 50.0), GammaSpeeds(1.0)], ids=lambda speeds: repr(speeds))
def test_where_none_waits_the_first_draws_of_active_workers_last(
    speeds: Speeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are not many more than needed: a fifth, and 11 a worker."""
    drawn = []

    def draw(*arguments: Any, **named: Any) -> Draws:
        drawn.append(draw_delays(*arguments, **named))
        return drawn[-1]

    monkeypatch.setattr(endless, "draw_delays", draw)
    active_timeline(Profile("free", Gamma(1.0, 0.3), speeds=speeds), 3, 40, 2, 0, 20_000)
    (draws,) = drawn
    assert draws.phases.sum() <= 1.2 * 20_000 + 11 * 40


@pytest.mark.parametrize(("profile", "workers"), ACTIVE)
def test_a_longer_active_timeline_begins_with_the_shorter_one(profile: Profile, workers: int) -> None:
    """A limit between the sizes that are compiled, too: 20,000 and 40,000 exchanges."""
    for exchanges in (1, 77, 20_000):
        one, two = (active_timeline(profile, 2, workers, 3, 1000, count) for count in (exchanges, 2 * exchanges))
        assert (one.exchanges, two.exchanges) == (exchanges, 2 * exchanges)
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(one, column), getattr(two, column)[:exchanges], column)


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profiles_give_active_timelines_that_are_prefixes_of_longer_ones(name: str) -> None:
    one, two = (active_timeline(load_profile(name), 1, 40, 4, 940_584, count) for count in (3000, 6000))
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(one, column), getattr(two, column)[:3000], column)


def test_a_trace_without_any_time_trains_to_the_end(tiny_run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "instant.csv"
    path.write_text("worker,applied_s\n" + "0,0\n1,0\n" * 5)
    run = run_of(tmp_path / "out", **tiny_run(timeline=path, local_steps=2))
    assert pd.read_csv(run / "summary.csv")["exchanges"].iloc[0] == 10
