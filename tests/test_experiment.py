"""Experiment files: the runs they give, and everything that is wrong with one, at once and with its line."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.config.experiment import MOST_RUNS, Experiment, read_experiment_file
from agn_bench.config.resolving import resolve
from agn_bench.config.selection import only

Write = Callable[[str], Path]

GRID = """
name = "grid"
description = "a test"
seeds = [3, 5]
[base]
preset = "quick"
workers = 10
learning_rate = 0.1
[[cells]]
optimizer = "agn"
local_steps = 15
[[cells]]
optimizer = ["easgd", "dynsgd"]
local_steps = [10, 30]
workers = 20
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        path = tmp_path / "some.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def read(path: Path, seeds: object = None) -> Experiment:
    return read_experiment_file(path, seeds)


def test_lists_multiply_out_and_a_cell_beats_the_base_and_the_base_the_preset(write: Write) -> None:
    experiment = read(write(GRID))
    assert (experiment.name, experiment.description) == ("grid", "a test")
    cells = [
        ("agn", 10, 15),
        ("easgd", 20, 10),
        ("easgd", 20, 30),
        ("dynsgd", 20, 10),
        ("dynsgd", 20, 30),
    ]
    got = [(c.optimizer.name, c.workers, c.local_steps, c.seed) for c in experiment.configs]
    assert got == [(*cell, seed) for cell in cells for seed in (3, 5)]
    expected = {"preset": "quick", "learning_rate": 0.1, "optimizer": "dynsgd", "local_steps": 30, "workers": 20}
    assert experiment.configs[-1] == resolve({**expected, "seed": 5})
    assert {config.model.name for config in experiment.configs} == {"mlp-small"}  # the preset's


def test_seeds_are_the_files_or_so_many_from_its_first(write: Write) -> None:
    assert [c.seed for c in read(write(GRID), "4").configs[:4]] == [3, 4, 5, 6]
    assert [c.seed for c in read(write('name = "one"\n[[cells]]\n')).configs] == [0]
    with pytest.raises(BadInput, match="seeds=0: too small"):
        read(write(GRID), "0")


def test_files_of_delays_and_timelines_are_found_from_the_experiment_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    profile = '[step]\ndistribution = "constant"\nmean = 1.0\n'
    (tmp_path / "mine.toml").write_text(profile)
    (tmp_path / "log.csv").write_text("worker,applied_s\n0,1\n1,2\n0,3\n1,4\n")
    cells = '[[cells]]\ndelays = ["mine.toml", "ideal"]\n[[cells]]\ntimeline = "log.csv"\n'
    configs = read(write(f'name = "x"\n{cells}')).configs
    assert [config.delays.name.split("-")[0] for config in configs] == ["mine", "ideal", "log"]
    assert configs[2].workers == 2
    with pytest.raises(BadInput, match=r"line 3, delays = .*gone\.toml: there is no such file"):
        read(write('name = "x"\n[[cells]]\ndelays = "gone.toml"\n'))


def test_settings_of_delays_multiply_out_too(write: Write) -> None:
    text = 'name = "x"\n[[cells]]\ndelay = ["server.mean=0.1", ["server.mean=0.2", "step.mean=1"]]\n'
    names = [config.delays.name for config in read(write(text)).configs]
    assert names == ["paper-cluster+server.mean=0.1", "paper-cluster+server.mean=0.2+step.mean=1"]


@pytest.mark.parametrize(
    ("conditions", "kept"),
    [
        (["workers=20"], 8),
        (["workers=10"], 2),
        (["optimizer=agn,easgd"], 6),
        (["optimizer=easgd", "local_steps=30"], 2),
        (["seed=5", "local_steps=30, 10"], 4),
        (["learning_rate=0.10"], 10),
        (["delays=paper-cluster"], 10),
        (["reset_local_optimizer=false"], 10),
        ([], 10),
    ],
)
def test_only_the_runs_that_meet_all_conditions(write: Write, conditions: list[str], kept: int) -> None:
    assert len(only(read(write(GRID)).configs, conditions)) == kept


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("data_split=mixed", 1),
        ("data_split=dirichlet", 2),
        ("data_split=sharded,dirichlet:concentration=0.10", 2),
        ("concentration=10", 1),
    ],
)
def test_only_the_runs_of_a_data_split(write: Write, condition: str, kept: int) -> None:
    splits = '["mixed", "sharded", "dirichlet:concentration=0.1", "dirichlet:concentration=10"]'
    configs = read(write(f'name = "x"\n[[cells]]\ndata_split = {splits}\n')).configs
    assert len(configs) == 4
    assert len(only(configs, [condition])) == kept


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("workers=30", r"only=workers=30: no run has it; accepted: workers of 10, 20"),
        ("worker=20", r"only=worker=20: unknown, did you mean workers\?"),
        ("workers", r"only=workers: not KEY=VALUE"),
        ("workers=", r"only=workers=: not KEY=VALUE"),
    ],
)
def test_a_condition_that_nothing_meets_is_refused(write: Write, condition: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        only(read(write(GRID)).configs, [condition])


def test_all_problems_of_a_file_are_in_one_message_with_their_lines(write: Write) -> None:
    path = write("""\
nam = "a"
seeds = [0, 0]

[base]
workers = 20
modle = "mlp-8"
batch_size = [8, 16]
[[cells]]
optimizer = ["agn", "esgd"]
local_steps = [
    10,
    -1,
]
delay = 7
[[cells]]
optimizer = 3
seed = 4
learning_rate = []
[[cells]]
preset = "quik"
""")
    with pytest.raises(BadInput) as refused:
        read(path)
    first, *lines = str(refused.value).splitlines()
    assert first == f"FILE {path}: 12 problems; nothing was run"
    assert [line.strip().split(":")[0] for line in lines] == [
        "name",
        "line 1, nam",
        "line 2, seeds = [0, 0]",
        "line 6, modle",
        "line 7, batch_size = [8, 16]",
        'line 9, optimizer = "esgd"',
        "line 10, local_steps = -1",
        "line 14, delay = 7",
        "line 16, optimizer = 3",
        "line 17, seed",
        "line 18, learning_rate = []",
        'line 20, preset = "quik"',
    ]
    assert all("; accepted: " in line for line in lines)
    assert "did you mean name?" in lines[1]
    assert "did you mean model?" in lines[3]
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


CELL = '\n[[cells]]\noptimizer = "agn"\n'
BAD_FILES = [
    ("name = \n", r"not TOML \(Invalid value \(at line 1"),
    ("\x00", "not TOML"),
    ("", "2 problems; nothing was run\n  name: missing.*\n  cells: missing"),
    ('name = "x"', r"a problem; nothing was run\n  cells: missing; accepted: \[\[cells\]\]"),
    ('name = "x"\ncells = []', "line 2, cells: empty"),
    ('name = "x"\ncells = 3', "line 2, cells = 3: not tables"),
    ('name = "x"\ncells = [1]', r"line 2, cells = \[1\]: not tables"),
    ('name = "x"\ncells = [\n  {workers = 3},\n  {workers = "3"},\n]', 'line 4, workers = "3": of the wrong type'),
    ('name = "x"\n[cells]\nworkers = 3', r"line 2, cells = .*: not tables"),
    ('name = "x"\n[[cell]]\nworkers = 3', r"line 2, cell: unknown, did you mean cells\?"),
    ('name = "a b"' + CELL, r'line 1, name = "a b": not a name; accepted: letters, digits'),
    ('name = "../x"' + CELL, r'line 1, name = "../x": not a name'),
    ('name = "."' + CELL, r'line 1, name = ".": not a name'),
    ("name = 7" + CELL, "line 1, name = 7: not a name"),
    ('name = "adhoc"' + CELL, 'line 1, name = "adhoc": the name of what `agn-bench run` makes'),
    ('name = "x"\ndescription = 1' + CELL, "line 2, description = 1: not a text"),
    ('name = "x"\nseeds = 3' + CELL, "line 2, seeds = 3: not different whole numbers"),
    ('name = "x"\nseeds = []' + CELL, r"line 2, seeds = \[\]: empty"),
    ('name = "x"\nseeds = [true]' + CELL, "line 2, seeds"),
    ('name = "x"\nseeds = [-1]' + CELL, "line 2, seeds"),
    ('name = "x"\nseeds = [0.0]' + CELL, "line 2, seeds"),
    ('name = "x"\nbase = 3' + CELL, "line 2, base = 3: not a table"),
    ('name = "x"' + CELL + 'workers = "20"', 'line 4, workers = "20": of the wrong type; accepted: a number'),
    ('name = "x"' + CELL + "workers = true", "line 4, workers = true: of the wrong type"),
    ('name = "x"' + CELL + "workers = 2.5", "line 4, workers = 2.5: not a whole number"),
    ('name = "x"' + CELL + "workers = {a = 1}", "line 4, workers = .*: of the wrong type"),
    ('name = "x"' + CELL + "workers = 1979-05-27", "line 4, workers = 1979-05-27: of the wrong type"),
    ('name = "x"' + CELL + "learning_rate = nan", "line 4, learning_rate = nan: not a number"),
    ('name = "x"' + CELL + "learning_rate = inf", "line 4, learning_rate = inf: not finite"),
    ('name = "x"' + CELL + 'local_steps = "many"', r'line 4, local_steps = "many": of the wrong type.*or "auto"'),
    ('name = "x"' + CELL + 'reset_local_optimizer = "yes"', "line 4, reset_local_optimizer.*true or false"),
    ('name = "x"' + CELL + "model = 8", "line 4, model = 8: of the wrong type; accepted: a text"),
    ('name = "x"' + CELL + "seeds = [1]", "line 4, seeds: not an option of a cell"),
    ('name = "x"' + CELL + 'out = "y"', "line 4, out: unknown"),
    ('name = "x"' + CELL + "delay = [[1]]", r"line 4, delay = \[1\]: of the wrong type"),
    ('name = "x"' + CELL + 'delay = "server.maen=1"', "line 4, delay = server.maen=1: unknown, did you mean mean"),
    ('name = "x"\n[base]\nworkers = 99999' + CELL, "line 3, workers = 99999: a worker would not get one full phase"),
    ('name = "x"' + CELL + "epochs = 1\ngradient_steps = 9", "line [45], .*: given together with"),
    ('name = "x"' + CELL + CELL, r"line 5, cell 2 \(agn, 20 workers, 14 local steps\): is in cell 1 already"),
    ('name = "x"' + CELL + "workers = [5, 5]", r"line 2, cell 1 \(agn, 5 workers, .*\): is in it twice"),
    ('name = "x"' + CELL + '[[cells]]\nlocal_steps = ["auto", 14]', r"line 4, cell 2 .*: is in cell 1 already"),
    (
        f'name = "x"\n[[cells]]\nworkers = {list(range(1, 102))}\nwindow = {list(range(1, 102))}',
        f"cells: too many runs; accepted: up to {MOST_RUNS}",
    ),
]


@pytest.mark.parametrize(("text", "says"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_a_bad_file_is_refused(write: Write, text: str, says: str) -> None:
    path = write(text)
    with pytest.raises(BadInput, match=says) as refused:
        read(path)
    assert str(refused.value).startswith(f"FILE {path}: ")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"FILE .*none.toml: there is no such file; accepted: an experiment file"):
        read(tmp_path / "none.toml")
    with pytest.raises(BadInput, match="not a file"):
        read(tmp_path)
    (tmp_path / "latin.toml").write_bytes('name = "ü"'.encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8 text"):
        read(tmp_path / "latin.toml")


def test_a_misspelt_key_does_not_cause_further_complaints(write: Write) -> None:
    """Two cells that differ in it only are not the same; 1,000 local steps are not too many for the default work."""
    text = 'name = "x"\n[base]\ngradient_stesp = 100000\nlocal_steps = 1000\n'
    text += "[[cells]]\nworkerz = 1\n[[cells]]\nworkerz = 2\n"
    with pytest.raises(BadInput) as refused:
        read(write(text))
    lines = str(refused.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "line 3, gradient_stesp",
        "line 6, workerz",
        "line 8, workerz",
    ]


EXPERIMENTS = Path(__file__).parent.parent / "experiments"
PROJECT = [path for path in sorted(EXPERIMENTS.rglob("*.toml")) if path.name != "claims.toml"]


def test_the_project_has_experiments() -> None:
    assert {"four-methods", "grid"} <= {path.stem for path in PROJECT}


@pytest.mark.parametrize("path", PROJECT, ids=lambda path: path.stem)
def test_the_projects_own_experiments_can_be_read(path: Path) -> None:
    for size in read(path).sizes or (None,):
        experiment = read_experiment_file(path, size=size)
        assert experiment.name == (f"{path.stem}-{size}" if size else path.stem)
        assert experiment.description
        assert experiment.configs


# --- sizes ---

SIZED = """
name = "sized"
seeds = [0]
[base]
workers = 10
learning_rate = 0.1
[[cells]]
local_steps = [5, 10]
[sizes.small]
base = { preset = "quick" }
[sizes.large]
seeds = [0, 1, 2]
base = { preset = "paper", learning_rate = 0.01 }
[[sizes.large.cells]]
optimizer = ["agn", "easgd"]
local_steps = 20
"""


def test_a_size_beats_the_base_and_replaces_seeds_and_cells(write: Write) -> None:
    path = write(SIZED)
    first = read_experiment_file(path)
    assert (first.name, first.sizes) == ("sized-small", ("small", "large"))
    assert first == read_experiment_file(path, size="small")
    assert [
        (c.local_steps, c.local_optimizer.number("learning_rate"), c.model.name, c.seed) for c in first.configs
    ] == [
        (5, 0.1, "mlp-small", 0),
        (10, 0.1, "mlp-small", 0),
    ]
    large = read_experiment_file(path, size="large")
    assert large.name == "sized-large"
    assert {
        (c.optimizer.name, c.local_steps, c.local_optimizer.number("learning_rate"), c.model.name)
        for c in large.configs
    } == {
        ("agn", 20, 0.01, "mlp-paper"),
        ("easgd", 20, 0.01, "mlp-paper"),
    }
    assert [c.seed for c in large.configs] == [0, 1, 2, 0, 1, 2]
    assert {c.workers for c in large.configs} == {10}


def test_the_work_of_a_cell_beats_that_of_the_base_by_either_name(write: Write) -> None:
    for base, cell in (("epochs = 1", "gradient_steps = 500"), ("gradient_steps = 9", "epochs = 0.5")):
        path = write(f'name = "x"\n[base]\nbatch_size = 4\n{base}{CELL}{cell}\n')
        assert [c.gradient_steps for c in read_experiment_file(path).configs] == [500]


def test_the_work_of_a_size_replaces_that_of_the_file(write: Write) -> None:
    text = SIZED.replace("workers = 10\n", "workers = 10\nepochs = 3\n", 1)
    text = text.replace('{ preset = "quick" }', '{ preset = "quick", gradient_steps = 500 }')
    assert {c.gradient_steps for c in read_experiment_file(write(text)).configs} == {500}
    assert {c.gradient_steps for c in read_experiment_file(write(text), size="large").configs} == {3 * 60_000 // 128}


def test_a_size_that_the_file_does_not_have_is_refused(write: Write) -> None:
    with pytest.raises(BadInput, match="size=huge: unknown; accepted: small, large"):
        read_experiment_file(write(SIZED), size="huge")
    with pytest.raises(BadInput, match="has no sizes"):
        read_experiment_file(write(GRID), size="small")


@pytest.mark.parametrize(
    ("old", "new", "size", "says"),
    [
        ('base = { preset = "quick" }', 'base = { preset = "vast" }', "small", "line 10, preset"),
        ('base = { preset = "quick" }', "base = 5", "small", "line 10, base = 5: not a table"),
        ("local_steps = 20", 'local_steps = "x"', "large", "line 16, local_steps"),
        ("seeds = [0, 1, 2]", "seeds = [1, 1]", "large", "line 12, seeds"),
        ("seeds = [0, 1, 2]", "speeds = 5", "large", "line 12, speeds: unknown"),
        ("workers = 10", "workers = 0", "large", "line 5, workers"),
        ("[sizes.small]", "[sizes]\nsmall = 1\n[other]", "small", "not tables"),
        ("[sizes.small]", '[sizes."../../elsewhere"]', "large", "not a name"),
        ("seeds = [0, 1, 2]", "speeds = 5", "small", "line 12, speeds: unknown"),  # of a size that is not asked for
        ("[base]\nworkers = 10\nlearning_rate = 0.1", "base = 3", "large", "line 4, base = 3: not a table"),
    ],
)
def test_problems_of_a_size_are_told_with_the_lines_of_the_file(
    write: Write, old: str, new: str, size: str, says: str
) -> None:
    assert old in SIZED
    with pytest.raises(BadInput) as refused:
        read_experiment_file(write(SIZED.replace(old, new, 1)), size=size)
    assert says in str(refused.value)
