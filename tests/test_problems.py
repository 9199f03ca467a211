"""Models, data sets and how the data is dealt."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import jax
import numpy as np
import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.base.streams import Kind, stream
from agn_bench.problems import datasets, mlp, shares
from agn_bench.problems.catalogue import DATA_SPLITS, DATASETS, MODELS, DatasetEntry

# --- the model ---


def test_the_papers_model_has_4798010_parameters() -> None:
    params = mlp.initial_params(stream(0, Kind.PARAMETERS), (784, *MODELS["mlp-paper"].hidden, 10))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 4_798_010


def test_initial_weights_are_glorot_uniform_and_biases_zero() -> None:
    """Uniform on ±√(6 / (in + out)): all within, variance 2 / (in + out), within 4 standard errors."""
    (layer,) = mlp.initial_params(np.random.default_rng(0), (300, 200))
    weights = layer["weights"]
    limit = np.sqrt(6 / 500)
    assert np.abs(weights).max() <= np.float32(limit)
    standard_error = limit**2 / 3 * np.sqrt(0.8 / weights.size)
    assert abs(weights.var() - limit**2 / 3) < 4 * standard_error
    assert weights.dtype == np.float32
    assert not layer["biases"].any()


def test_every_product_is_asked_for_in_float32_forward_and_backward() -> None:
    """What a GPU would otherwise multiply with fewer bits; on a CPU it changes nothing, so the program is read."""
    params = mlp.initial_params(np.random.default_rng(0), (20, 8, 6, 10))
    gradient = jax.jit(jax.grad(lambda *inputs: mlp.loss(*inputs)[0]))
    program = gradient.lower(params, np.zeros((4, 20), np.float32), np.zeros(4, np.int32)).as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert len(products) == 8  # three forward, three to weights, two to activations
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


@pytest.mark.parametrize(
    ("model", "widths"),
    [("mlp-small", (256, 128)), ("mlp-paper", (1000, 2000, 1000)), ("mlp-7", (7,)), ("mlp-300-100", (300, 100))],
)
def test_a_model_is_named_by_its_hidden_widths(model: str, widths: tuple[int, ...]) -> None:
    assert MODELS.choose(model).thing.hidden == widths


@pytest.mark.parametrize(
    "model", ["mlp", "mlp-", "mlp-0", "mlp--5", "mlp-3.5", "mlp-5-", "cnn", "mlp-100001", "mlp-" + 5000 * "9"]
)
def test_other_models_are_refused(model: str) -> None:
    with pytest.raises(BadInput, match=r"--model .*(unknown|too large)"):
        MODELS.choose(model)


# --- shares ---


def test_mixed_deals_whole_copies_of_the_data_set() -> None:
    """With work that is a whole number of passes, every image is dealt equally often."""
    dealt = shares.deal("mixed", 0, images=40, workers=4, gradient_steps=80, batch_size=5)
    assert dealt.shape == (4, 20, 5)
    np.testing.assert_array_equal(np.bincount(dealt.ravel(), minlength=40), 10)
    assert all(len(np.unique(worker)) > 30 for worker in dealt)  # each worker sees nearly all of the data


def test_mixed_cuts_what_does_not_divide() -> None:
    dealt = shares.deal("mixed", 0, images=40, workers=3, gradient_steps=10, batch_size=7)
    assert dealt.shape == (3, 3, 7)
    assert np.bincount(dealt.ravel(), minlength=40).max() <= 2  # 70 indices wanted: two copies of the data set


def test_sharded_gives_each_worker_its_own_part_every_epoch() -> None:
    dealt = shares.deal("sharded", 0, images=41, workers=4, gradient_steps=80, batch_size=5)
    own = [set(worker.ravel().tolist()) for worker in dealt]
    assert sum(map(len, own)) == len(set.union(*own)) == 41
    for worker, images in zip(dealt, own, strict=True):
        epochs = worker.ravel()[: 5 * len(images)].reshape(5, len(images))
        assert all(set(epoch.tolist()) == images for epoch in epochs)
        assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("split", DATA_SPLITS)
def test_the_data_order_is_a_function_of_the_seed(split: str) -> None:
    one, same, other = (shares.deal(split, seed, 100, 4, 40, 8) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


# --- data sets ---


def test_the_embedded_digits_are_split_evenly_by_class_and_scaled() -> None:
    data = datasets.load("mnist-5k")
    assert data.train_images.shape == (4000, 784)
    assert data.test_images.shape == (1000, 784)
    np.testing.assert_array_equal(np.bincount(data.train_labels), 400)
    np.testing.assert_array_equal(np.bincount(data.test_labels), 100)
    assert data.train_images.dtype == np.float32
    assert (data.train_images.min(), data.train_images.max()) == (0, 1)
    rows = {row.tobytes() for row in data.train_images}
    assert sum(row.tobytes() in rows for row in data.test_images) == 0


FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in MNIST's format with 30 + 10 images, which counts as the data set `small`."""
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, (30, 28, 28), np.uint8), generator.integers(0, 10, 30, np.uint8)]
    arrays += [generator.integers(0, 256, (10, 28, 28), np.uint8), generator.integers(0, 10, 10, np.uint8)]
    hashes = {}
    for name, array in zip(FILES, arrays, strict=True):
        (tmp_path / name).write_bytes(idx(array))
        hashes[name] = hashlib.sha256(idx(array)).hexdigest()
    entry = DatasetEntry(30, 10, "small", "none", "none", hashes)
    monkeypatch.setitem(DATASETS.shipped, "small", entry)
    return tmp_path


def compress(path: Path) -> None:
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def test_idx_files_are_read_plain_or_compressed_from_the_folder_or_its_subfolder(
    small_mnist: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = datasets.load("small", small_mnist)
    assert plain.train_images.shape == (30, 784)
    assert plain.test_labels.dtype == np.int32
    compress(small_mnist / FILES[0])
    compress(small_mnist / FILES[3])
    parent = tmp_path_factory.mktemp("data")
    small_mnist.rename(parent / "small")
    monkeypatch.setenv(datasets.DATA_DIR_VARIABLE, str(parent))
    again = datasets.load("small")
    np.testing.assert_array_equal(plain.train_images, again.train_images)
    np.testing.assert_array_equal(plain.test_labels, again.test_labels)


def _damage(folder: Path, how: str) -> None:
    path = folder / FILES[0]
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[:-100])
    elif how == "header only":
        path.write_bytes(content[:9])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "not IDX":
        path.write_bytes(b"<html>" + content)
    elif how == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "longer":
        path.write_bytes(content + b"\0")
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    else:
        compress(path)
        compressed = folder / f"{FILES[0]}.gz"
        compressed.write_bytes({"cut gzip": compressed.read_bytes()[:-500], "no gzip": content}[how])


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "train-images-idx3-ubyte is missing"),
        ("truncated", "truncated, 23436 of 23536 bytes"),
        ("header only", "truncated, 9 of 23536 bytes"),
        ("empty", "not an IDX file"),
        ("not IDX", "not an IDX file"),
        ("changed", "its content has SHA-256"),
        ("longer", "its content has SHA-256"),
        ("a folder", "train-images-idx3-ubyte is missing"),
        ("cut gzip", "truncated or damaged gzip file"),
        ("no gzip", "cannot be read (Not a gzipped file"),
    ],
)
def test_a_damaged_data_folder_is_refused_with_the_file_and_what_is_wrong(
    small_mnist: Path, how: str, says: str
) -> None:
    _damage(small_mnist, how)
    with pytest.raises(BadInput) as refused:
        datasets.load("small", small_mnist)
    assert says in str(refused.value)
    assert "--data-dir" in str(refused.value)
    assert "accepted:" in str(refused.value)


def test_no_more_of_a_file_is_read_than_the_data_set_has(small_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes of gzip can hold gigabytes."""
    bomb = small_mnist / f"{FILES[0]}.gz"
    header = (small_mnist / FILES[0]).read_bytes()[:16]
    (small_mnist / FILES[0]).unlink()
    bomb.write_bytes(gzip.compress(header + bytes(50_000_000)))
    sizes = []
    sha256 = hashlib.sha256
    monkeypatch.setattr(datasets.hashlib, "sha256", lambda content: sizes.append(len(content)) or sha256(content))
    with pytest.raises(BadInput, match="SHA-256"):
        datasets.load("small", small_mnist)
    assert max(sizes) == 16 + 30 * 784 + 1


def test_a_missing_folder_and_none_at_all_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(datasets.DATA_DIR_VARIABLE, raising=False)
    with pytest.raises(BadInput, match="AGN_BENCH_DATA_DIR is not set"):
        datasets.load("mnist")
    with pytest.raises(BadInput, match="not a folder"):
        datasets.load("mnist", tmp_path / "nowhere")
