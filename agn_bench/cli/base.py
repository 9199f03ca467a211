"""The application itself: exit codes, complaints, interrupts, and what all commands' options are made of."""

from __future__ import annotations

import codecs
import io
import os
import shlex
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from agn_bench.base import __version__
from agn_bench.base.inputs import BadInput, path_of
from agn_bench.base.named import Named
from agn_bench.base.signals import STOPPING
from agn_bench.base.user_code import UserCodeError
from agn_bench.config.options import Names

if TYPE_CHECKING:
    from agn_bench.cli.display import Terminal

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_SIGNAL = 1, 2, 128
"""To the last is added the number of the signal that ended the command: 130 after Ctrl-C, 143 after SIGTERM."""
_SECONDS_OF_ONE_REQUEST = 0.5
"""`timeout` and batch systems send a signal to a process, and at once to its group, to which it belongs."""


class _Command(TyperCommand):
    """A command whose help leaves `--no-…` to the text of its option: names are whole in 80 columns then."""

    def format_help(self, *where: Any) -> None:
        hidden = [(option, option.secondary_opts) for option in self.params]
        try:
            for option, _ in hidden:
                option.secondary_opts = []
            super().format_help(*where)
        finally:
            for option, names in hidden:
                option.secondary_opts = names


class Commands(typer.Typer):
    """Commands, whose docstrings are Markdown: paragraphs are filled, and what is indented is an example."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(no_args_is_help=True, rich_markup_mode="markdown", **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=_Command, **settings)


app = Commands(
    help="How does asynchronous training behave when workers are stale, slow and many?",
    add_completion=True,
    pretty_exceptions_enable=False,
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a run failed, 2 bad usage or input, 130 or 143 interrupted."""
    _print_in_any_encoding()
    os.environ["MPLBACKEND"] = "agg"  # no command shows a window, and that of a notebook may not be installed here
    try:
        with _terminations_interrupt():
            code = app(arguments, prog_name="agn-bench", standalone_mode=False) or 0
    except Stopped as stopped:
        code = EXIT_SIGNAL + stopped.number
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_SIGNAL + signal.SIGINT  # Typer may have made a code of it already
    except BadInput as error:
        sys.exit(complain(said(error), EXIT_BAD_INPUT))
    except UserCodeError as error:
        sys.exit(complain(str(error), EXIT_FAILED))
    except OSError as error:
        sys.exit(complain(f"failed: {error}", EXIT_FAILED))
    except Exception as error:
        if problem := _of_the_machine(error):
            sys.exit(complain(f"failed: {problem}".splitlines()[0], EXIT_FAILED))
        # Typer's own complaints about usage; the class is not public in every release, its message is.
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()  # empty where the help was printed instead
        sys.exit(complain(f"{message} (see --help)", EXIT_BAD_INPUT) if message else EXIT_BAD_INPUT)
    if code > EXIT_SIGNAL:
        complain("interrupted; what was finished is kept", code)
    sys.exit(code)


def _of_the_machine(error: Exception) -> str:
    """What the error says of the machine, its memory or its devices; nothing if it is of another kind."""
    if isinstance(error, MemoryError) or type(error).__name__ == "JaxRuntimeError":  # JAX need not be imported
        return str(error).strip() or "out of memory"
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return "no thread can be started; the system allows this user, or this container, too few processes"
    *_, (raised, _) = walk_tb(error.__traceback__)
    match raised.f_globals.get("__name__"):
        case "jax._src.xla_bridge":  # where JAX looks for devices
            name = "JAX_PLATFORM_NAME" if os.environ.get("JAX_PLATFORM_NAME") else "JAX_PLATFORMS"
            given = f"{name}={shlex.quote(os.environ.get(name, ''))}"
            return f"with {given} JAX cannot start: {str(error).strip() or 'no such device'}"
        case "jax._src.config":  # where it reads its variables
            return f"JAX cannot start with its variables as they are set: {error}"
    return ""


_PLAIN = str.maketrans("λτΔαβγεηκμπρΣθ√⌈⌉⊙⊘‖′–—−±≥≤…←→·×“”’§", "ltDabgehkmprSaV[]*/|'---~><.<>.x\"\"'S")


def _print_in_any_encoding() -> None:
    """Where the output cannot show a character, print one like it, or `?`: columns keep their width."""

    def plain(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeEncodeError)
        text = "".join(map(_without_accent, error.object[error.start : error.end])).translate(_PLAIN)
        return text.encode("ascii", "replace").decode(), error.end

    codecs.register_error("agn_bench.plain", plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="agn_bench.plain")


def _without_accent(character: str) -> str:
    """What a character is without what stands above or below it, as wide as it: g of ĝ, 7 of ⁷, nothing of a mere
    accent, which has no width of its own.
    """
    plain = [part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part)]
    return "".join(plain) if len(plain) < 2 else character


def as_flag(name: str, value: str) -> str:
    """An option as it is written on the command line."""
    flag = "--" + name.replace("_", "-")
    return f"{flag} {value}" if value else flag


def said(error: BaseException) -> str:
    """What an error says, with options as they are written on the command line."""
    return error.message(as_flag) if isinstance(error, BadInput) else str(error)


def complain(message: str, code: int) -> int:
    print(f"agn-bench: {message}", file=sys.stderr)
    return code


class Stopped(BaseException):
    """A signal asks the command to end. No KeyboardInterrupt, of which Typer would make the exit code of Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        self.number = number


@contextmanager
def _answering(answer: Callable[[int, Any], None], signals: Iterable[int]) -> Iterator[None]:
    """Answer signals so, but for those that whoever started this program wants ignored, as nohup does."""
    before = {number: signal.getsignal(number) for number in signals}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, answer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _terminations_interrupt() -> Iterator[None]:
    """Answer SIGTERM and SIGHUP by an exception, as Python answers Ctrl-C.

    Left alone they end a process without its last words, and do nothing at all to the first process of a container.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: Any) -> None:
        raise Stopped(number)

    with _answering(interrupt, (number for number in STOPPING if number != signal.SIGINT)):
        yield


@contextmanager
def interrupts_wait() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C, SIGTERM and SIGHUP wait for the next call of the function that is handed out; a second one stops at
    once.

    JAX was seen to crash when an exception hit its import, or left computations in flight at exit, and to lose one
    that was raised in its garbage collection.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    asked: int | None = None
    when = 0.0

    def ask(number: int, _: Any) -> None:
        nonlocal asked, when
        if asked is None:
            asked, when = number, time.monotonic()
            with suppress(OSError):  # the terminal may be gone
                complain("interrupting … (once more to stop at once)", EXIT_SIGNAL + number)
        elif time.monotonic() - when > _SECONDS_OF_ONE_REQUEST:
            os.write(2, b"\x1b[?25h" if sys.stderr.isatty() else b"")  # the cursor, hidden by the live display
            os._exit(EXIT_SIGNAL + number)

    def stop_if_asked() -> None:
        if asked is not None:
            raise Stopped(asked)

    with _answering(ask, STOPPING):
        yield stop_if_asked


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


WHICH = "Which runs"
"""A panel of the help, beside those of the configuration's options."""


def option(text: str, metavar: str, panel: str, names: Names = ()) -> Any:
    """An option taken as text: config.resolving validates it, with one kind of message for the whole program.

    Args:
        names: what the shell completes it with.
    """
    return typer.Option(
        help=text, metavar=metavar, rich_help_panel=panel, show_default=False, autocompletion=completion(names)
    )


def completion(names: Names) -> Callable[[str], list[str]]:
    """What the shell asks for the names that begin as what has been typed; where there are none, it looks for files."""

    def complete(incomplete: str) -> list[str]:
        if isinstance(names, Named):
            return names.complete(incomplete)
        known = names() if callable(names) else names
        return [name for name in known if name.startswith(incomplete)]

    return complete


@contextmanager
def reporting(threads: str | None, folder: Path, device: str | None = None) -> Iterator[tuple[Any, Callable[[], None]]]:
    """What a command that computes and writes to `folder` begins with, before it imports JAX.

    Yields:
        Where it prints, and what it calls now and then so that Ctrl-C can end it.
    """
    with interrupts_wait() as stop_if_asked:
        from agn_bench.base import files, machine

        machine.prepare(threads, device)
        files.check_report("out", folder)
        yield console(), stop_if_asked


def facts_of(context: typer.Context) -> dict[str, Any]:
    """What provenance.json says of a command: its options without folders, the machine, the date."""
    from datetime import UTC, datetime

    from agn_bench.base import machine

    words = context.command_path.split()
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name == "out" or value is None or value is False:
            continue
        flag = [] if parameter.param_type_name == "argument" else [f"--{parameter.name}".replace("_", "-")]
        for item in value if isinstance(value, list | tuple) else [value]:
            shown = [] if item is True else [Path(item).name if isinstance(item, str) and "/" in item else str(item)]
            words += [*flag, *shown]
    return {
        "command": shlex.join(words),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
    }


def path(name: str, text: str) -> Path:
    """The path given for the option `name`."""
    return path_of(name, text)


def console() -> Terminal:
    """Where commands print, made when a command runs: it may have been redirected since."""
    from agn_bench.cli.display import Terminal

    return Terminal()
