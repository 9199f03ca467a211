"""The program as a library, and a run made again from its run.json."""

from __future__ import annotations

import ast
import inspect
import json
import pickle
import pydoc
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agn_bench
from agn_bench import (
    BadInput,
    Ended,
    Failed,
    Point,
    RunConfig,
    RunsFailed,
    Started,
    commits,
    curve,
    run,
    run_many,
    save,
    summary,
)
from agn_bench.clock import load_profile, profile_names, profile_of
from agn_bench.config.options import OPTIONS
from agn_bench.config.resolving import resolve
from agn_bench.execution.events import Listener
from agn_bench.execution.one import load_once
from agn_bench.problems import datasets, perceptron
from agn_bench.store import folder as folders
from agn_bench.store.run_files import CENTER, read_config
from agn_bench.training.records import Progress

Command = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parent.parent

TINY: dict[str, Any] = {
    "dataset": "tiny",
    "model": "mlp-8",
    "workers": 4,
    "local_steps": 3,
    "gradient_steps": 130,
    "batch_size": 8,
}
WORDS = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", value)]


@pytest.fixture
def config(quick_dataset: str) -> RunConfig:
    return RunConfig.of(optimizer="easgd", **TINY)


def right(center: Any, data: tuple[Any, Any]) -> int:
    """How many images the center classifies correctly."""
    return int(perceptron.loss(center, *data)[1])


def test_a_run_gives_what_the_command_writes(command: Command, config: RunConfig, tmp_path: Path) -> None:
    result = run(config)
    assert command("run", *WORDS, "--optimizer", "easgd", "--out", tmp_path / "by command")[0] == 0
    (there,) = (tmp_path / "by command" / "runs").iterdir()
    pd.testing.assert_frame_equal(curve(result), pd.read_csv(there / "curve.csv").drop(columns="run_id"))
    pd.testing.assert_frame_equal(commits(result), pd.read_csv(there / "commits.csv"), check_dtype=False)
    (row,) = pd.read_csv(there / "summary.csv").to_dict("records")
    assert {name: row[name] for name in ("run_id", "test_accuracy", "sim_time_s")} == {
        name: summary(result)[name] for name in ("run_id", "test_accuracy", "sim_time_s")
    }

    mine = save(result, tmp_path / "saved")
    for name in ("summary.csv", "curve.csv", "commits.csv"):
        assert (mine / name).read_bytes() == (there / name).read_bytes()
    assert set(pd.read_csv(tmp_path / "saved" / "summary.csv")["run_id"]) == {config.run_id}


def test_a_run_that_another_process_makes_is_not_saved_over_it(config: RunConfig, tmp_path: Path) -> None:
    result = run(config)
    program = "import sys; from pathlib import Path; from agn_bench.store.folder import claim; "
    program += "held = claim(Path(sys.argv[1])); print('held', flush=True); input(); held.release()"
    run_folder = tmp_path / "runs" / config.run_id
    command = [sys.executable, "-c", program, str(run_folder)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(BadInput, match="another process is making this run"):
        save(result, tmp_path)
    assert not run_folder.exists()
    other.communicate("\n", timeout=60)
    assert folders.damage(save(result, tmp_path)) == ""


def test_a_run_is_not_saved_among_a_sweeps_with_other_threads(config: RunConfig, tmp_path: Path) -> None:
    result = run(config)
    save(result, tmp_path)
    folders.plan(tmp_path, "some", "", 1, [config.run_id])
    record = tmp_path / "runs" / config.run_id / "run.json"
    record.write_text(re.sub(r'"threads": \d+', '"threads": 99', record.read_text()))
    with pytest.raises(BadInput, match="made with 99"):
        save(result, tmp_path)


def test_its_own_commits_are_recognised_as_on_the_command_line(config: RunConfig, tmp_path: Path) -> None:
    first = save(run(config), tmp_path)
    again = run(RunConfig.of(optimizer="easgd", timeline=str(first / "commits.csv"), **TINY))
    assert again.config.run_id == config.run_id
    with pytest.raises(BadInput, match="not what timeline"):
        run(RunConfig.of(optimizer="easgd", timeline=str(first / "commits.csv"), delays="ideal", **TINY))


PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
EXAMPLES = [
    *re.findall(r"((?:^    .*\n|^\n(?=    ))+)", agn_bench.library.__doc__ or "", flags=re.MULTILINE),
    *re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL),
]


@pytest.mark.parametrize(
    ("example", "says"),
    list(zip(EXAMPLES, ("test_accuracy", "are trained", "1120 of 2000", "easgd", "stopped"), strict=True)),
    ids=["one", "several", "page: one", "page: several", "page: ended"],
)
def test_its_examples_run(quick_dataset: str, capsys: pytest.CaptureFixture[str], example: str, says: str) -> None:
    smaller = inspect.cleandoc(example).replace(
        "gradient_steps=2_000", "dataset='tiny', model='mlp-8', gradient_steps=2_000"
    )
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(smaller.replace("run_many(configs)", "run_many(configs, jobs=1)"), scope)
    assert says in capsys.readouterr().out
    assert [layer["weights"].shape for layer in scope["result"].replay.center] == [(12, 8), (8, 4)]


def test_the_public_names_are_there_and_no_others() -> None:
    assert all(getattr(agn_bench, name) is not None for name in agn_bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = agn_bench.train
    with pytest.raises(BadInput, match="workers=0: too small"):
        RunConfig.of(workers=0)
    with pytest.raises(BadInput, match="worker: unknown, did you mean workers"):
        RunConfig.of(worker=3)


# --- what it shows of itself ---


def test_help_and_dir_show_what_there_is() -> None:
    shown = pydoc.render_doc(agn_bench, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert set(agn_bench.__all__) <= set(dir(agn_bench))
    for name in set(agn_bench.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", shown)
    assert "Make several runs" in shown and "Train one model" in shown


def test_the_options_of_a_configuration_are_in_its_signature_and_help() -> None:
    parameters = inspect.signature(RunConfig.of).parameters
    assert list(parameters) == list(OPTIONS)
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in parameters.values())
    assert {name: one.default for name, one in parameters.items()} == {
        name: one.default for name, one in OPTIONS.items()
    }
    assert RunConfig.of(**{name: one.default for name, one in parameters.items()}).run_id == RunConfig.of().run_id
    shown = RunConfig.of.__doc__ or ""
    assert all(f"\n    {name}: " in shown for name in OPTIONS)
    assert "--" not in shown and "`epochs`" not in shown


@pytest.mark.kind("messages of the library that speak of the command line")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 1, "gradient_steps": 2}, "epochs=1: given together with gradient_steps=2; accepted: one of epochs"),
        ({"gradient_steps": 0}, "gradient_steps=0: too small; accepted: "),
        ({"local_optimizer": "sgd:learning_rate=1", "learning_rate": 2}, "with local_optimizer=sgd:learning_rate=1"),
        ({"eval_every": 0}, "eval_every=0: too small; accepted: a whole number from 1 to 740, exchanges, or auto"),
        ({"timeline": "none.csv"}, "timeline=none.csv: there is no such file"),
        ({"delay": "server"}, "delay=server: not TABLE.KEY=VALUE"),
        ({"optimiser": "agn"}, "optimiser: unknown, did you mean optimizer?; accepted: optimizer, workers"),
        ({"seconds": 1e9, "delays": "ideal"}, "simulated seconds, or gradient_steps too"),
    ],
    ids=["work twice", "work", "rate twice", "evaluations", "file", "setting", "unknown", "too long"],
)
def test_messages_speak_of_arguments(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        RunConfig.of(**options)
    assert says in str(refused.value)
    assert "--" not in str(refused.value)
    assert "`" not in str(pickle.loads(pickle.dumps(refused.value)))


def test_below_the_command_line_no_message_names_a_flag() -> None:
    """They name options in backticks, and who shows them spells these (see base.inputs.spelled)."""
    for path in sorted((ROOT / "agn_bench").rglob("*.py")):
        if "cli" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                texts = [text.value for text in ast.walk(node.exc) if isinstance(text, ast.Constant)]
                assert not any(re.search(r"(^|\s)--[a-z]", text) for text in texts if isinstance(text, str)), path


# --- what ends a run ---


class Enough(Exception):
    """Raised by a user's function."""


def test_what_a_callback_raises_carries_the_run_until_then(config: RunConfig) -> None:
    def follow(event: object) -> None:
        if isinstance(event, Point) and event.exchanges >= 10:
            raise Enough

    whole = run(config)
    with pytest.raises(Enough) as raised:
        run(config, on_event=follow)
    result = raised.value.result  # type: ignore[attr-defined]
    assert result.status == "stopped"
    assert 10 <= result.replay.exchanges < whole.replay.exchanges
    assert "attribute `result`" in raised.value.__notes__[0]
    # What there is of it is the beginning of the whole run, and its center the one that was tested last.
    np.testing.assert_array_equal(result.replay.losses, whole.replay.losses[: result.replay.exchanges])
    assert len(commits(result)) == result.replay.exchanges
    tested = right(result.replay.center, load_once(config.trains, None)[1])
    assert result.replay.evaluations[-1] == (result.replay.exchanges, {"accuracy": tested / 100})
    assert summary(result)["test_accuracy"] == tested / 100
    assert curve(result)["time_s"].iloc[-1] < curve(whole)["time_s"].iloc[-1]


def test_a_callback_ends_a_run_by_answering_true(config: RunConfig, tmp_path: Path) -> None:
    result = run(config, on_event=lambda event: isinstance(event, Point) and event.exchanges >= 10)
    assert (result.status, result.replay.exchanges < config.exchanges) == ("stopped", True)
    # It is not the run of its name.
    with pytest.raises(BadInput, match="was stopped by on_event"):
        save(result, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert run(config, on_event=lambda event: 1).status == "done"


def test_a_target_reached_is_a_result(config: RunConfig, tmp_path: Path) -> None:
    result = run(replace(config, until="test_accuracy=0.3"))
    assert (result.status, result.replay.reached) == ("done", True)
    assert summary(result)["reached_s"] == result.timeline.end_s <= curve(result)["time_s"].max()
    save(result, tmp_path)


@pytest.mark.kind("settings that come too late and are ignored")
@pytest.mark.parametrize("given", [{"threads": 7}, {"device": "gpu"}], ids=["threads", "device"])
@pytest.mark.parametrize("of", [run, lambda config, **given: run_many([config], **given)], ids=["run", "run_many"])
def test_threads_and_device_are_refused_after_jax_has_started(
    config: RunConfig, given: dict[str, Any], of: Callable[..., Any]
) -> None:
    (name,) = given
    with pytest.raises(BadInput, match=rf"{name}={given[name]}: JAX has started in this process, (with 2|on the cpu)"):
        of(config, **given)
    assert run(config, threads=2, device="cpu").status == "done"  # as it has started


# --- several ---


def test_several_runs_come_back_in_order(config: RunConfig) -> None:
    configs = [replace(config, seed=seed) for seed in (3, 1, 2, 1)]
    told: list[int] = []

    def follow(event: object) -> None:
        if isinstance(event, Ended):
            told.append(event.result.config.seed)

    results = run_many(configs, jobs=1, on_event=follow)
    assert [result.config for result in results] == configs
    assert sorted(told) == [1, 2, 3]
    assert results[1] is results[3]
    alone = run(configs[0])
    np.testing.assert_array_equal(results[0].replay.losses, alone.replay.losses)
    np.testing.assert_array_equal(results[0].replay.center[0]["weights"], alone.replay.center[0]["weights"])
    assert run_many([]) == []


def test_several_runs_in_processes_are_those_of_one() -> None:
    configs = [RunConfig.of(workers=2, gradient_steps=20, local_steps=5, seed=seed) for seed in (1, 0)]
    for there, here in zip(run_many(configs, jobs=2), run_many(configs, jobs=1), strict=True):
        assert there.config == here.config
        np.testing.assert_array_equal(there.replay.losses, here.replay.losses)


def test_a_run_that_fails_takes_no_other_with_it(config: RunConfig) -> None:
    bad = replace(config, window=1e-3, delays=load_profile("ideal"), seed=9)
    with pytest.raises(RunsFailed, match=r"1 of 2 runs failed\n  easgd-.*BadInput: window=0.001: too short") as raised:
        run_many([replace(bad, delays=profile_of({"name": "slow", "step": {"distribution": "constant", "mean": 1e4}})),
                  config], jobs=1)  # fmt: skip
    assert [result is None for result in raised.value.results] == [True, False]


def test_what_ends_several_runs_carries_those_that_were_made(config: RunConfig) -> None:
    def refuse(event: object) -> None:
        if isinstance(event, Ended):
            raise Enough

    with pytest.raises(Enough) as raised:
        run_many([config, replace(config, seed=1)], jobs=1, on_event=refuse)
    results = raised.value.results  # type: ignore[attr-defined]
    assert [result is None for result in results] == [False, True]


# --- what becomes of runs ---


def test_a_run_is_told_from_its_beginning_to_its_end(config: RunConfig) -> None:
    """Points go on; the mini-batches since the last one, and an evaluation where there was one, are in each of them."""
    events: list[Any] = []
    result = run(config, on_event=events.append)
    first, *points, last = events
    assert first == Started(config) and isinstance(last, Ended) and last.result is result
    assert all(isinstance(point, Point) and point.config == config for point in points)
    assert points[-1].exchanges == points[-1].exchanges_total == config.exchanges
    assert points[-1].gradient_steps == result.gradient_steps
    assert points[-1].time_s == result.timeline.applied_s[-1]
    ends = [0, *(point.exchanges for point in points)]
    assert ends == sorted(set(ends))
    tested = {evaluation.version: evaluation.values["accuracy"] for evaluation in result.replay.evaluations}
    for begun, point in zip(ends, points, strict=False):
        losses = result.replay.losses[begun : point.exchanges]
        assert point.measures["train_loss"] == pytest.approx(losses.mean(), rel=1e-5)
        assert point.measures.get("test_accuracy") == tested.get(point.exchanges)
        assert point.gradient_steps == 3 * point.exchanges
    assert {*points[-1].measures} == {"train_loss", "train_accuracy", "test_accuracy"}


def test_a_run_that_is_made_twice_is_told_once(config: RunConfig) -> None:
    """As one that diverges is, to see where."""
    events: list[Any] = []
    listener = Listener(events.append)
    for exchanges in (10, 20, 10, 20, 30):
        listener.progressed(
            config, Progress(exchanges, 40, 1.0, {"loss": 2.0}, {"accuracy": 0.5}, 3 * exchanges, False)
        )
    assert [event.exchanges for event in events] == [10, 20, 30]


def test_a_run_that_fails_is_told(config: RunConfig) -> None:
    slow = profile_of({"name": "slow", "step": {"distribution": "constant", "mean": 1e4}})
    bad = replace(config, window=1e-3, delays=slow)
    events: list[Any] = []
    with pytest.raises(BadInput, match="window"):
        run(bad, on_event=events.append)
    assert [type(event) for event in events] == [Started, Failed] and isinstance(events[1].error, BadInput)
    with pytest.raises(RunsFailed):
        run_many([bad, config], jobs=1, on_event=events.append)
    kinds = [(type(event), event.config) for event in events[2:] if not isinstance(event, Point)]
    assert sorted(kinds, key=str) == sorted(
        [(Started, bad), (Failed, bad), (Started, config), (Ended, config)], key=str
    )


def test_what_is_raised_at_a_point_of_several_runs_ends_them_all(config: RunConfig) -> None:
    """Those that were made until then are kept, and the one that was cut short is not taken for a whole one."""
    made: list[Any] = []

    def follow(event: object) -> None:
        if isinstance(event, Point) and made:
            raise Enough
        if isinstance(event, Ended):
            made.append(event.config)

    configs = [replace(config, seed=seed) for seed in (0, 1, 2)]
    with pytest.raises(Enough) as raised:
        run_many(configs, jobs=1, on_event=follow)
    results = raised.value.results  # type: ignore[attr-defined]
    assert [result.config for result in results if result is not None] == made == configs[:1]


@pytest.mark.parametrize("kind", [Started, Ended])
def test_what_is_raised_at_either_end_loses_nothing(config: RunConfig, kind: type) -> None:
    def follow(event: object) -> None:
        if isinstance(event, kind):
            raise Enough

    with pytest.raises(Enough) as raised:
        run(config, on_event=follow)
    assert getattr(raised.value, "result", None) is None if kind is Started else raised.value.result.status == "done"  # type: ignore[attr-defined]


def several(*configs: RunConfig, **given: Any) -> None:
    run_many(configs, jobs=1, **given)


@pytest.mark.parametrize("of", [run, several])
def test_whatever_ends_a_run_early_is_its_last_event(
    config: RunConfig, of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the training, or what the function itself raises, at a point or when the run begins."""

    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    def follow(event: Any) -> None:
        events.append(event)
        if isinstance(event, raises):
            raise Enough(type(event))

    def ended_by(error: type[BaseException]) -> BaseException:
        events.clear()
        with pytest.raises(error) as raised:
            of(config, on_event=follow)
        first, *_, last = events
        assert first == Started(config) and last == Failed(config, raised.value)
        assert [type(event) for event in events if not isinstance(event, Point)] == [Started, Failed]
        return raised.value

    events: list[Any] = []
    raises: tuple[type, ...]
    for kind in (Started, Point):
        raises = (kind,)
        assert ended_by(Enough).args == raises
        raises = (kind, Failed)
        assert ended_by(Enough).args == (kind,)
    raises = ()
    for module in ("one", "processes"):
        monkeypatch.setattr(f"agn_bench.execution.{module}.make", interrupted)
    ended_by(KeyboardInterrupt)


@pytest.mark.parametrize("of", [run, several])
def test_what_the_function_raised_counts_more_than_what_failed_after_it(
    config: RunConfig, of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(config: RunConfig, terms: object, on_progress: Callable[[Progress], object], *checks: object) -> None:
        assert on_progress(Progress(1, 40, 1.0, {"loss": 2.0}, {}, 3, False))
        raise ValueError("later")

    def follow(event: Any) -> None:
        events.append(event)
        if isinstance(event, Point):
            raise Enough

    events: list[Any] = []
    for module in ("one", "processes"):
        monkeypatch.setattr(f"agn_bench.execution.{module}.make", failing)
    with pytest.raises(Enough) as raised:
        of(config, on_event=follow)
    assert events[-1] == Failed(config, raised.value)
    assert len(events) == 3


def test_what_a_function_answers_ends_none_of_several_runs(config: RunConfig) -> None:
    assert [result.status for result in run_many([config], jobs=1, on_event=lambda event: True)] == ["done"]


# --- the center ---


@pytest.mark.parametrize("processes", ["one", "several"])
def test_the_saved_center_is_the_one_that_was_tested(
    command: Command, config: RunConfig, tmp_path: Path, processes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read back without pickle, it classifies as many test images as the run says."""
    seeds = 1 if processes == "one" else 2
    if seeds > 1:  # other processes know nothing of the tiny data set
        monkeypatch.setattr("agn_bench.base.machine.runs_at_once", lambda: 1)
    words = ("run", *WORDS, "--optimizer", "easgd", "--seeds", seeds, "--save-center", "--out", tmp_path)
    assert command(*words)[0] == 0
    data = datasets.load("tiny")
    for folder in (tmp_path / "runs").iterdir():
        saved = np.load(folder / CENTER, allow_pickle=False)
        assert list(saved) == ["biases_0", "weights_0", "biases_1", "weights_1"]
        assert all(array.dtype == np.float32 for array in saved.values())
        center = [{"weights": saved[f"weights_{i}"], "biases": saved[f"biases_{i}"]} for i in (0, 1)]
        (row,) = pd.read_csv(folder / "summary.csv").to_dict("records")
        assert right(center, data.test) / len(data.test_labels) == row["test_accuracy"]
        assert right(center, data.train) / len(data.train_labels) == row["train_accuracy"]
    assert CENTER in command(*words)[1]


def test_a_finished_run_without_its_center_is_made_again_for_it(
    command: Command, quick_dataset: str, tmp_path: Path
) -> None:
    words = ("run", *WORDS, "--out", tmp_path)
    command(*words)
    (folder,) = (tmp_path / "runs").iterdir()
    before = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    assert not (folder / CENTER).exists()
    assert "not repeated" not in command(*words, "--save-center")[1]
    assert (folder / CENTER).is_file()
    assert {path.name: path.read_bytes() for path in folder.glob("*.csv")} == before
    assert "not repeated" in command(*words, "--save-center")[1]
    assert "not repeated" in command(*words)[1]
    (folder / CENTER).write_bytes(b"other")
    code, _, err = command(*words)
    assert (code, "center.npz was changed" in err) == (2, True)


# --- again from run.json ---

AGAIN = [
    {"optimizer": "easgd:alpha=0.1", "eval_every": 7, "seed": 3},
    {"local_optimizer": "momentum", "reset_local_optimizer": True, "data_split": "sharded"},
    {"data_split": "dirichlet:concentration=0.25"},
    {"delays": "stragglers", "delay": ["server.mean=0.02", "up.distribution=constant", "up.mean=1e+0"]},
]


@pytest.mark.parametrize("options", AGAIN, ids=str)
def test_a_run_is_made_again_from_its_run_json_or_from_provenance(
    quick_dataset: str, tmp_path: Path, options: dict[str, Any]
) -> None:
    """By its run.json, its folder, and where these would be if they were here."""
    config = RunConfig.of(**{**TINY, **options})
    folder = save(run(config), tmp_path)
    places = (folder / "run.json", folder)
    with_folder = [resolve({}, read_config(place)) for place in places]
    shutil.rmtree(tmp_path / "runs")
    for again in with_folder + [resolve({}, read_config(place)) for place in places]:
        assert again == config
        assert again.command() == config.command()


def test_a_run_that_is_nowhere_is_refused(command: Command, config: RunConfig, tmp_path: Path) -> None:
    folder = save(run(config), tmp_path / "out")
    shutil.rmtree(folder)
    provenance = tmp_path / "out" / "provenance.json"
    other = folder.with_name("agn-n1-l1-s0-00000000")
    for place, says in (
        (other, f"is not here, and {provenance} has no configuration of it"),
        (other / "run.json", f"is not here, and {provenance} has no configuration of it"),
        (tmp_path / "elsewhere" / "runs" / config.run_id, "there is no such file"),
        (tmp_path / "out" / config.run_id, "there is no such file"),
        (tmp_path / "out" / "tables" / config.run_id, "there is no such file"),
    ):
        code, out, err = command("run", "--like", place)
        assert (code, out) == (2, "")
        assert err.startswith(f"agn-bench: --like {place}: {says}; accepted: ")
        assert len(err.splitlines()) == 1
    provenance.write_text(json.dumps({config.run_id: {"command": "made before its configuration was kept"}}))
    code, _, err = command("run", "--like", folder)
    assert (code, "has no configuration of it" in err) == (2, True)


def test_a_profile_of_ones_own_comes_back_from_run_json(quick_dataset: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'description = "x"\n[step]\ndistribution = "gamma"\nmean = 1\ncv = 0.5\n[workers]\nspeeds = "tiers"\n'
        'factors = [1, 2]\nweights = [1, 1]\n[server]\ndistribution = "constant"\nmean = 0.1\norder = "random"\n'
    )
    config = RunConfig.of(**TINY, delays=str(tmp_path / "mine.toml"), delay=["server.mean=0.2"])
    again = resolve({}, config.as_dict())
    assert again.run_id == config.run_id
    assert again.delays.as_dict() == config.delays.as_dict()
    other = resolve({"delay": ["server.mean=0.3"]}, config.as_dict())
    assert other.delays.server.moments().mean == 0.3


def test_options_given_beat_those_of_the_run_and_what_belonged_to_others_goes(quick_dataset: str) -> None:
    like = RunConfig.of(optimizer="easgd:alpha=0.2", learning_rate=0.07, **TINY)
    assert resolve({"seed": 4}, like.as_dict()) == replace(like, seed=4)
    assert resolve({"optimizer": "easgd"}, like.as_dict()) == like
    agn = resolve({"optimizer": "agn"}, like.as_dict())
    assert (agn.optimizer.text, agn.local_optimizer.text) == ("agn", "sgd:learning_rate=0.07")
    adam = resolve({"local_optimizer": "adam"}, like.as_dict())
    assert (adam.local_optimizer.text, adam.optimizer.text) == ("adam:learning_rate=0.001", "easgd:alpha=0.2")
    assert resolve({"epochs": 5}, like.as_dict()).gradient_steps == 5 * 300 // 8


def test_what_a_run_has_and_the_default_has_not_can_be_taken_back(
    command: Command, config: RunConfig, tmp_path: Path
) -> None:
    like = replace(config, reset_local_optimizer=True, eval_every=7)
    (tmp_path / "run.json").write_text(json.dumps({"config": like.as_dict()}))
    words = ("--no-reset-local-optimizer", "--eval-every", "auto")
    code, _, _ = command("run", "--like", tmp_path / "run.json", *words, "--out", tmp_path / "out")
    assert code == 0
    assert [run.name for run in (tmp_path / "out" / "runs").iterdir()] == [config.run_id]


def test_a_recorded_timeline_is_not_in_run_json(command: Command, quick_dataset: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("worker,applied_s\n0,1\n1,2\n0,3\n1,4\n")
    few = ("--dataset", "tiny", "--model", "mlp-8", "--batch-size", 8, "--local-steps", 2)
    assert command("run", *few, "--timeline", tmp_path / "mine.csv", "--out", tmp_path / "out")[0] == 0
    (folder,) = (tmp_path / "out" / "runs").iterdir()
    words = ("run", "--like", folder / "run.json", "--out", tmp_path / "out")
    code, _, err = command(*words)
    assert (code, "the recorded timeline's file, or --delays" in err) == (2, True)
    assert "not repeated" in command(*words, "--timeline", tmp_path / "mine.csv")[1]
    assert command(*words, "--delays", "ideal")[0] == 0


def test_times_from_a_file_are_not_in_run_json(quick_dataset: str, tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("s\n1\n2\n")
    (tmp_path / "mine.toml").write_text('[step]\ndistribution = "empirical"\nfile = "times.csv"\ncolumn = "s"\n')
    config = RunConfig.of(**TINY, delays=str(tmp_path / "mine.toml"))
    with pytest.raises(BadInput, match="drawn from a file"):
        resolve({}, config.as_dict())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content.pop("config"), "holds no configuration"),
        (lambda content: content["config"].pop("seed"), "holds no configuration"),
        (lambda content: content["config"].update(extra=1), "holds no configuration"),
        (lambda content: content.update(config=[1]), "holds no configuration"),
        (lambda content: content["config"].update(workers=0), "its workers 0 cannot be used"),
        (lambda content: content["config"].update(workers="four"), "its workers"),
        (lambda content: content["config"].update(optimizer=["agn"]), "its optimizer"),
        (lambda content: content["config"].update(delays={"name": "x"}), "its delays"),
        (lambda content: content["config"].update(delays={"name": "../x\n"}), "its delays"),
        (lambda content: content["config"].update(delays=[]), "its delays"),
        (lambda content: content["config"].update(local_optimizer="momentum:momentum=2"), "its local_optimizer"),
    ],
)
def test_a_run_json_that_was_changed_is_refused(
    command: Command, config: RunConfig, tmp_path: Path, change: Callable[[Any], object], says: str
) -> None:
    content = {"config": config.as_dict()}
    change(content)
    (tmp_path / "run.json").write_text(json.dumps(content))
    code, out, err = command("run", "--like", tmp_path / "run.json", "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.startswith(f"agn-bench: --like {tmp_path / 'run.json'}: ")
    assert says in err
    assert not (tmp_path / "out").exists()


def test_a_preset_beside_a_run_is_refused(command: Command, config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"config": config.as_dict()}))
    code, _, err = command("run", "--like", tmp_path / "run.json", "--preset", "quick")
    assert (code, "one of --preset and --like" in err) == (2, True)


def test_shipped_profiles_come_back_as_themselves() -> None:
    for name in profile_names():
        assert profile_of(load_profile(name).as_dict()) == load_profile(name)
