"""Other programs that train the same cell, each a script in a process of its own, asked for one slice at a time.

What a script is given and what it answers: experiments/peers/README.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_SECONDS_TO_END = 10.0


class Peer:
    """A script that has loaded a cell."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def train(self, exchanges: int) -> dict[str, Any]:
        """Let it apply the next exchanges and evaluate its center; its answer, with `seconds`, `worker`, `losses`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # then it has ended, which is seen below
            print(exchanges, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise ChildProcessError(f"{Path(str(self._process.args[1])).name} ended")  # type: ignore[index]
        return json.loads(answer)


@contextmanager
def started(script: Path, cell: Path, threads: int) -> Iterator[Peer | None]:
    """The script, ready for its first slice; None if it cannot run here, such as for want of a package."""
    process = subprocess.Popen(
        [sys.executable, str(script), str(cell), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield Peer(process) if process.stdout.readline() == "ready\n" else None
    finally:
        process.kill()
        process.wait(_SECONDS_TO_END)
        process.stdin.close()
        process.stdout.close()
