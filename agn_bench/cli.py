"""The command line: parse, print, exit codes. What the commands do is in the modules they call.

Nothing heavy is imported before a command needs it, so that --help answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from agn_bench import __version__
from agn_bench.inputs import BadInput
from agn_bench.machine import DEVICES
from agn_bench.registry import (
    DATA_SPLITS,
    DATASETS,
    DEFAULT_ALPHA,
    DEFAULT_MOMENTUM,
    DEFAULTS,
    EVALUATIONS,
    LOCAL_OPTIMIZERS,
    METHODS,
    MODELS,
    PRESETS,
)

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="How does asynchronous training behave when workers are stale, slow and many?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a run failed, 2 bad usage or input, 130 interrupted."""
    try:
        code = app(arguments, prog_name="agn-bench", standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except BadInput as error:
        sys.exit(_complain(str(error), EXIT_BAD_INPUT))
    except OSError as error:
        sys.exit(_complain(f"failed: {error}", EXIT_FAILED))
    except Exception as error:
        # Typer's own complaints about usage; the class is not public in every release, its message is.
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()  # empty where the help was printed instead
        sys.exit(_complain(f"{message} (see --help)", EXIT_BAD_INPUT) if message else EXIT_BAD_INPUT)
    if code == EXIT_INTERRUPTED:
        _complain("interrupted; what was finished is kept", code)
    sys.exit(code)


def _complain(message: str, code: int) -> int:
    print(f"agn-bench: {message}", file=sys.stderr)
    return code


@contextmanager
def _interrupts_wait() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait for the next call of the function that is handed out; a second one stops at once.

    JAX was seen to crash when an exception hit its import, or left computations in flight at exit, and to lose one
    that was raised in its garbage collection.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        if asked:
            os.write(2, b"\x1b[?25h" if sys.stderr.isatty() else b"")  # the cursor, hidden by the live display
            os._exit(EXIT_INTERRUPTED)
        asked = True
        _complain("interrupting … (once more to stop at once)", EXIT_INTERRUPTED)

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, before)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"agn-bench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def _option(text: str, metavar: str, panel: str) -> Any:
    """An option taken as text: config.resolve validates it, with one kind of message for the whole program."""
    return typer.Option(help=text, metavar=metavar, rich_help_panel=panel, show_default=False)


def _names(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"


def _preset_default(option: str) -> str:
    return ", ".join(f"{name}: {options[option]}" for name, options in PRESETS.items() if option in options)


_RATES = ", ".join(f"{name}: {entry.learning_rate:g}" for name, entry in LOCAL_OPTIMIZERS.items())
_SPLITS = "; ".join(f"{name}: {what}" for name, what in DATA_SPLITS.items())
_METHOD, _WORK, _PROBLEM, _TIME, _RUN = "Method", "Work", "Problem", "Time", "Running and files"


@app.command()
def run(
    context: typer.Context,
    optimizer: Annotated[
        str | None, _option(f"{_names(METHODS)}; default {DEFAULTS['optimizer']}.", "NAME", _METHOD)
    ] = None,
    workers: Annotated[str | None, _option(f"Workers, n; default {DEFAULTS['workers']}.", "N", _METHOD)] = None,
    local_steps: Annotated[
        str | None,
        _option(
            "Mini-batch steps between two exchanges, λ; auto: the smallest stable at staleness n − 1; default auto.",
            "N",
            _METHOD,
        ),
    ] = None,
    alpha: Annotated[
        str | None, _option(f"Elastic force of easgd, a fraction; default {DEFAULT_ALPHA}.", "X", _METHOD)
    ] = None,
    local_optimizer: Annotated[
        str | None,
        _option(
            f"Workers' own steps: {_names(LOCAL_OPTIMIZERS)}; default {_preset_default('local_optimizer')}.",
            "NAME",
            _METHOD,
        ),
    ] = None,
    learning_rate: Annotated[str | None, _option(f"Of the local optimizer; default {_RATES}.", "X", _METHOD)] = None,
    momentum: Annotated[
        str | None, _option(f"Of --local-optimizer momentum; default {DEFAULT_MOMENTUM}.", "X", _METHOD)
    ] = None,
    reset_local_optimizer: Annotated[
        bool,
        typer.Option(
            "--reset-local-optimizer", help="Clear its state at each pull; default off.", rich_help_panel=_METHOD
        ),
    ] = False,
    preset: Annotated[
        str | None,
        _option(
            f"Settings: {_names(PRESETS)} (seconds, or the full size); default {DEFAULTS['preset']}.", "NAME", _WORK
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        _option(
            f"Passes over the training images, by all workers together; default {_preset_default('epochs')}.",
            "X",
            _WORK,
        ),
    ] = None,
    gradient_steps: Annotated[
        str | None,
        _option(
            f"Mini-batch steps by all workers, instead of --epochs; default {_preset_default('gradient_steps')}.",
            "N",
            _WORK,
        ),
    ] = None,
    batch_size: Annotated[
        str | None, _option(f"Images a mini-batch; default {DEFAULTS['batch_size']}.", "N", _WORK)
    ] = None,
    model: Annotated[
        str | None,
        _option(
            f"{_names(MODELS)}, or hidden widths as in mlp-300-100; default {_preset_default('model')}.",
            "NAME",
            _PROBLEM,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        _option(f"{_names(DATASETS)}; default {_preset_default('dataset')}.", "NAME", _PROBLEM),
    ] = None,
    data_dir: Annotated[
        str | None,
        _option(
            "Folder of the four IDX files, plain or .gz; default the variable AGN_BENCH_DATA_DIR.", "DIR", _PROBLEM
        ),
    ] = None,
    data_split: Annotated[
        str | None,
        _option(f"{_SPLITS}; default {DEFAULTS['data_split']}.", "NAME", _PROBLEM),
    ] = None,
    delays: Annotated[
        str | None, _option(f"Profile of step, network and server times; default {DEFAULTS['delays']}.", "NAME", _TIME)
    ] = None,
    window: Annotated[
        str | None,
        _option(f"Simulated seconds a point of the curve averages over; default {DEFAULTS['window']:g}.", "S", _TIME),
    ] = None,
    eval_every: Annotated[
        str | None,
        _option(f"Exchanges between evaluations on the test set; default {EVALUATIONS} times, evenly.", "N", _TIME),
    ] = None,
    seed: Annotated[str | None, _option("Of parameters, data order and delays; default 0.", "N", _RUN)] = None,
    seeds: Annotated[str | None, _option("Runs, with seeds counting up from --seed; default 1.", "N", _RUN)] = None,
    threads: Annotated[str | None, _option("CPU threads; default all cores.", "N", _RUN)] = None,
    device: Annotated[str | None, _option(f"{_names(DEVICES)}; default auto.", "NAME", _RUN)] = None,
    out: Annotated[
        str, _option("Experiment folder to write to; default results/adhoc.", "DIR", _RUN)
    ] = "results/adhoc",
    force: Annotated[
        bool, typer.Option("--force", help="Repeat runs that are finished already; default off.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Train with many simulated asynchronous workers: one configuration, one or several seeds.

    Writes run.json, summary.csv, curve.csv and commits.csv for each seed.
    """
    from agn_bench.config import resolve, with_seeds

    elsewhere = ("seeds", "data_dir", "threads", "device", "out", "force")
    config = resolve({name: value for name, value in context.params.items() if name not in elsewhere})
    configs = with_seeds(config, 1 if seeds is None else seeds)
    with _interrupts_wait() as stop_if_asked:
        from agn_bench import machine

        machine.prepare(threads, device)

        from agn_bench.display import RunDisplay, show_runs
        from agn_bench.sweep import run_all

        stop_if_asked()
        console = _console()
        with RunDisplay(console, stop_if_asked) as display:
            folder = None if data_dir is None else _path("data_dir", data_dir)
            runs = run_all(configs, _path("out", out), display, data_dir=folder, force=force)
        stop_if_asked()
    show_runs(console, config, runs)


_FOLDERS = Annotated[list[str], typer.Argument(help="Experiment folders: summary.csv and curves.csv.", metavar="DIR…")]
_ACCURACY = Annotated[
    str,
    _option("train_accuracy: the workers' mini-batches, as the paper; test_accuracy: the center.", "NAME", "Options"),
]


@app.command()
def table(
    folders: _FOLDERS,
    at: Annotated[
        str, _option("Accuracy at these simulated seconds; default 30,60,120.", "S,S…", "Options")
    ] = "30,60,120",
    reach: Annotated[
        str, _option("Simulated seconds to these accuracies, fractions; default 0.8,0.9,0.95.", "X,X…", "Options")
    ] = "0.8,0.9,0.95",
    accuracy: _ACCURACY = "train_accuracy",
    out: Annotated[
        str | None, _option("CSV file to write; default DIR/tables/accuracy.csv, in the first DIR.", "FILE", "Options")
    ] = None,
) -> None:
    """Accuracy at given times and time to given accuracies, a row a configuration, mean ± deviation over seeds."""
    from agn_bench import comparison, results, tables
    from agn_bench.inputs import choose, numbers

    times = numbers("at", at, 0, 1e12)
    targets = numbers("reach", reach, 0, 1)
    choose("accuracy", accuracy, results.ACCURACIES)
    places = [_path("DIR", folder) for folder in folders]
    path = places[0] / "tables" / "accuracy.csv" if out is None else _path("out", out)
    configurations = comparison.read_configurations(places, accuracy)
    results.check_file("out", path)
    rows = tables.accuracy_table(configurations, times, targets)
    results.write_table(path, rows)

    from agn_bench.display import show_path, show_rows

    console = _console()
    for title, shown in tables.readable(configurations, rows).items():
        show_rows(console, title, shown)
    console.print(f"  {accuracy}; area: its mean over the first {rows[0]['area_until_s']:.1f} s")
    show_path(console, path)


@app.command()
def plot(
    folders: _FOLDERS,
    accuracy: _ACCURACY = "train_accuracy",
    out: Annotated[
        str | None,
        _option("Picture to write, without its ending; default DIR/figures/accuracy-over-time.", "FILE", "Options"),
    ] = None,
) -> None:
    """Draw accuracy against simulated time, a line a configuration with a band over seeds, as PNG and SVG."""
    from agn_bench import comparison, results
    from agn_bench.figures.accuracy import accuracy_over_time
    from agn_bench.inputs import choose

    choose("accuracy", accuracy, results.ACCURACIES)
    places = [_path("DIR", folder) for folder in folders]
    stem = places[0] / "figures" / "accuracy-over-time" if out is None else _path("out", out)
    stem = stem.with_suffix("") if stem.suffix in (".png", ".svg") else stem
    configurations = comparison.read_configurations(places, accuracy)
    results.check_file("out", stem)
    for path in accuracy_over_time(configurations, accuracy, stem):
        print(path)


@app.command(name="list")
def list_names(
    what: Annotated[
        str | None,
        typer.Argument(
            help="optimizers, local-optimizers, models, datasets, delays or presets; default all.", metavar="WHAT"
        ),
    ] = None,
) -> None:
    """What there is to choose from: optimizers, models, data sets, delay profiles, presets."""
    from agn_bench import catalogue
    from agn_bench.display import show_rows
    from agn_bench.inputs import choose

    wanted = catalogue.SECTIONS if what is None else [choose("WHAT", what, catalogue.SECTIONS)]
    for name in wanted:
        show_rows(_console(), name, catalogue.SECTIONS[name]())


def _path(option: str, text: str) -> Path:
    if not text.strip():
        raise BadInput(option, repr(text), "empty", "a path")
    return Path(text)


def _console() -> Any:
    from rich.console import Console

    return Console()
