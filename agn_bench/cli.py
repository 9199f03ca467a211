"""The command line: parse, print, exit codes. What the commands do is in the modules they call.

Nothing heavy is imported before a command needs it, so that --help answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agn_bench import __version__
from agn_bench.config import DEFAULT_ALPHA, DEFAULT_MOMENTUM, DEFAULTS, EVALUATIONS
from agn_bench.inputs import BadInput

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
        code = app(arguments, prog_name="agn-bench", standalone_mode=False)
    except BadInput as error:
        sys.exit(_complain(str(error), EXIT_BAD_INPUT))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(_complain("interrupted; what was finished is kept", EXIT_INTERRUPTED))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
    except Exception as error:
        # Typer's own complaints about usage; the class is not public, its message is.
        if not hasattr(error, "format_message"):
            raise
        sys.exit(_complain(f"{error.format_message()} (see --help)", EXIT_BAD_INPUT))
    sys.exit(code or 0)


def _complain(message: str, code: int) -> int:
    print(f"agn-bench: {message}", file=sys.stderr)
    return code


def _version(wanted: bool) -> None:
    if wanted:
        print(f"agn-bench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    pass


def _option(help: str, metavar: str, panel: str) -> Any:
    """An option taken as text: config.resolve validates it, with one kind of message for the whole program."""
    return typer.Option(help=help, metavar=metavar, rich_help_panel=panel, show_default=False)


_METHOD, _WORK, _PROBLEM, _TIME, _RUN = "Method", "Work", "Problem", "Time", "Running and files"


@app.command()
def run(
    context: typer.Context,
    preset: Annotated[str | None, _option("quick (seconds) or paper (full size) settings. [quick]", "NAME", _WORK)] = None,
    optimizer: Annotated[str | None, _option("agn, easgd, dynsgd or downpour. [agn]", "NAME", _METHOD)] = None,
    workers: Annotated[str | None, _option(f"Workers, n. [{DEFAULTS['workers']}]", "N", _METHOD)] = None,
    local_steps: Annotated[
        str | None,
        _option("Mini-batch steps between two exchanges, λ; auto: the smallest stable one at staleness n − 1. [auto]", "N", _METHOD),
    ] = None,
    alpha: Annotated[str | None, _option(f"Elastic force of easgd, a fraction. [{DEFAULT_ALPHA}]", "X", _METHOD)] = None,
    local_optimizer: Annotated[
        str | None, _option("Workers' own steps: sgd, momentum or adam. [quick: sgd, paper: adam]", "NAME", _METHOD)
    ] = None,
    learning_rate: Annotated[
        str | None, _option("Of the local optimizer. [sgd: 0.3, momentum: 0.03, adam: 0.001]", "X", _METHOD)
    ] = None,
    momentum: Annotated[str | None, _option(f"Of --local-optimizer momentum. [{DEFAULT_MOMENTUM}]", "X", _METHOD)] = None,
    reset_local_optimizer: Annotated[
        bool, typer.Option("--reset-local-optimizer", help="Clear its state at each pull. [off]", rich_help_panel=_METHOD)
    ] = False,
    epochs: Annotated[
        str | None, _option("Passes over the training images, by all workers together. [paper: 40]", "X", _WORK)
    ] = None,
    gradient_steps: Annotated[
        str | None, _option("Mini-batch steps, by all workers together; instead of --epochs. [quick: 10400]", "N", _WORK)
    ] = None,
    batch_size: Annotated[str | None, _option(f"Images a mini-batch. [{DEFAULTS['batch_size']}]", "N", _WORK)] = None,
    model: Annotated[
        str | None,
        _option("mlp-small, mlp-paper, or hidden widths as in mlp-300-100. [quick: mlp-small, paper: mlp-paper]", "NAME", _PROBLEM),
    ] = None,
    dataset: Annotated[
        str | None, _option("mnist-5k, mnist or fashion-mnist. [quick: mnist-5k, paper: mnist]", "NAME", _PROBLEM)
    ] = None,
    data_dir: Annotated[
        str | None, _option("Folder of the four IDX files, plain or .gz. [the variable AGN_BENCH_DATA_DIR]", "DIR", _PROBLEM)
    ] = None,
    data_split: Annotated[
        str | None, _option("mixed: every worker sees all the data; sharded: its own n-th. [mixed]", "NAME", _PROBLEM)
    ] = None,
    delays: Annotated[str | None, _option("Profile of step, network and server times. [paper-cluster]", "NAME", _TIME)] = None,
    window: Annotated[
        str | None, _option(f"Simulated seconds a point of the curve averages over. [{DEFAULTS['window']:g}]", "S", _TIME)
    ] = None,
    eval_every: Annotated[
        str | None, _option(f"Exchanges between evaluations on the test set. [{EVALUATIONS} times, evenly]", "N", _TIME)
    ] = None,
    seed: Annotated[str | None, _option("Of parameters, data order and delays. [0]", "N", _RUN)] = None,
    seeds: Annotated[str | None, _option("Runs, with seeds counting up from --seed. [1]", "N", _RUN)] = None,
    threads: Annotated[str | None, _option("CPU threads. [all cores]", "N", _RUN)] = None,
    device: Annotated[str | None, _option("auto, cpu or gpu. [auto]", "NAME", _RUN)] = None,
    out: Annotated[str, _option("Experiment folder to write to. [results/adhoc]", "DIR", _RUN)] = "results/adhoc",
    force: Annotated[
        bool, typer.Option("--force", help="Repeat runs that are finished already. [off]", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Train with many simulated asynchronous workers: one configuration, one or several seeds.

    Writes run.json, summary.csv, curve.csv and commits.csv for each seed. Defaults in brackets.
    """
    from agn_bench import machine
    from agn_bench.config import resolve, with_seeds

    elsewhere = ("seeds", "data_dir", "threads", "device", "out", "force")
    config = resolve({name: value for name, value in context.params.items() if name not in elsewhere})
    configs = with_seeds(config, 1 if seeds is None else seeds)
    machine.prepare(threads, device)

    from agn_bench.display import RunDisplay, show_runs
    from agn_bench.sweep import run_all

    console = _console()
    with RunDisplay(console) as display:
        runs = run_all(configs, Path(out), display, data_dir=None if data_dir is None else Path(data_dir), force=force)
    show_runs(console, config, runs)


def _console() -> Any:
    from rich.console import Console

    return Console()
