"""Data sets in a user's own files: arrays in .npz, and texts; and the tables that scikit-learn ships."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.config.experiment import read_experiment_file
from agn_bench.config.options import OPTIONS
from agn_bench.config.resolving import resolve, resolve_like
from agn_bench.config.selection import only
from agn_bench.problems import arrays, datasets, texts
from agn_bench.problems.catalogue import DATASETS

Command = Callable[..., tuple[int, str, str]]
BAD = pytest.mark.kind("data files that are not what they should be")
SMALL = ("--model", "mlp-8", "--workers", "2", "--local-steps", "4", "--gradient-steps", "40", "--batch-size", "8")


def good(**changed: Any) -> dict[str, np.ndarray]:
    """Arrays that are accepted: images of 4 x 3 bytes whose class is the bright column; what is None is left out."""
    generator = np.random.default_rng(0)
    found = {}
    for part, count in (("train", 60), ("test", 21)):
        labels = np.arange(count) % 3
        images = generator.integers(0, 100, (count, 4, 3)).astype(np.uint8)
        images[np.arange(count), :, labels] = 255
        found |= {f"x_{part}": images, f"y_{part}": labels}
    return {key: value for key, value in (found | changed).items() if value is not None}


def npz(**changed: Any) -> bytes:
    """The content of a file with such arrays."""
    file = io.BytesIO()
    np.savez(file, **good(**changed))
    return file.getvalue()


def head(shape: str, descr: str = "'<f4'") -> bytes:
    """The beginning of an .npy file that says so."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".ljust(200) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def forged(key: str, content: bytes, method: int = zipfile.ZIP_STORED, claims: int | None = None) -> bytes:
    """A file in which one array is what somebody made up, and claims to be so many bytes long."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(npz())) as right, zipfile.ZipFile(file, "w") as archive:
        for name in right.namelist():
            own = name == f"{key}.npy"
            archive.writestr(name, content if own else right.read(name), method if own else zipfile.ZIP_STORED)
            if own and claims:
                archive.filelist[-1].file_size = claims
    return file.getvalue()


def damaged() -> bytes:
    """A file in which a bit of one label is another."""
    content = bytearray(npz())
    at = content.index(np.arange(3, dtype=np.int64).tobytes(), content.index(b"y_train"))
    content[at] ^= 1
    return bytes(content)


def twice() -> bytes:
    file = io.BytesIO(npz())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("x_test.npy", archive.read("x_test.npy"))
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


LABELS = np.arange(60) % 3
UNUSABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "not an .npz file"),
    "a text": (lambda: b"x_train,y_train\n1,2\n", "not an .npz file"),
    "a pickle": (lambda: pickle.dumps(good()), "not an .npz file"),
    "one array": (lambda: npy(good()["x_train"]), "not an .npz file"),
    "cut off": (lambda: npz()[:-300], "not an .npz file"),
    "a key is missing": (lambda: npz(y_test=None), "it has no y_test, but x_train, y_train, x_test; accepted: an .npz"),
    "no keys": (lambda: b"PK\x05\x06" + bytes(18), "it has no x_train, y_train, x_test, y_test, but nothing"),
    "an unknown key": (lambda: npz(x_valid=LABELS), "it has x_valid too; accepted: x_train, y_train, x_test, y_test"),
    "a key twice": (twice, "it has x_test, x_test too"),
    "objects": (lambda: npz(x_train=np.array([{}] * 60)), "x_train holds Python objects, as a pickle"),
    "labels are objects": (lambda: npz(y_train=LABELS.astype(object)), "y_train holds Python objects"),
    "records": (lambda: npz(x_train=np.zeros((60, 2), "i4,f4")), "x_train is of [('f0'"),
    "no dimension": (lambda: npz(x_train=np.float32(1)), "x_train has 0 dimensions; accepted: x as (examples, feat"),
    "one dimension": (lambda: npz(x_test=np.zeros(21)), "x_test has 1 dimensions"),
    "five dimensions": (lambda: npz(x_train=np.zeros((60, 1, 1, 1, 1))), "x_train has 5 dimensions"),
    "no examples": (lambda: npz(x_test=np.zeros((0, 4, 3)), y_test=LABELS[:0]), "x_test has no examples"),
    "no numbers": (lambda: npz(x_train=np.zeros((60, 0))), "x_train has no numbers"),
    "whole numbers": (
        lambda: npz(x_train=good()["x_train"].astype(int)),
        "x_train is of int64; accepted: x of float32",
    ),
    "complex": (lambda: npz(x_train=np.zeros((60, 2), complex)), "x_train is of complex128"),
    "longer floats": (lambda: npz(x_train=np.zeros((60, 2), np.longdouble)), "x_train is of float128"),
    "words": (lambda: npz(x_train=np.full((60, 2), "a")), "x_train is of <U1"),
    "other shapes": (lambda: npz(x_test=np.zeros((21, 3, 4), np.uint8)), "x_train has shape (4, 3), of x_test (3, 4)"),
    "bytes and floats": (lambda: npz(x_test=np.zeros((21, 4, 3))), "x_train is of uint8, x_test of float64"),
    "fewer labels": (lambda: npz(y_train=LABELS[1:]), "y_train has shape (59,), for 60 examples; accepted: y as whole"),
    "a label is a vector": (lambda: npz(y_train=np.eye(3, dtype=int)[LABELS]), "y_train has shape (60, 3)"),
    "labels are floats": (lambda: npz(y_train=LABELS / 1), "y_train is of float64"),
    "labels are true or false": (lambda: npz(y_train=LABELS > 1), "y_train is of bool"),
    "a negative label": (lambda: npz(y_train=LABELS - 1), "y_train has the label -1"),
    "a label beyond all": (lambda: npz(y_test=np.full(21, 2**63, np.uint64)), f"y_test has the label {2**63}"),
    "a class between is empty": (
        lambda: npz(y_train=2 * LABELS),
        "empty classes: 2 of 5 have no training example, as 1",
    ),
    "labels count from 1": (lambda: npz(y_train=LABELS + 1), "empty classes: 1 of 4 have no training example, as 0"),
    "a class only to test": (lambda: npz(y_test=np.full(21, 3)), "empty classes: 1 of 4 have no training"),
    "many empty classes": (lambda: npz(y_test=np.full(21, 2**31 - 1)), "empty classes: 2,147,483,645 of"),
    "one class": (lambda: npz(y_train=0 * LABELS, y_test=0 * LABELS[:21]), "all labels are 0"),
    "10 GB by its head": (
        lambda: forged("x_train", head("(10000000, 250)")),
        "x_train cannot be read (it claims 10,000,000,000 bytes of numbers and holds 0)",
    ),
    "10 GB of labels": (
        lambda: forged("y_train", head("(60,)", "'<i8'"), claims=10**10),
        "it claims more than it hold",
    ),
    "more bytes than its head says": (
        lambda: forged("x_train", head("(60, 4)") + bytes(5_000_000), zipfile.ZIP_DEFLATED),
        "it claims 960 bytes of numbers and holds 5,000,000",
    ),
    "a bomb": (
        lambda: forged("x_train", head("(60, 100)") + bytes(24_000), zipfile.ZIP_DEFLATED, 10**10),
        "x_train cannot be read (it claims more than it holds)",
    ),
    "negative sizes": (lambda: forged("x_train", head("(-60, -4)") + bytes(960)), "x_train"),
    "a head that is code": (lambda: forged("x_train", head("__import__('os').getpid()")), "x_train cannot be read"),
    "a head of brackets": (lambda: forged("x_train", head("(" * 150)), "x_train cannot be read"),
    "a head that is too long": (lambda: forged("x_train", head("(60, 4)".ljust(50_000))), "x_train cannot be read"),
    "no head": (lambda: forged("x_train", b"\x93NUM"), "x_train cannot be read"),
    "a damaged label": (damaged, "y_train cannot be read (Bad CRC-32"),
}


def refused(path: Path) -> str:
    """What is said of the file; one line that names the option, the value and what is accepted."""
    with pytest.raises(BadInput) as error:
        DATASETS.choose(str(path))
    message = str(error.value)
    assert message.startswith(f"dataset={path}: ")
    assert "; accepted: " in message
    assert len(message.splitlines()) == 1
    return message


@BAD
@pytest.mark.parametrize("case", UNUSABLE)
def test_arrays_that_are_not_what_they_should_be_are_refused_when_they_are_chosen(case: str, tmp_path: Path) -> None:
    content, says = UNUSABLE[case]
    path = tmp_path / "my.npz"
    path.write_bytes(content())
    tracemalloc.start()
    message = refused(path)
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()
    assert says in message


@BAD
@pytest.mark.parametrize(
    ("what", "says"),
    [
        (np.nan, "x_train has nan in example 7, as float32; accepted: finite numbers"),
        (-np.inf, "x_train has -inf in example 7"),
        (1e300, "x_train has inf in example 7, as float32"),
    ],
)
def test_numbers_that_are_not_finite_are_refused_when_they_are_loaded(what: float, says: str, tmp_path: Path) -> None:
    x = np.zeros((60, 5))
    x[7, 3] = x[9, 0] = what
    (tmp_path / "my.npz").write_bytes(npz(x_train=x, x_test=x[:21]))
    chosen = DATASETS.choose(str(tmp_path / "my.npz"))
    with pytest.raises(BadInput) as error:
        chosen.thing.load(None, chosen.label)
    assert f"dataset={tmp_path / 'my.npz'}: {says}" in str(error.value)


def _too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MOST_BYTES", 1_000)


def _too_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays.Arrays, "largest", 1_000)


def _a_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.mkdir()


def _a_pipe(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    os.mkfifo(path)


@BAD
@pytest.mark.parametrize(
    ("what", "says"),
    [
        (_too_large, "its inputs take 3,888 bytes in float32; accepted: inputs of up to 1,000 bytes"),
        (_too_long, " bytes long; accepted: a file of up to 1,000 bytes"),
        (_a_folder, "my.npz is not a file; accepted: an .npz file with x_train"),
        (_a_pipe, "my.npz is not a file"),
        (lambda path, _: path.unlink(), "there is no file "),
    ],
)
def test_files_that_are_too_large_or_none_are_refused(
    what: Callable[..., None], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my.npz"
    path.write_bytes(npz())
    what(path, monkeypatch)
    assert says in refused(path)


@BAD
@pytest.mark.parametrize("what", ["changed", "gone"])
def test_a_file_that_is_not_what_it_was_when_it_was_chosen_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    path.write_bytes(npz())
    data = pickle.loads(pickle.dumps(DATASETS.choose(str(path)))).thing
    if what == "changed":
        path.write_bytes(npz(y_train=LABELS[::-1]))
    else:
        path.unlink()
    says = {"changed": "its content has changed since it was chosen", "gone": "the same path wherever runs are made"}
    with pytest.raises(BadInput, match=rf"dataset=.*my\.npz: .*{says[what]}"):
        data.load(None, "my")


@BAD
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("my.npz:foo=1", "has no foo; accepted: "),
        ("my.npy", "unknown; accepted: mnist-5k, "),
        ("", "unknown; accepted: mnist-5k, "),
        ("a\nb.npz", "has a name that cannot be printed"),
        ("~nobody-is-called-so/my.npz", "no home folder is known"),
        ("my.txt", "of kind text, from which mlp-8 does not learn; accepted: a data set of kind images or table"),
    ],
)
def test_what_is_no_data_file_is_refused(
    text: str, says: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.npz").write_bytes(npz())
    Path("my.txt").write_text(TEXT)
    code, out, err = command("run", "--dataset", text, *SMALL)
    assert (code, out) == (2, "")
    assert err.startswith("agn-bench: --dataset")
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_model_of_too_many_parameters_for_the_data_is_refused(tmp_path: Path) -> None:
    wide = np.zeros((60, 6_000), np.uint8)
    (tmp_path / "my.npz").write_bytes(npz(x_train=wide, x_test=wide[:21]))
    with pytest.raises(BadInput, match=r"dataset=my\.npz: with so many numbers that there are 600,400,003 parameters"):
        resolve({"dataset": str(tmp_path / "my.npz"), "model": "mlp-100000"})


# --- what is taken ---


def _column(labels: np.ndarray) -> np.ndarray:
    return labels.astype(np.uint8)[:, None]


@pytest.mark.parametrize(
    ("shape", "kind", "dtype", "order"),
    [
        ((5,), "table", "f4", "C"),
        ((5,), "table", "f8", "F"),
        ((4, 3), "images", "u1", "C"),
        ((4, 3), "images", ">f4", "F"),
        ((4, 3, 2), "images", "f2", "C"),
        ((4, 3, 2), "images", "u1", "F"),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_rows_of_float32(
    shape: tuple[int, ...], kind: str, dtype: str, order: Any, save: Callable[..., None], tmp_path: Path
) -> None:
    """Labels may be a column, as Keras has those of CIFAR-10."""
    generator = np.random.default_rng(1)
    parts = [(generator.random((count, *shape)) * 255).astype(dtype, order) for count in (30, 11)]
    labels = [generator.permutation(np.arange(count) % 3) for count in (30, 11)]
    path = tmp_path / "my.npz"
    save(path, x_train=parts[0], y_train=_column(labels[0]), x_test=parts[1], y_test=labels[1].astype(">i2"))
    chosen = DATASETS.choose(str(path))
    data = chosen.thing
    assert (data.kind, data.shape, data.classes, data.train_examples, data.test_examples) == (kind, shape, 3, 30, 11)
    for (inputs, classes), part, own in zip(data.load(None, ""), parts, labels, strict=True):
        expected = part.astype(np.float32).reshape(len(part), -1)
        np.testing.assert_array_equal(inputs, expected / np.float32(255) if dtype == "u1" else expected)
        assert (inputs.dtype, inputs.flags.c_contiguous, classes.dtype) == (np.float32, True, np.int32)
        np.testing.assert_array_equal(classes, own)


def test_a_run_is_named_by_the_content_of_its_data_wherever_it_is(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("elsewhere").mkdir()
    for folder in ("", "elsewhere"):
        Path(folder, "my.npz").write_bytes(npz())
    run = ("run", *SMALL, "--out", "results")
    assert command(*run, "--dataset", "my.npz")[0] == 0
    code, out, _ = command(*run, "--dataset", "elsewhere/my.npz")
    assert (code, "finished before" in out) == (0, True)
    (row,) = pd.read_csv("results/summary.csv").to_dict("records")
    name = DATASETS.choose("my.npz").name
    assert (row["dataset"], row["status"]) == (name, "done")
    assert row["test_accuracy"] > 0.5  # which column is bright
    (folder,) = Path("results/runs").iterdir()
    told = (folder / "run.json").read_text(encoding="utf-8")
    assert f'"dataset": "{name}"' in told
    assert "--dataset my.npz " in told
    assert str(tmp_path) not in told
    Path("my.npz").write_bytes(npz(y_test=LABELS[:21][::-1]))
    options = {"model": "mlp-8", "workers": 2, "batch_size": 8}
    changed, same = (resolve({"dataset": path, **options}) for path in ("my.npz", "elsewhere/my.npz"))
    assert changed.run_id != same.run_id
    assert changed.program != same.program
    assert same == pickle.loads(pickle.dumps(same))
    # What is in a run.json says which file it was; the file is given again.
    code, _, err = command("run", "--like", folder)
    assert code == 2
    assert f'--dataset: of a user\'s file, "{name}", that is not in a run.json; accepted: the file, as in my.npz' in err
    code, out, _ = command("run", "--like", folder, "--dataset", "elsewhere/my.npz", "--out", "results")
    assert (code, "finished before" in out) == (0, True)


def test_a_data_file_of_an_experiment_counts_from_the_experiments_folder(tmp_path: Path) -> None:
    (tmp_path / "my.npz").write_bytes(npz())
    (tmp_path / "my.toml").write_text(
        'name = "my"\n[base]\nmodel = "mlp-8"\ngradient_steps = 100\nworkers = 2\nbatch_size = 8\n'
        '[[cells]]\ndataset = ["my.npz", "mnist-5k"]\n'
    )
    one, other = read_experiment_file(tmp_path / "my.toml").configs
    assert one.dataset is not None
    assert one.dataset.spelled == "my.npz"
    for text in ("my.npz", one.dataset.name):
        assert only([one, other], [f"dataset={text}"]) == [one]
    (tmp_path / "my.npz").write_bytes(b"")
    with pytest.raises(BadInput, match=r"line 8, dataset = .*my\.npz: not an \.npz file"):
        read_experiment_file(tmp_path / "my.toml")


def test_shell_completion_and_lists_know_data_files(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    path.write_bytes(npz())
    assert DATASETS.complete("br") == ["breast-cancer"]
    assert DATASETS.complete(f"{path}:") == []
    assert DATASETS.complete(f"{tmp_path / 'other.npz'}:") == []
    assert OPTIONS["dataset"].names_a_file("my.npz")
    assert not OPTIONS["model"].names_a_file("my.npz")
    code, out, _ = command("list", path)
    assert code == 0
    assert "images, 4 x 3, 3 classes; examples: 60 to train, 21 to test" in out
    code, out, _ = command("list", "datasets")
    assert code == 0


# --- texts ---

TEXT = "In the beginning there was a loop; it read αβγ, and it wrote.\n" * 25


@BAD
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty; accepted: a text file in UTF-8"),
        (b"a", "it has 1 different character; accepted: a text of 2 to 256 different ones"),
        (b"a" * 5_000, "it has 1 different character;"),
        (b"\xef\xbb\xbf", "it has 0 different characters"),
        (b"ab" * 320, "it has 640 characters, too few for a window of 64 in its last tenth; accepted: a text of 641"),
        (TEXT.encode() + b"\0", "it is binary: there is a NUL byte in it"),
        (TEXT.encode("utf-16"), "it is binary"),
        (b"abc" * 999 + "é".encode("latin-1"), "it is not UTF-8 at byte 2,997"),
        (b"abc" * 999 + "é".encode()[:1], "it is not UTF-8 at byte 2,997"),
        (("".join(map(chr, range(1, 258))) * 5).encode(), "it has 257 different characters"),
    ],
    ids=["empty", "one", "one again and again", "a mark alone", "short", "NUL", "UTF-16", "Latin 1", "cut", "too many"],
)
def test_a_text_that_is_not_what_it_should_be_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_bytes(content)
    assert says in refused(tmp_path / "my.txt")


@pytest.mark.parametrize("text", [TEXT, "ab" * 320 + "a", "".join(map(chr, range(1, 257))) * 5, "a\r\nb😀" * 200])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_windows_of_a_text_are_its_characters_and_those_one_further_on(text: str, mark: str, tmp_path: Path) -> None:
    """Read off character by character; the targets to test are what is to test, each character once."""
    path = tmp_path / "my.txt"
    path.write_bytes((mark + text).encode())
    data = DATASETS.choose(str(path)).thing
    characters = sorted(set(text))
    cut = len(text) * 9 // 10
    assert (data.kind, data.shape, data.classes) == ("text", (texts.WINDOW,), len(characters))
    train, test = data.load(None, "")
    assert (len(train[0]), len(test[0])) == (data.train_examples, data.test_examples)
    for (inputs, targets), part, stride in ((train, text[:cut], 32), (test, text[cut:], 64)):
        assert (inputs.dtype, targets.dtype, inputs.shape) == (np.int32, np.int32, targets.shape)
        for example, (window, following) in enumerate(zip(inputs, targets, strict=True)):
            begin = example * stride
            assert "".join(characters[i] for i in window) == part[begin : begin + 64]
            assert "".join(characters[i] for i in following) == part[begin + 1 : begin + 65]
        assert len(part) - (len(inputs) * stride + 64) < 1  # not one more would fit
    once = "".join(characters[i] for i in test[1].ravel())
    assert once == text[cut + 1 :][: len(once)]


BIGRAM = '''
import jax.numpy as jnp
import optax
from agn_bench.problems import Measure, Problem, problem

@problem
class Bigram(Problem):
    """The next character from the last one."""
    learns_from = ("text",)
    trained_with = {"local_optimizer": "sgd:learning_rate=1"}

    @property
    def measures(self):
        return {"accuracy": Measure(True, 0.0)}

    def init(self, generator):
        return jnp.zeros((self.data.classes, self.data.classes))

    def loss(self, params, batch):
        inputs, targets = batch
        entropy = optax.softmax_cross_entropy_with_integer_labels(params[inputs], targets).mean()
        return entropy, {"accuracy": (params[inputs].argmax(-1) == targets).mean(axis=1).sum()}
'''


def test_a_problem_of_ones_own_learns_from_a_text(command: Command, tmp_path: Path) -> None:
    """In a text of two characters that take turns the next is known."""
    (tmp_path / "bigram.py").write_text(BIGRAM)
    (tmp_path / "my.txt").write_text("ab" * 1_000)
    size = ("--workers", "2", "--local-steps", "4", "--gradient-steps", "40", "--batch-size", "8")
    words = ("--problem", f"{tmp_path / 'bigram.py'}:Bigram", "--dataset", tmp_path / "my.txt", *size)
    code, _, err = command("run", *words, "--out", tmp_path / "results")
    assert (code, err) == (0, "")
    (row,) = pd.read_csv(tmp_path / "results" / "summary.csv").to_dict("records")
    assert (row["test_accuracy"], row["dataset"]) == (1.0, DATASETS.choose(str(tmp_path / "my.txt")).name)


def test_a_run_like_another_takes_the_same_data_from_a_file_of_another_name(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    path.write_bytes(npz())
    config = resolve({"dataset": str(path), "model": "mlp-8", "workers": 2, "batch_size": 8})
    moved = shutil.move(path, tmp_path / "other.npz")
    again = resolve_like({"dataset": str(moved)}, config.as_dict(), "run.json")
    assert again.dataset is not None
    assert again.dataset.thing == config.dataset.thing  # type: ignore[union-attr]
    assert again.run_id != config.run_id  # the stem is in the name, as that of a file of code


# --- what scikit-learn ships ---


@pytest.mark.parametrize("name", ["digits", "breast-cancer", "wine"])
def test_scikit_learns_tables_are_split_without_regard_to_classes_and_standardised(name: str) -> None:
    entry = DATASETS[name]
    (x, y), (x_test, y_test) = entry.load(None, name)
    assert (len(x), len(x_test)) == (entry.train_examples, entry.test_examples)
    assert len(x_test) == (len(x) + len(x_test)) // 5
    assert (x.shape[1:], x.dtype, y.dtype) == ((entry.features,), np.float32, np.int32)
    assert set(y) == set(y_test) == set(range(entry.classes))
    changes = (y[1:] != y[:-1]).mean()
    assert abs(changes - (1 - ((np.bincount(y) / len(y)) ** 2).sum())) < 4 * (0.25 / len(y)) ** 0.5  # as if drawn
    if entry.kind == "table":
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-5)
    else:
        assert (x.min(), x.max(), x_test.max()) == (0, 1, 1)
    assert datasets.load(name).train_images.shape == x.shape


def test_tables_of_another_scikit_learn_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.datasets

    numbers, classes = sklearn.datasets.load_wine(return_X_y=True)
    numbers[100, 3] += 1e-9
    monkeypatch.setattr(sklearn.datasets, "load_wine", lambda return_X_y: (numbers, classes))  # noqa: N803
    with pytest.raises(BadInput, match=r"dataset=wine: scikit-learn .* ships other numbers, of SHA-256"):
        DATASETS["wine"].load(None, "wine")
