"""Models, data sets and how the data is dealt."""

from __future__ import annotations

import gzip
import hashlib
from itertools import combinations
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from agn_bench.base.inputs import BadInput
from agn_bench.base.streams import Kind, stream
from agn_bench.problems import datasets, perceptron, shares
from agn_bench.problems.catalogue import DATASETS, MODELS, SPLITS, DatasetEntry
from agn_bench.problems.shares import Dirichlet, Mixed, Sharded, Split

# --- the model ---


def test_the_papers_model_has_4798010_parameters() -> None:
    params = perceptron.initial_params(stream(0, Kind.PARAMETERS), (784, *MODELS["mlp-paper"].hidden, 10))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 4_798_010


def test_initial_weights_are_glorot_uniform_and_biases_zero() -> None:
    """Uniform on ±√(6 / (in + out)): all within, variance 2 / (in + out), within 4 standard errors."""
    (layer,) = perceptron.initial_params(np.random.default_rng(0), (300, 200))
    weights = layer["weights"]
    limit = np.sqrt(6 / 500)
    assert np.abs(weights).max() <= np.float32(limit)
    standard_error = limit**2 / 3 * np.sqrt(0.8 / weights.size)
    assert abs(weights.var() - limit**2 / 3) < 4 * standard_error
    assert weights.dtype == np.float32
    assert not layer["biases"].any()


def test_every_product_is_asked_for_in_float32_forward_and_backward() -> None:
    """What a GPU would otherwise multiply with fewer bits; on a CPU it changes nothing, so the program is read."""
    params = perceptron.initial_params(np.random.default_rng(0), (20, 8, 6, 10))
    gradient = jax.jit(jax.grad(lambda *inputs: perceptron.loss(*inputs)[0]))
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
    with pytest.raises(BadInput, match=r"model=.*(unknown|too large)"):
        MODELS.choose(model)


# --- shares ---

SPLIT = {"mixed": Mixed(), "sharded": Sharded(), "dirichlet": Dirichlet(0.5)}
splits = pytest.mark.parametrize("split", SPLIT.values(), ids=SPLIT)


def some_labels(images: int, classes: int = 4) -> np.ndarray:
    return np.random.default_rng(images).integers(0, classes, images).astype(np.int32)


def test_every_split_is_tested() -> None:
    assert SPLIT.keys() == SPLITS.keys()


def test_mixed_deals_whole_copies_of_the_data_set() -> None:
    """With work that is a whole number of passes, every image is dealt equally often."""
    dealt = shares.deal(Mixed(), 0, some_labels(40), workers=4, steps=20, batch_size=5, pooled_steps=80)
    assert dealt.shape == (4, 20, 5)
    np.testing.assert_array_equal(np.bincount(dealt.ravel(), minlength=40), 10)
    assert all(len(np.unique(worker)) > 30 for worker in dealt)  # each worker sees nearly all of the data


def test_mixed_cuts_what_does_not_divide() -> None:
    dealt = shares.deal(Mixed(), 0, some_labels(40), workers=3, steps=3, batch_size=7, pooled_steps=10)
    assert dealt.shape == (3, 3, 7)
    assert np.bincount(dealt.ravel(), minlength=40).max() <= 2  # 70 indices wanted: two copies of the data set


def test_equal_shares_are_those_of_the_runs_that_were_made() -> None:
    """As dealt by the program that made the committed results, which could deal nothing else."""
    ten = some_labels(10)
    assert shares.deal(Mixed(), 0, ten, 2, 2, 3, 4).tolist() == [[[2, 0, 9], [1, 0, 7]], [[8, 1, 5], [3, 6, 3]]]
    sharded = [
        [[5, 1, 0], [3, 7, 7], [1, 0, 5], [3, 0, 5]],
        [[4, 6, 2], [8, 9, 4], [6, 8, 9], [2, 4, 2]],
    ]
    for pooled_steps in (8, None):
        assert shares.deal(Sharded(), 0, ten, 2, 4, 3, pooled_steps).tolist() == sharded
    for split, images, workers, steps, batch_size, seed, sha256 in (
        (Mixed(), 41, 3, 80, 7, 0, "8353a552ede3be2a"),
        (Mixed(), 4_000, 20, 10_400, 128, 2**32 - 1, "74fb27e030dee2e9"),
        (Sharded(), 41, 3, 80, 7, 0, "9b3a1729736359b6"),
        (Sharded(), 4_000, 20, 10_400, 128, 2**32 - 1, "753ad48a06851182"),
    ):
        dealt = shares.deal(split, seed, some_labels(images), workers, steps // workers, batch_size, steps)
        assert hashlib.sha256(dealt.astype("<i4").tobytes()).hexdigest()[:16] == sha256


@splits
@examples(40)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(12, 90),
    workers=st.integers(1, 12),
    steps=st.integers(0, 30),
    more=st.integers(0, 60),
    batch_size=st.integers(1, 12),
)
def test_more_work_begins_with_the_same_mini_batches(
    split: Split, seed: int, images: int, workers: int, steps: int, more: int, batch_size: int
) -> None:
    labels = some_labels(images)
    few, many = (shares.deal(split, seed, labels, workers, count, batch_size) for count in (steps, steps + more))
    assert few.shape == (workers, steps, batch_size)
    assert few.dtype == np.int32
    np.testing.assert_array_equal(many[:, :steps], few)
    pool = workers * (steps + more) + 1
    few, many = (shares.deal(split, seed, labels, workers, s, batch_size, pool) for s in (steps, steps + more))
    assert few.shape == (workers, steps, batch_size)
    np.testing.assert_array_equal(many[:, :steps], few)


@pytest.mark.parametrize("split", [Sharded(), Dirichlet(0.5)])
def test_a_pool_is_for_the_whole_data_set_only(split: Split) -> None:
    one, other = (shares.deal(split, 3, some_labels(50), 4, 20, 8, pooled_steps) for pooled_steps in (None, 83))
    np.testing.assert_array_equal(one, other)


@splits
def test_a_worker_goes_through_its_part_again_and_again_reshuffled(split: Split) -> None:
    """As far as its mini-batches go; one may span two passes."""
    labels = some_labels(61)
    parts = shares.parts_of(split, 0, labels, 4)
    dealt = shares.deal(split, 0, labels, workers=4, steps=40, batch_size=5)
    for worker, part in zip(dealt, parts, strict=True):
        passes = worker.ravel()[: 200 // len(part) * len(part)].reshape(-1, len(part))
        assert len(passes) >= 3
        assert all(set(one.tolist()) == set(part.tolist()) for one in passes)
        assert len(part) < 6 or len(np.unique(passes, axis=0)) == len(passes)  # there are few orders of few images
    assert all(not np.array_equal(one, other) for one, other in combinations(dealt, 2))


def test_each_worker_of_mixed_has_the_whole_data_set() -> None:
    dealt = shares.deal(Mixed(), 0, some_labels(40), workers=4, steps=8, batch_size=5)
    assert all(sorted(worker.ravel()) == list(range(40)) for worker in dealt)


@splits
def test_the_data_order_is_a_function_of_the_seed(split: Split) -> None:
    for pooled_steps in (None, 40):
        one, same, other = (shares.deal(split, seed, some_labels(100), 4, 10, 8, pooled_steps) for seed in (0, 0, 1))
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", [Sharded, Dirichlet])
@examples(200)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60).flatmap(lambda images: st.tuples(st.just(images), st.integers(1, images))),
    st.integers(1, 5),
    st.floats(1e-3, 1e6),
)
def test_every_image_is_one_workers_and_no_worker_has_none(
    kind: type[Split], seed: int, size: tuple[int, int], classes: int, concentration: float
) -> None:
    images, workers = size
    split = Dirichlet(concentration) if kind is Dirichlet else Sharded()
    parts = split.parts(seed, some_labels(images, classes), workers)
    assert split.disjoint
    assert len(parts) == workers
    assert min(map(len, parts)) > 0
    assert sorted(np.concatenate(parts).tolist()) == list(range(images))


@pytest.mark.parametrize("concentration", [0.1, 1.0, 10.0])
def test_the_proportions_of_a_class_are_those_of_a_dirichlet_distribution(concentration: float) -> None:
    """Mean 1/n, variance (1/n)(1 − 1/n) / (n concentration + 1), each class by itself: over 300 seeds, within four
    standard errors. To cut whole images changes a proportion by up to 1/500.
    """
    workers, classes, images = 5, 4, 500
    labels = np.repeat(np.arange(classes, dtype=np.int32), images)
    drawn = (Dirichlet(concentration).parts(seed, labels, workers) for seed in range(300))
    shares_of = [[np.bincount(labels[part], minlength=classes) for part in parts] for parts in drawn]
    off = np.array(shares_of) / images - 1 / workers  # seed, worker, class

    def mean(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return values.mean(axis=0), 4 * values.std(axis=0, ddof=1) / len(values) ** 0.5

    found, error = mean(off)
    assert (np.abs(found) < error).all()
    found, error = mean((off**2).mean(axis=(1, 2)))
    expected = (1 / workers) * (1 - 1 / workers) / (workers * concentration + 1)
    assert abs(found - expected) < error < 0.4 * expected
    for one, other in combinations(range(classes), 2):
        found, error = mean((off[:, :, one] * off[:, :, other]).mean(axis=1))
        assert abs(found) < error


def test_the_images_of_a_class_are_shuffled_before_they_are_shared() -> None:
    """Half of 1,000 images alike for each of two workers: how many of the first 500 are the first's is hypergeometric,
    with standard deviation √(500 · ½ · ½ · 500 / 999).
    """
    first, _ = Dirichlet(1e6).parts(0, np.zeros(1000, np.int32), 2)
    assert abs(len(first) - 500) < 10
    assert abs((first < 500).sum() - len(first) / 2) < 4 * 7.9


def test_who_has_no_image_gets_one_from_who_has_the_most() -> None:
    """A class is all one worker's at the least concentration. Among workers who have as many the first gives."""
    labels = np.repeat(np.arange(2, dtype=np.int32), 5)
    seen = set()
    for seed in range(40):
        sizes = [len(part) for part in Dirichlet(1e-3).parts(seed, labels, 3)]
        assert sorted(sizes) in ([1, 1, 8], [1, 4, 5])
        assert 4 not in sizes or sizes.index(4) < sizes.index(5)
        seen.add(tuple(sizes))
    assert {(1, 4, 5), (4, 1, 5), (4, 5, 1), (8, 1, 1), (1, 8, 1), (1, 1, 8)} == seen
    for seed in range(40):
        parts = Dirichlet(1e-3).parts(seed, np.repeat(np.arange(2, dtype=np.int32), (5, 7)), 3)
        assert sorted(map(len, parts)) in ([1, 1, 10], [1, 5, 6])


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
    assert "data_dir" in str(refused.value)
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
