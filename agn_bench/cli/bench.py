"""The program's own speed: bench timeline, bench training, bench optimizers, bench runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agn_bench.base.inputs import BadInput, choose, whole_number
from agn_bench.cli import options
from agn_bench.cli.base import Commands, app, facts_of, option, path, reporting
from agn_bench.config.options import OPTIMIZER, RUN, WORK

bench = Commands(help="The program's own speed against its limits.")
app.add_typer(bench, name="bench")


@bench.command(name="timeline")
def bench_timeline(
    context: typer.Context,
    exchanges: Annotated[str, option("Exchanges of each timeline; default 1000000.", "N", WORK)] = "1000000",
    repetitions: Annotated[
        str, option("Times that each is measured, in turn; medians are shown; default 5.", "N", RUN)
    ] = "5",
    threads: options.Threads = None,
    out: Annotated[str, option("Folder to write to; default results/adhoc/benchmarks.", "DIR", RUN)] = (
        "results/adhoc/benchmarks"
    ),
) -> None:
    """Measure how many exchanges the event simulation makes per second of the wall clock, draws included, compared with
    a heapq loop on the same draws.

    Writes timeline.csv, and rules.csv: the same where workers wait for one another, commits are dropped, or several are
    served at once. It checks too that the loop serves the same workers in the same order at the same times.

    ```console
    agn-bench bench timeline --exchanges 100000 --repetitions 3
    ```
    """
    from agn_bench.clock.timeline import MOST_EXCHANGES

    count = whole_number("exchanges", exchanges, 10_000, MOST_EXCHANGES)
    times = whole_number("repetitions", repetitions, 1, 1000)
    folder = path("out", out)
    with reporting(threads, folder) as (terminal, stop_if_asked):
        from agn_bench.base import files
        from agn_bench.cli.display import show_path, show_rows
        from agn_bench.cli.progress import StepDisplay
        from agn_bench.studies.benchmarks.rules import CASES, rules_benchmark
        from agn_bench.studies.benchmarks.timeline import TIMELINE_CELLS, timeline_benchmark

        steps = TIMELINE_CELLS * times + len(CASES) * (times + 1)
        with StepDisplay(terminal, "measuring", steps, stop_if_asked) as display:
            rows = list(timeline_benchmark(count, times, display.step))
            ruled = list(rules_benchmark(count, times, display.step))
        files.write_table(folder / "timeline.csv", rows)
        files.write_table(folder / "rules.csv", ruled)
        files.record_provenance(folder, {"bench timeline": facts_of(context)})
    shown = [
        {
            "workers": row["workers"],
            "order": row["order"],
            "exchanges/s": f"{row['exchanges_per_s']:,.0f}",
            "cost / that of 40": f"{row['cost_over_40_workers']:.1f}",
            "heapq, times": f"{row['times_as_fast_as_heapq']:.2f}",
            "same order": "yes" if row["same_order"] else "NO",
        }
        for row in rows
    ]
    show_rows(terminal, f"event simulation, {count:,} exchanges, median of {times}", shown)
    shown = [
        {
            "rules": row["rules"],
            "workers": row["workers"],
            "exchanges/s": f"{row['exchanges_per_s']:,.0f}",
            "interrupted": f"{row['interrupted']:,}",
        }
        for row in ruled
    ]
    show_rows(terminal, "with rules", shown)
    show_path(terminal, folder, "timeline.csv, rules.csv")


_MODELS = ("mlp-small", "mlp-paper", "cnn", "transformer")
_OPTIMIZERS = ("sgd", "adam")


@bench.command(name="training")
def bench_training(
    context: typer.Context,
    model: Annotated[
        str | None, option("mlp-small, mlp-paper, cnn or transformer; default all.", "NAME", OPTIMIZER)
    ] = None,
    local_optimizer: Annotated[str | None, option("sgd or adam; default both.", "NAME", OPTIMIZER)] = None,
    peers: Annotated[
        str | None,
        option("Folder of other programs to compare with; default experiments/peers if it is there.", "DIR", OPTIMIZER),
    ] = None,
    repetitions: Annotated[
        str, option("Times that each is measured, in turn; medians are shown; default 5.", "N", RUN)
    ] = "5",
    threads: options.Threads = None,
    device: options.Device = None,
    out: Annotated[str, option("Folder to write to; default results/adhoc/benchmarks.", "DIR", RUN)] = (
        "results/adhoc/benchmarks"
    ),
) -> None:
    """Measure what a simulated run costs compared with the same bare training steps, and what those cost compared with
    plain matrix products.

    It measures two multilayer perceptrons, a convolutional network and a transformer, with SGD and Adam, with 1, 15 and
    40 local steps and with 1, 40 and (mlp-small) 400 workers; evaluation and recording are included. It also measures
    peak memory, the cost of AGN's normalization, and the loops that one would otherwise write. Each of these cases is a
    row of training.csv, which is written after every one; rows of other cases that it has are kept.

    ```console
    agn-bench bench training --model mlp-small --local-optimizer sgd
    ```
    """
    models = _MODELS if model is None else [choose("model", model, _MODELS)]
    optimizers = _OPTIMIZERS if local_optimizer is None else [choose("local_optimizer", local_optimizer, _OPTIMIZERS)]
    times = whole_number("repetitions", repetitions, 1, 1000)
    folder = path("out", out)
    scripts = _scripts(Path("experiments/peers") if peers is None else path("peers", peers), peers is not None)
    with reporting(threads, folder, device) as (terminal, stop_if_asked):
        from agn_bench.base import files
        from agn_bench.cli.display import show_path, show_rows
        from agn_bench.cli.progress import StepDisplay
        from agn_bench.studies.benchmarks.training import cells, merge_rows, training_benchmark

        wanted = cells(models, optimizers)
        total = len(wanted) * (2 + len(scripts) + times)
        facts = facts_of(context)
        rows = []
        with StepDisplay(terminal, "measuring", total, stop_if_asked) as display:
            for row in training_benchmark(wanted, times, scripts, display.step):
                rows.append(row | {"commit": (facts["machine"]["commit"] or {}).get("id"), "made": facts["made"]})
                merge_rows(folder / "training.csv", rows)
                files.record_provenance(folder, {"bench training": facts})
    shown = [
        {
            "model": row["model"],
            "with": row["local_optimizer"],
            "λ": row["local_steps"],
            "n": row["workers"],
            "bare ms": f"{row['bare_step_ms']:.2f}",
            "of SGEMM %": f"{100 * row['bare_over_sgemm']:.0f}",
            "simulated / bare": f"{row['simulation_over_bare']:.3f}",
            **{
                f"{name} / simulated": f"{row[f'{name}_over_simulation']:.2f}" if f"{name}_step_ms" in row else "–"
                for name in scripts
            },
            "peak MB": f"{row['peak_mb']:.0f}",
        }
        for row in rows
    ]
    show_rows(terminal, f"a gradient step, median of {times}", shown)
    show_path(terminal, folder / "training.csv")


@bench.command(name="optimizers")
def bench_optimizers(
    context: typer.Context,
    optimizer: Annotated[str | None, option("A shipped optimizer; default all.", "NAME", OPTIMIZER)] = None,
    repetitions: Annotated[
        str, option("Times that each is measured, in turn with AGN; medians are shown; default 5.", "N", RUN)
    ] = "5",
    threads: options.Threads = None,
    device: options.Device = None,
    out: Annotated[str, option("Folder to write to; default results/adhoc/benchmarks.", "DIR", RUN)] = (
        "results/adhoc/benchmarks"
    ),
) -> None:
    """Measure what a gradient step costs with each optimizer compared with AGN's, and what each keeps in memory, with
    the small model, SGD, 15 local steps and 40 workers. Writes optimizers.csv.

    ```console
    agn-bench bench optimizers --optimizer dana --repetitions 3
    ```
    """
    from agn_bench.optimizers import OPTIMIZERS

    names = (*OPTIMIZERS,) if optimizer is None else (choose("optimizer", optimizer, [*OPTIMIZERS]),)
    times = whole_number("repetitions", repetitions, 1, 1000)
    folder = path("out", out)
    with reporting(threads, folder, device) as (terminal, stop_if_asked):
        from agn_bench.base import files
        from agn_bench.cli.display import show_path, show_rows
        from agn_bench.cli.progress import StepDisplay
        from agn_bench.studies.benchmarks.optimizers import optimizers_benchmark

        with StepDisplay(terminal, "measuring", len(names) * (times + 1), stop_if_asked) as display:
            rows = list(optimizers_benchmark(times, names, display.step))
        files.write_table(folder / "optimizers.csv", rows)
        files.record_provenance(folder, {"bench optimizers": facts_of(context)})
    shown = [
        {
            "optimizer": row["optimizer"],
            "step ms": f"{row['step_ms']:.3f}",
            "/ AGN's": f"{row['step_over_agn']:.2f}",
            "kept MB": f"{row['held_mb']:.1f}",
            "memory / AGN's": f"{row['held_over_agn']:.2f}",
            "needs": row["needs"],
        }
        for row in rows
    ]
    show_rows(terminal, f"a gradient step, median of {times}", shown)
    show_path(terminal, folder / "optimizers.csv")


@bench.command(name="runs")
def bench_runs(
    context: typer.Context,
    repetitions: Annotated[
        str, option("Times that each is measured, in turn; medians are shown; default 5.", "N", RUN)
    ] = "5",
    out: Annotated[str, option("Folder to write to; default results/adhoc/benchmarks.", "DIR", RUN)] = (
        "results/adhoc/benchmarks"
    ),
) -> None:
    """Measure whole commands with the quick preset: how soon the first result is there, and what four seeds take
    compared with one. Writes runs.csv.

    ```console
    agn-bench bench runs --repetitions 3
    ```
    """
    times = whole_number("repetitions", repetitions, 1, 1000)
    folder = path("out", out)
    with reporting(None, folder) as (terminal, stop_if_asked):
        from agn_bench.base import files
        from agn_bench.cli.display import show_path, show_rows
        from agn_bench.cli.progress import StepDisplay
        from agn_bench.studies.benchmarks.runs import COMMANDS, runs_benchmark

        with StepDisplay(terminal, "measuring", COMMANDS * times, stop_if_asked) as display:
            rows = runs_benchmark(times, display.step)
        files.write_table(folder / "runs.csv", rows)
        files.record_provenance(folder, {"bench runs": facts_of(context)})
    shown = [{"": row["figure"], **{name: f"{row[name]:.2f}" for name in ("median", "least", "most")}} for row in rows]
    show_rows(terminal, f"agn-bench run --optimizer agn --workers 40, {times} times", shown)
    show_path(terminal, folder / "runs.csv")


def _scripts(folder: Path, required: bool) -> dict[str, Path]:
    """The peers' scripts by name."""
    found = {script.stem: script for script in sorted(folder.glob("*.py"))}
    if required and not found:
        raise BadInput("peers", folder, "no such programs", "a folder of Python scripts such as experiments/peers")
    return found
