"""A configuration: defaults, presets, identity."""

from __future__ import annotations

import json
import pickle
import shlex
from dataclasses import fields, replace

import pytest

from agn_bench.base.inputs import BadInput
from agn_bench.clock.stability import stable_at_constant_staleness
from agn_bench.config import run as config
from agn_bench.config.options import OPTIONS
from agn_bench.config.resolving import resolve
from agn_bench.config.run import with_seeds


@pytest.mark.parametrize(("workers", "local_steps"), [(1, 1), (10, 7), (20, 13), (40, 26)])
def test_the_least_at_constant_staleness_is_that_of_the_stability_limit(workers: int, local_steps: int) -> None:
    assert stable_at_constant_staleness(workers) == local_steps


@pytest.mark.parametrize("workers", [2, 5, 10, 40, 100])
def test_the_least_at_constant_staleness_is_where_the_delayed_recursion_turns_stable(workers: int) -> None:
    """x ← x − x_τ/λ with τ = n − 1 decays at auto λ and not one below it: simulated, not by the formula."""

    def decays(local_steps: int) -> bool:
        past = [1.0] * workers
        for _ in range(400 * workers):
            past.append(past[-1] - past[-workers] / local_steps)
        return max(map(abs, past[-6 * workers :])) < 0.99 * max(map(abs, past[200 * workers : 206 * workers]))

    assert decays(stable_at_constant_staleness(workers))
    assert not decays(stable_at_constant_staleness(workers) - 1)


def test_with_nothing_given_it_is_the_quick_preset() -> None:
    quick = resolve({})
    assert (quick.optimizer.name, quick.dataset.name, quick.model.name) == ("agn", "mnist-5k", "mlp-small")
    assert (quick.local_optimizer.text, quick.batch_size) == ("sgd:learning_rate=0.3", 128)
    assert (quick.gradient_steps, quick.delays.name, quick.local_steps) == (10_400, "paper-cluster", 14)


def test_the_paper_preset_is_the_protocol() -> None:
    paper = resolve({"preset": "paper", "workers": "20", "local_steps": "15"})
    assert (paper.dataset.name, paper.model.name) == ("mnist", "mlp-paper")
    assert paper.local_optimizer.text == "adam:learning_rate=0.001"
    assert (paper.batch_size, paper.gradient_steps, paper.epochs) == (128, 18_750, 40.0)
    assert (paper.phases, paper.exchanges) == (62, 1240)


def test_a_given_option_beats_the_preset_and_the_two_amounts_of_work_replace_each_other() -> None:
    assert resolve({"epochs": "10"}).gradient_steps == 312  # 312.5 mini-batches
    assert resolve({"dataset": "mnist", "epochs": "2.01", "batch_size": 100}).gradient_steps == 1206
    assert resolve({"epochs": "0.25025", "batch_size": 1001, "workers": 1}).gradient_steps == 1
    assert resolve({"preset": "paper", "gradient_steps": 5000}).gradient_steps == 5000
    assert resolve({"local_optimizer": "adam"}).local_optimizer.number("learning_rate") == 1e-3
    assert resolve({"local_optimizer": "adam", "learning_rate": 0.01}).local_optimizer.text == "adam:learning_rate=0.01"


def test_numbers_belong_to_who_has_them() -> None:
    assert resolve({}).optimizer.text == "agn"
    assert resolve({"optimizer": "easgd"}).optimizer.text == "easgd:alpha=0.05"
    assert resolve({}).local_optimizer.text == "sgd:learning_rate=0.3"
    assert resolve({"local_optimizer": "momentum"}).local_optimizer.number("momentum") == 0.9


def test_a_data_split_without_numbers_is_its_name_in_a_run() -> None:
    """As in the runs that were made when a split was a name and nothing else."""
    for split in ("mixed", "sharded"):
        made = resolve({"data_split": split})
        assert (made.as_dict()["data_split"], made.data_split.text) == (split, split)
    assert resolve({}).as_dict()["data_split"] == "mixed"
    made = resolve({"data_split": "dirichlet:concentration=1e-1"})
    assert made.as_dict()["data_split"] == "dirichlet:concentration=0.1"
    assert made.run_id not in {resolve({"data_split": f"dirichlet:concentration={x}"}).run_id for x in (0.2, 1e-3, 1e6)}
    assert resolve({}, made.as_dict()) == made


def test_where_each_image_is_one_workers_there_are_as_many_workers_as_images_at_most(quick_dataset: str) -> None:
    given = {"dataset": quick_dataset, "batch_size": 1, "gradient_steps": 1000, "local_steps": 1}
    assert resolve({**given, "workers": 301}).workers == 301
    for split in ("sharded", "dirichlet:concentration=1"):
        assert resolve({**given, "workers": 300, "data_split": split}).workers == 300
        with pytest.raises(BadInput, match="workers=301: more than the 300 examples to share out; accepted: 1 to 300"):
            resolve({**given, "workers": 301, "data_split": split})


def test_the_run_id_names_the_run_and_changes_with_anything_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = resolve({"workers": 40})
    assert one.run_id.startswith("agn-n40-l28-s0-")
    assert one.run_id == resolve({"workers": "40", "preset": "quick", "local_steps": "28"}).run_id
    others = [
        resolve({"workers": 40, name: value})
        for name, value in {
            "learning_rate": 0.31,
            "window": 4,
            "data_split": "sharded",
            "delays": "ideal",
            "eval_every": 7,
            "model": "mlp-9",
            "batch_size": 127,
            "gradient_steps": 10_401,
            "reset_local_optimizer": True,
        }.items()
    ]
    slower = replace(one, delays=replace(one.delays, name="paper-cluster", order="fifo"))
    ids = {run.digest for run in [one, *others, slower]}
    assert len(ids) == len(others) + 2
    described = replace(one, delays=replace(one.delays, description="in other words"))
    assert described.run_id == one.run_id
    monkeypatch.setattr(config, "SEMANTICS_VERSION", config.SEMANTICS_VERSION + 1)
    assert resolve({"workers": 40}).digest not in ids


def test_configurations_differ_by_anything_but_the_seed() -> None:
    one = resolve({"workers": 40})
    assert resolve({"workers": 40, "seed": 7}).configuration == one.configuration != one.digest
    assert resolve({"workers": 40, "eval_every": 5}).configuration != one.configuration


def test_the_command_makes_the_same_configuration_again() -> None:
    for options in (
        {"optimizer": "easgd", "eval_every": 5},
        {"preset": "paper", "reset_local_optimizer": True, "workers": 3},
    ):
        made = resolve(options)
        words = shlex.split(made.command())[2:]
        again = {}
        while words:
            name = words.pop(0).removeprefix("--").replace("-", "_")
            again[name] = True if name == "reset_local_optimizer" else words.pop(0)
        assert resolve(again) == made


def test_the_dictionary_is_plain_json() -> None:
    made = resolve({"optimizer": "easgd"})
    assert json.loads(json.dumps(made.as_dict())) == made.as_dict()


def test_every_part_of_a_configuration_is_an_option() -> None:
    assert {one.name for one in fields(config.RunConfig)} <= OPTIONS.keys()


def test_seeds_count_up_from_the_first() -> None:
    assert [run.seed for run in with_seeds(resolve({"seed": 5}), "3")] == [5, 6, 7]
    with pytest.raises(BadInput, match="seeds=2: too large"):
        with_seeds(resolve({"seed": config.MAX_SEED}), 2)


def test_the_largest_number_of_workers_named_is_the_largest_that_works() -> None:
    with pytest.raises(BadInput) as refused:
        resolve({"workers": 5000, "local_steps": 7})
    most = int(refused.value.accepted.split("from 1 to ")[1].split(",")[0])
    assert resolve({"workers": most, "local_steps": 7}).phases >= 1
    with pytest.raises(BadInput):
        resolve({"workers": most + 1, "local_steps": 7})
    with pytest.raises(BadInput, match="would not get one full phase of 3183 local steps"):
        resolve({"workers": 5000})


def test_another_process_hashes_a_configuration_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have another version, for which the same configuration has another name."""
    one = resolve({"workers": 3})
    name = one.run_id
    sent = pickle.dumps(one)
    monkeypatch.setattr(config, "SEMANTICS_VERSION", config.SEMANTICS_VERSION + 1)
    assert pickle.loads(sent) == one
    assert pickle.loads(sent).run_id != name
