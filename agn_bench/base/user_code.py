"""Code that a user brings: a Python file, which travels with the runs that need it, and how its mistakes are shown."""

from __future__ import annotations

import linecache
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType

from agn_bench.base.inputs import BadInput, Spelling, content_hash, first_line, read_bytes

_PROGRAM = Path(__file__).parent.parent
_ACCEPTED = "a Python file that can be loaded on its own, with what is installed"


class BadUserFile(BadInput):
    """A user's file that cannot be loaded: a line that says so, and below it what Python says."""

    def __init__(self, option: str, value: object, problem: str, shown: str) -> None:
        super().__init__(option, value, problem, _ACCEPTED)
        self.shown = shown

    def message(self, spelling: Spelling) -> str:
        return f"{super().message(spelling)}\n{self.shown}"

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, object, str, str]]:
        return type(self), (self.option, self.value, self.problem, self.shown)


class UserCodeError(Exception):
    """A user's function that failed or gave something else than it should: what was called, and what Python says."""


_LOADING = threading.RLock()
"""Files are loaded one at a time: on a cluster several runs of a process may ask for one."""


@dataclass(frozen=True)
class Source:
    """A user's file as it was when it was read. Two of the same stem and content are one."""

    stem: str
    content: bytes

    @property
    def name(self) -> str:
        """The stem and the content's hash, by which runs are told apart."""
        return f"{self.stem}-{content_hash(self.content)}"

    @property
    def file(self) -> str:
        """As tracebacks name it, wherever it is loaded."""
        return f"{self.stem}.py"

    def module(self, option: str, value: object) -> ModuleType:
        """The file's module, executed once in a process.

        Raises:
            BadUserFile: it cannot be, or uses JAX's devices while it is loaded: threads and device are set afterwards.
        """
        with _LOADING:
            if self.name not in sys.modules:
                self._load(option, value)
            return sys.modules[self.name]

    def _load(self, option: str, value: object) -> None:
        module = ModuleType(self.name)
        lines = self.content.decode("utf-8", "replace").splitlines(keepends=True)
        known = linecache.cache.get(self.file)
        file = self.file if known is None or known[2:3] == (lines,) else f"{self.name}.py"  # another of the same stem
        linecache.cache[file] = (len(self.content), None, lines, file)
        module.__file__ = file
        sys.modules[self.name] = module
        started = jax_has_started()
        try:
            exec(compile(self.content, file, "exec"), module.__dict__)
            if jax_has_started() and not started:
                problem = f"{self.file} computes with JAX while it is loaded, before threads and device are set"
                raise BadInput(option, value, problem, "a file that computes in its functions only")
        except BaseException as error:
            del sys.modules[self.name]
            if isinstance(error, BadInput) or not isinstance(error, Exception | SystemExit):
                raise
            reason = f"cannot be loaded ({type(error).__name__}: {first_line(error)})"
            raise BadUserFile(option, value, reason, python_says(error, file)) from None


def read_source(option: str, value: object, path: Path) -> Source:
    """The user's file at `path`; BadInput if there is none."""
    if not path.stem.isprintable():
        raise BadInput(option, value, "has a name that cannot be printed", _ACCEPTED)
    try:
        return Source(path.stem, read_bytes(option, path, _ACCEPTED))
    except BadInput as error:
        raise BadInput(option, value, f"{path}: {error.problem}", error.accepted) from None


def source_of(kind: type) -> str | None:
    """The file of somebody else that a class comes from, as tracebacks name it; None if it is this program's own."""
    if kind.__module__.split(".")[0] == "agn_bench":
        return None
    return getattr(sys.modules.get(kind.__module__), "__file__", None)


@contextmanager
def called(kind: type, call: str) -> Iterator[None]:
    """What goes wrong in a user's function is shown as Python shows it, from the user's first line on, under a line
    that says what was called. What goes wrong in this program's own classes is left as it is.

    Args:
        call: the function and the shapes it was called with, as in `Mine.exchange(center float32[3, 4], …)`.
    """
    file = source_of(kind)
    try:
        yield
    except (Exception, SystemExit) as error:
        if file is None or isinstance(error, UserCodeError):
            raise
        raise UserCodeError(f"{call} failed in {Path(file).name}:\n{python_says(error, file)}") from None


def python_says(error: BaseException, file: str) -> str:
    """The traceback, from the first line that stands in `file` on, or if none is named, outside of this program and of
    Python's importing; the error alone if there is no such line.
    """
    trace: TracebackType | None = error.__traceback__
    while trace is not None and not _begins(trace.tb_frame.f_code.co_filename, file):
        trace = trace.tb_next
    shown = traceback.TracebackException(type(error), error, trace, compact=True)
    shown.__notes__ = None  # JAX's about frames of its own that it has left out
    lines = [*shown.stack.format(), *shown.format_exception_only()]
    return "".join(lines).rstrip("\n")


def _begins(there: str, file: str) -> bool:
    return there == file if file else "importlib" not in there and not Path(there).is_relative_to(_PROGRAM)


def jax_has_started() -> bool:
    """Whether JAX has its devices already, so that threads and platforms can no longer be chosen."""
    bridge = sys.modules.get("jax._src.xla_bridge")  # not public; where it is called otherwise, JAX counts as started
    if bridge is None:
        return "jax" in sys.modules
    return bool(getattr(bridge, "backends_are_initialized", lambda: True)())
