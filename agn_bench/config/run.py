"""What a run is: the configuration, its name, and the validation of every option, once, where it enters.

Options are given by name with underscores, as in an experiment file; values may be text, as on a command line.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from agn_bench.base.inputs import BadInput, NeverAccepted, TooLarge, choose, number, shown, whole_number
from agn_bench.base.named import Chosen, Named
from agn_bench.base.quantities import declared_numbers
from agn_bench.clock import Profile, load_profile, profile_of
from agn_bench.clock.trace import Trace, read_trace
from agn_bench.config.defaults import PRESETS
from agn_bench.config.options import MAX_SEED, OPTIONS, defaults
from agn_bench.optimizers import LOCAL_OPTIMIZERS, LocalOptimizer, Optimizer
from agn_bench.problems.catalogue import DatasetEntry, Mlp

SEMANTICS_VERSION = 2
"""Raised when the same configuration gives other results than before."""

MAX_IMAGES_DRAWN = 10**9
# Measured: what a run's peak memory, results written out included, grows by.
_EXCHANGE_BYTES = 400
_STEP_BYTES = 80


@dataclass(frozen=True)
class RunConfig:
    """One run, completely: everything its results depend on but the machine, the package versions and the threads.

    A field that is added has a default: what the runs that were made without it were made with. It is in a run's name
    only where it has another value, so that those keep theirs.
    """

    optimizer: Chosen[Optimizer]
    workers: int
    local_steps: int
    """λ."""
    local_optimizer: Chosen[LocalOptimizer]
    batch_size: int
    model: Chosen[Mlp]
    dataset: Chosen[DatasetEntry]
    data_split: str
    gradient_steps: int
    """Asked for, of all workers together."""
    delays: Profile | Trace
    """What the timeline is simulated from, or the timeline itself."""
    reset_local_optimizer: bool
    eval_every: int | None
    """Exchanges between evaluations; None: 20 times, evenly."""
    window: float
    """Seconds of simulated time over which a point of the curve averages."""
    seed: int

    @classmethod
    def of(cls, **options: object) -> RunConfig:
        """A configuration from options of `agn-bench run` by name, with underscores; the rest is the preset's.

        Raises:
            BadInput: an option is unknown, or its value or two together cannot be used.
        """
        return resolve(options)

    @property
    def phases(self) -> int:
        """Local phases of each worker, the most if they differ; the rest of its share is not trained."""
        return self.gradient_steps // self.workers // self.local_steps

    @property
    def exchanges(self) -> int:
        return self.delays.timeline.exchanges if isinstance(self.delays, Trace) else self.workers * self.phases

    @property
    def epochs(self) -> float:
        """The work asked for, in passes over the training images."""
        return self.gradient_steps * self.batch_size / self.dataset.thing.train_images

    @property
    def program(self) -> tuple[object, ...]:
        """What XLA compiles for it: configurations that agree in this differ in numbers only, and share the programs
        (but for few workers, whose programs hold fewer exchanges: under eight on a CPU, under 32 on a GPU).
        """
        return (
            self.dataset.name,
            self.model.name,
            self.batch_size,
            self.local_optimizer.name,
            self.reset_local_optimizer,
            self.optimizer.name,
            self.local_steps,
        )

    @property
    def worker_bytes(self) -> int:
        """Memory for a worker: its parameters and the state of its local optimizer."""
        return self.message_bytes * (1 + self.local_optimizer.thing.slots)

    @property
    def memory_bytes(self) -> int:
        """Memory for the run, about, beside the program itself and the data set."""
        indices = 4 * self.gradient_steps * self.batch_size
        # Of an exchange its times, its row in commits.csv and the text of that; of a step its loss and its time.
        records = _EXCHANGE_BYTES * (self.gradient_steps // self.local_steps) + _STEP_BYTES * self.gradient_steps
        # The center and the worker being trained are there twice; the indices too, while they are shuffled.
        return (self.workers + 2) * self.worker_bytes + 2 * indices + records

    @property
    def message_bytes(self) -> int:
        """Of what a worker sends to the server and gets back."""
        return self.model.thing.message_bytes(self.dataset.thing)

    @property
    def run_id(self) -> str:
        return f"{self.optimizer}-n{self.workers}-l{self.local_steps}-s{self.seed}-{self.digest}"

    @property
    def digest(self) -> str:
        """8 hex digits of the hash of the configuration and the semantics version."""
        return digest_of(self.as_dict())

    @property
    def configuration(self) -> str:
        """The same without the seed: what runs have in common that may be averaged."""
        return digest_of({name: value for name, value in self.as_dict().items() if name != "seed"})

    def as_dict(self) -> dict[str, Any]:
        """What tells this run from all others, as in its run.json: only what applies, and of what came later only what
        is not at its default.
        """
        return {name: _plain(value) for name, value in self._values().items()}

    def command(self) -> str:
        """The command that makes this run, with every option spelled out and no path."""
        words = ["agn-bench", "run"]
        for name, value in self._values().items():
            flag = "--" + name.replace("_", "-")
            if isinstance(value, Profile | Trace):
                words += value.options or (flag, value.name)
            elif value is True:
                words.append(flag)
            elif value is not False:
                words += [flag, value.spelled if isinstance(value, Chosen) else str(value)]
        return shlex.join(words)

    def _values(self) -> dict[str, Any]:
        values = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}
        return {
            name: value
            for name, (value, default) in values.items()
            if value is not None and (default is MISSING or value != default)
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Chosen):
        return value.text
    return value.as_dict() if isinstance(value, Profile | Trace) else value


def digest_of(content: dict[str, Any], semantics: int | None = None) -> str:
    """8 hex digits of the hash of a configuration's values and the semantics version, by default the present one."""
    text = json.dumps({"semantics": SEMANTICS_VERSION if semantics is None else semantics, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def auto_local_steps(workers: int) -> int:
    """The smallest λ that is stable at constant staleness τ = n − 1: 1/λ < 2 sin(π / (2 (2τ + 1)))."""
    return math.floor(1 / (2 * math.sin(math.pi / (2 * (2 * workers - 1))))) + 1


def resolve(options: Mapping[str, object], like: Mapping[str, object] | None = None) -> RunConfig:
    """A valid configuration from the options given (None: not given), the preset and the defaults.

    Args:
        like: another run's options (RunConfig.as_dict), instead of a preset and the defaults.

    Raises:
        BadInput: an option's value, or two options together, cannot be used.
    """
    given = {name: value for name, value in options.items() if value is not None and value != [] and value != ()}
    for name in given:
        choose("option", name, sorted(OPTIONS))
    if like and "preset" in given:
        raise BadInput("preset", given["preset"], "given together with --like", "one of --preset and --like")
    preset = OPTIONS["preset"].read(given.get("preset", OPTIONS["preset"].default))
    if "epochs" in given and "gradient_steps" in given:
        accepted = "one of --epochs and --gradient-steps"
        raise BadInput(
            "epochs", given["epochs"], f"given together with --gradient-steps {given['gradient_steps']}", accepted
        )
    base = _options_of(like, given) if like else {**defaults(), **PRESETS[preset]}
    if "epochs" in given or "gradient_steps" in given:
        base.pop("epochs", None)
        base.pop("gradient_steps", None)
    if like:  # who names the same thing again without numbers leaves them as they were
        given_anew = {name: value for name, value in given.items() if str(base.get(name)).partition(":")[0] != value}
    else:
        given_anew = given
    merged = {**base, **given_anew}

    alone = {
        name: option.read(merged[name]) for name, option in OPTIONS.items() if option.stands_alone and name in merged
    }
    alone["local_optimizer"] = _with_rate(alone["local_optimizer"], merged, given)
    train_images = alone["dataset"].thing.train_images
    batch_size = whole_number("batch_size", merged["batch_size"], 1, train_images)
    delays = _delays(merged, "delays" in given or "delay" in given)
    if isinstance(delays, Trace):
        workers, local_steps, gradient_steps = _work_of_a_trace(delays, merged, given, train_images, batch_size)
    else:
        gradient_steps = _gradient_steps(merged, train_images, batch_size)
        workers, local_steps = _workers_and_local_steps(
            merged, gradient_steps, "local_steps" in given, "workers" in given
        )
    if merged["data_split"] == "sharded" and workers > train_images:
        raise BadInput("workers", workers, f"more than the {train_images} images to shard", f"1 to {train_images}")
    config = RunConfig(
        **{one.name: alone[one.name] for one in fields(RunConfig) if one.name in alone},
        workers=workers,
        local_steps=local_steps,
        batch_size=batch_size,
        gradient_steps=gradient_steps,
        delays=delays,
        eval_every=None,
    )
    if merged.get("eval_every", "auto") != "auto":
        every = whole_number("eval_every", merged["eval_every"], 1, config.exchanges, "exchanges, or auto")
        config = replace(config, eval_every=every)
    return config


def recorded_options(config: Mapping[str, object]) -> dict[str, object]:
    """The options of a run that its run.json has, in today's words: the first edition's had the numbers of optimizers
    beside them.

    Raises:
        ValueError: it is no configuration.
    """
    found = {name: value for name, value in config.items() if value is not None}
    if "learning_rate" in found:
        for owner, numbers in (("optimizer", ("alpha",)), ("local_optimizer", ("learning_rate", "momentum"))):
            own = [f"{name}={found.pop(name)}" for name in numbers if name in found]
            found[owner] = ":".join([str(found.get(owner)), *own])
    known = {one.name for one in fields(RunConfig)}
    needed = {one.name for one in fields(RunConfig) if one.default is MISSING} - {"eval_every"}
    if not needed <= found.keys() <= known:
        raise ValueError("no configuration")
    return found


def _options_of(like: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Another run's options, but for those that the ones given make senseless."""
    base = dict(like)
    for name, option in OPTIONS.items():
        if isinstance(option.names, Named) and name not in given and name in base:
            stem, colon, what = str(base[name]).partition(":")
            if colon and stem not in option.names.names():
                problem = f"of a user's file, {shown(stem)}, that is not in a run.json"
                raise BadInput(name, "", problem, f"the file, as in {re.sub('-[0-9a-f]{8}$', '', stem)}.py:{what}")
    delays = base["delays"]
    recorded = isinstance(delays, Mapping) and "trace" in delays
    if recorded and not {"timeline", "delays"} & given.keys():
        problem = f"recorded, {shown(delays)}, and not in a run.json"
        raise BadInput("timeline", "", problem, "the recorded timeline's file, or --delays")
    return {**base, "delays": OPTIONS["delays"].default} if recorded else base


def _with_rate(
    chosen: Chosen[LocalOptimizer], merged: Mapping[str, Any], given: Mapping[str, Any]
) -> Chosen[LocalOptimizer]:
    """The local optimizer with --learning-rate, the one number that has an option of its own."""
    if "learning_rate" not in merged:
        return chosen
    rate = merged["learning_rate"]
    declared = declared_numbers(type(chosen.thing)).get("learning_rate")
    if declared is None:
        raise BadInput("learning_rate", rate, f"{chosen} has none", "a local optimizer that has a learning rate")
    if "learning_rate=" in str(given.get("local_optimizer", "")):
        problem = f"given together with --local-optimizer {given['local_optimizer']}"
        raise BadInput("learning_rate", rate, problem, "one of the two")
    low, high, *_ = declared.accepted
    return LOCAL_OPTIMIZERS.with_numbers(chosen, {"learning_rate": number("learning_rate", rate, low, high)})


def with_seeds(config: RunConfig, seeds: object) -> list[RunConfig]:
    """The same configuration for `seeds` seeds, counting up from its own."""
    count = whole_number("seeds", seeds, 1, min(10_000, MAX_SEED - config.seed + 1))
    return [replace(config, seed=config.seed + i) for i in range(count)]


def _delays(merged: Mapping[str, Any], given: bool) -> Profile | Trace:
    settings = merged.get("delay", ())
    settings = [settings] if isinstance(settings, str) else settings
    if not isinstance(settings, list | tuple) or not all(isinstance(setting, str) for setting in settings):
        raise NeverAccepted("delay", shown(settings), "not a text or several", "as in server.mean=0.2")
    delays = merged["delays"]
    profile = profile_of(delays, settings) if isinstance(delays, Mapping) else load_profile(str(delays), settings)
    if "timeline" not in merged:
        return profile
    return replace(read_trace(Path(str(merged["timeline"]))), instead_of=profile, required=given)


def _work_of_a_trace(
    trace: Trace, merged: Mapping[str, object], given: Mapping[str, object], train_images: int, batch_size: int
) -> tuple[int, int, int]:
    """n, λ and the gradient steps: what the trace says, and what was asked for if that is the same."""
    workers = trace.timeline.workers
    if "workers" in given:
        whole_number("workers", given["workers"], workers, workers, "as the timeline has")
    most_steps = MAX_IMAGES_DRAWN // batch_size // workers // trace.phases
    if most_steps < 1:
        problem = f"{workers} workers with up to {trace.phases} exchanges are more than a run can hold"
        raise BadInput("timeline", trace.name, problem, "a shorter timeline")
    automatic = str(merged["local_steps"]) == "auto"
    local_steps = auto_local_steps(workers) if automatic else merged["local_steps"]
    local_steps = whole_number("local_steps", local_steps, 1, most_steps, "or auto")
    whole_phases = workers * trace.phases * local_steps
    asked = _gradient_steps(merged, train_images, batch_size)
    if asked // workers // local_steps == trace.phases:
        return workers, local_steps, asked
    for option in ("epochs", "gradient_steps"):
        if option in given:
            problem = f"not the {trace.phases} phases of {local_steps} local steps that the timeline's workers make"
            accepted = f"--gradient-steps {whole_phases}, or neither --epochs nor --gradient-steps"
            raise BadInput(option, given[option], problem, accepted)
    return workers, local_steps, whole_phases


def _gradient_steps(merged: Mapping[str, object], train_images: int, batch_size: int) -> int:
    most = MAX_IMAGES_DRAWN // batch_size
    if "gradient_steps" in merged:
        return whole_number("gradient_steps", merged["gradient_steps"], 1, most)
    least_epochs = batch_size / train_images
    most_epochs = most * batch_size / train_images
    epochs = number("epochs", merged["epochs"], least_epochs, most_epochs, "passes over the training images")
    # 2.01 passes over 60,000 images by 100 are 1,206 mini-batches, though the product of floats is just below.
    return max(1, math.floor(epochs * train_images / batch_size + 1e-9))


def _workers_and_local_steps(
    merged: Mapping[str, object], gradient_steps: int, steps_given: bool, workers_given: bool
) -> tuple[int, int]:
    """n and λ such that every worker's share ⌊gradient steps / n⌋ holds at least one whole phase."""
    automatic = str(merged["local_steps"]) == "auto"
    fixed = None if automatic else whole_number("local_steps", merged["local_steps"], 1, gradient_steps, "or auto")
    most = _most_workers(gradient_steps, fixed)
    if fixed is not None and steps_given and not workers_given:
        workers = whole_number("workers", merged["workers"], 1, gradient_steps)
    else:
        try:
            workers = whole_number("workers", merged["workers"], 1, most)
        except TooLarge:
            raise _too_many_workers(merged["workers"], gradient_steps, most, fixed) from None
    share = gradient_steps // workers
    if fixed is not None and fixed > share:
        problem = f"beyond a worker's share of {share} gradient steps ({gradient_steps} / {workers} workers)"
        raise BadInput("local_steps", fixed, problem, f"a whole number from 1 to {share}, or auto")
    return workers, auto_local_steps(workers) if fixed is None else fixed


def _too_many_workers(value: object, gradient_steps: int, most: int, fixed: int | None) -> BadInput:
    phase = "auto" if fixed is None else f"{fixed}"
    problem = f"a worker would not get one full phase of {phase} local steps out of {gradient_steps} gradient steps"
    return BadInput("workers", value, problem, f"a whole number from 1 to {most}, or more work, or fewer local steps")


def _most_workers(gradient_steps: int, local_steps: int | None) -> int:
    if local_steps is not None:
        return gradient_steps // local_steps
    low, high = 1, gradient_steps
    while low < high:  # the largest n with n λ(n) <= gradient steps; λ grows with n
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle * auto_local_steps(middle) <= gradient_steps else (low, middle - 1)
    return low
