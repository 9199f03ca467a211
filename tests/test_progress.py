"""What a log, which is no terminal, says while work goes on: something at least every minute, with the time left."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from agn_bench import RunConfig
from agn_bench.cli import progress
from agn_bench.cli.progress import RunDisplay, StepDisplay
from agn_bench.execution import processes
from agn_bench.execution.one import make
from agn_bench.training.records import Progress

Command = Callable[..., tuple[int, str, str]]

KIND = "a log that is silent for minutes"


@pytest.fixture
def minute(monkeypatch: pytest.MonkeyPatch) -> float:
    """What is a minute here, s; the tests wait for two of them."""
    monkeypatch.setattr(progress, "_SECONDS_SILENT", 0.1)
    return 0.12


@pytest.fixture
def config(quick_dataset: str) -> RunConfig:
    return RunConfig.of(dataset="tiny", model="mlp-8", workers=4, local_steps=3, gradient_steps=120, batch_size=8)


def half(config: RunConfig) -> Progress:
    batch, center = {"accuracy": 0.5, "loss": 2.0}, {"accuracy": 0.25}
    return Progress(config.exchanges // 2, config.exchanges, 1.5, batch, center, 60, True)


@pytest.mark.kind(KIND)
def test_a_run_says_how_far_it_is(config: RunConfig, minute: float) -> None:
    said = io.StringIO()
    with RunDisplay(Console(file=said, width=200)) as display:
        display.started(config)
        time.sleep(2 * minute)
        assert f"{config.run_id}: compiling …" in said.getvalue()
        display.progressed(config, half(config))
        before = said.getvalue().count("\n")
        time.sleep(2 * minute)
        later = said.getvalue().splitlines()[before:]
    assert re.fullmatch(rf"{config.run_id}: 20/40 exchanges, 2 s simulated, 0.500 train, .* \d+ s left", later[0])


@pytest.mark.kind(KIND)
def test_a_sweep_says_how_far_it_is(config: RunConfig, minute: float) -> None:
    said = io.StringIO()
    other = replace(config, seed=1)
    with RunDisplay(Console(file=said, width=200), several=[config, other]) as display:
        time.sleep(2 * minute)
        assert said.getvalue().startswith("[0/2] 0 % of the work is done, the time left is not known yet\n")
        display.started(config)
        display.progressed(config, half(config))
        time.sleep(2 * minute)
        assert re.search(r"\[0/2\] 25 % of the work is done, about \d+ s left\n$", said.getvalue())
        display.ended(config, make(config))
    assert re.search(rf"\[1/2\] {config.run_id}: done, .* \(about \d+ s left\)\n$", said.getvalue())


@pytest.mark.kind(KIND)
@pytest.mark.parametrize("total", [4, None], ids=["of so many", "of nobody knows how many"])
def test_a_step_says_how_far_it_is(total: int | None, minute: float) -> None:
    said = io.StringIO()
    with StepDisplay(Console(file=said, width=200), "measuring", total) as display:
        time.sleep(2 * minute)
        assert said.getvalue().startswith("measuring: preparing …, 0 s so far\n")
        display.step("the first")
        time.sleep(2 * minute)
    last = said.getvalue().splitlines()[-1]
    left = r"measuring: 1/4 the first, about \d s left" if total else r"measuring: the first, \d s so far"
    assert re.fullmatch(left, last)


@pytest.mark.kind(KIND)
def test_the_command_says_it_while_it_makes_a_run(
    command: Command, config: RunConfig, minute: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*given: object) -> object:
        time.sleep(2 * minute)
        return make(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(processes, "make", slowly)
    file = tmp_path / "some.toml"
    file.write_text(
        'name = "some"\n[base]\ndataset = "tiny"\nmodel = "mlp-8"\nbatch_size = 8\nworkers = 4\nlocal_steps = 3\n'
        "[[cells]]\ngradient_steps = 120\n"
    )
    code, out, _ = command("sweep", file, "--out", tmp_path / "out", "--jobs", 1)
    assert (code, "[0/1] 0 % of the work is done" in out) == (0, True)


def test_a_terminal_is_said_nothing_more(config: RunConfig, minute: float) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    with StepDisplay(Console(file=screen, width=200, force_terminal=True), "measuring", 4):
        time.sleep(2 * minute)
    assert "preparing" not in screen.getvalue()
