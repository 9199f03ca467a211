"""From options to a configuration: every option is checked once, where it enters.

Options are given by name with underscores, as in an experiment file; values may be text, as on a command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agn_bench.base.chosen import Chosen
from agn_bench.base.inputs import BadInput, NeverAccepted, TooLarge, choose, number, shown, unknown, whole_number
from agn_bench.base.named import Named
from agn_bench.base.quantities import LARGEST, Accepted, declared_numbers, named_numbers
from agn_bench.base.user_code import BadUserFile, UserCodeError, called
from agn_bench.config.defaults import PRESETS
from agn_bench.config.options import OPTIONS, defaults
from agn_bench.config.run import RunConfig
from agn_bench.optimizers import LOCAL_OPTIMIZERS, OPTIMIZERS, LocalOptimizer
from agn_bench.optimizers.local_steps import LocalStepsRule
from agn_bench.problems import FRACTION, PROBLEMS, Problem
from agn_bench.problems.catalogue import DATASETS

if TYPE_CHECKING:
    from agn_bench.clock import Profile
    from agn_bench.clock.trace import Trace

MAX_IMAGES_DRAWN = 10**9
MOST_WORKERS = 100_000
"""The most workers of a run without shares."""
_MOST_DECISIONS = 10_000
"""On λ in a run."""


def resolve(options: Mapping[str, object], like: Mapping[str, object] | None = None) -> RunConfig:
    """A valid configuration from the options given (None: not given), the preset and the defaults.

    Args:
        like: another run's options (RunConfig.as_dict), instead of a preset and the defaults.

    Raises:
        BadInput: an option's value, or two options together, cannot be used.
    """
    given = {name: value for name, value in options.items() if value is not None and value != [] and value != ()}
    for name in given:
        if name not in OPTIONS:
            raise BadInput(name, "", unknown(name, OPTIONS), ", ".join(OPTIONS))
    if like and "preset" in given:
        raise BadInput("preset", given["preset"], "given together with `like`", "one of `preset` and `like`")
    preset = OPTIONS["preset"].read(given.get("preset", OPTIONS["preset"].default))
    if "epochs" in given and "gradient_steps" in given:
        accepted = "one of `epochs` and `gradient_steps`"
        raise BadInput(
            "epochs", given["epochs"], f"given together with `gradient_steps={given['gradient_steps']}`", accepted
        )
    given, problem = _problem(given, like)
    base: dict[str, Any]
    if like:
        base = _options_of(like, given)
    else:
        base = _nothing_said(preset, "preset" in given, problem, given)
        if "preset" not in given:
            base.update(OPTIMIZERS.choose(given.get("optimizer", base["optimizer"])).thing.trained_with)
    if "epochs" in given or "gradient_steps" in given:
        base.pop("epochs", None)
        base.pop("gradient_steps", None)
    if like:  # who names the same thing again without numbers leaves them as they were
        given_anew = {name: value for name, value in given.items() if str(base.get(name)).partition(":")[0] != value}
    else:
        given_anew = given
    only_time = "seconds" in given and not {"epochs", "gradient_steps"} & given.keys()
    if "timeline" in given and "shares" not in given:  # its work is what it holds
        base.pop("shares", None)
    elif only_time and {**base, **given}.get("shares") != "equal":
        base = {name: value for name, value in base.items() if name not in ("epochs", "gradient_steps")}
    merged = {**base, **given_anew}
    merged.setdefault("shares", "open" if "seconds" in merged and "timeline" not in merged else "equal")

    alone = {
        name: option.read(merged[name]) for name, option in OPTIONS.items() if option.stands_alone and name in merged
    }
    alone["local_optimizer"] = _with_rate(alone["local_optimizer"], merged, given)
    alone["local_steps_rule"] = _rule(alone.get("local_steps_rule"), alone["local_optimizer"])
    if alone["local_steps_rule"] is None:
        merged.pop("local_steps_rule", None)
    what = _with_data(problem, alone)
    examples = what.examples
    if "batch_size" not in given and not like:  # a small data set has fewer examples than the default
        merged["batch_size"] = min(merged["batch_size"], examples)
    batch_size = whole_number("batch_size", merged["batch_size"], 1, examples)

    from agn_bench.clock.trace import Trace  # with NumPy: now that the names are right

    delays = _delays(merged, "delays" in given or "delay" in given)
    automatic = partial(automatic_local_steps, delays, what)
    gradient_steps: int | None
    if alone["local_steps_rule"] is not None:
        _check_adaptive(alone["local_steps_rule"], isinstance(delays, Trace), merged)
    if isinstance(delays, Trace):
        if alone["shares"] == "open":
            raise BadInput("shares", "open", "of a recorded timeline, whose work is what it holds", "equal")
        workers, local_steps, gradient_steps = _work_of_a_trace(delays, merged, given, examples, batch_size, automatic)
    elif alone["shares"] == "open":
        workers, local_steps, gradient_steps = _open_work(merged, examples, batch_size, automatic)
    else:
        if not _has_work(merged):
            raise BadInput("shares", "equal", "without work to share out", "`epochs` or `gradient_steps` with it")
        gradient_steps = _gradient_steps(merged, examples, batch_size)
        workers, local_steps = _workers_and_local_steps(
            merged, gradient_steps, "local_steps" in given, "workers" in given, automatic
        )
    if alone["data_split"].thing.disjoint and workers > examples:
        raise BadInput("workers", workers, f"more than the {examples} examples to share out", f"1 to {examples}")
    config = RunConfig(
        **{"model": None, "dataset": None}
        | {one.name: alone[one.name] for one in fields(RunConfig) if one.name in alone},
        workers=workers,
        local_steps=local_steps,
        batch_size=batch_size,
        gradient_steps=gradient_steps,
        delays=delays,
        eval_every=None,
        until=_until(merged["until"], what) if "until" in merged else None,
    )
    check_rules(config)
    if config.leftover and (config.shares != "equal" or not config.simulated or config.local_steps_rule is not None):
        accepted = "equal shares of simulated work, and `local_steps_rule=fixed`"
        raise BadInput("leftover", "true", "of work that has no such steps", accepted)
    most = MAX_IMAGES_DRAWN // batch_size
    for one in (replace(config, local_steps_rule=None), config):  # by the rule only once they are few enough to plan
        if (steps := one.steps) > most:
            long = f"time for about {steps:.3g} gradient steps, more than a run can hold"
            longest = most / steps * alone["seconds"]
            accepted = f"up to about {longest:.3g} simulated seconds, or `gradient_steps` too"
            raise BadInput("seconds", alone["seconds"], long, accepted)
    if merged.get("eval_every", "auto") != "auto":
        most = config.exchanges if config.gradient_steps is not None else MAX_IMAGES_DRAWN
        every = whole_number("eval_every", merged["eval_every"], 1, most, "exchanges, or auto")
        config = replace(config, eval_every=every)
    return config


def _problem(
    given: Mapping[str, object], like: Mapping[str, object] | None
) -> tuple[dict[str, object], Chosen[Problem] | None]:
    """The options given, and the problem, if one is asked for that is not a model.

    A multilayer perceptron by `problem` of which nothing is said but its widths is the model of these, so that one run
    has one name.
    """
    text = given.get("problem", (like or {}).get("problem"))
    if "problem" not in given and "model" in given:
        text = None
    name, numbers = ("", "") if text is None else PROBLEMS.split(str(text))
    before = str((like or {}).get("problem", ""))
    named_again = name == "mlp" and not numbers and "model" not in given and PROBLEMS.split(before)[0] == name
    if named_again:  # it stays as it was
        return {key: value for key, value in given.items() if key != "problem"}, PROBLEMS.choose(before)
    if name == "mlp" and (not numbers or named_numbers(PROBLEMS.choose(text).thing).keys() <= {"hidden"}):
        given = {key: value for key, value in given.items() if key != "problem"}
        if numbers:
            if "model" in given:
                raise BadInput("model", given["model"], f"given together with `problem={text}`", "one of the two")
            given["model"] = "mlp-" + "-".join(map(str, PROBLEMS.choose(text).number("hidden")))
        elif before:
            given.setdefault("model", PRESETS[OPTIONS["preset"].default]["model"])
        return given, None
    if text is None:
        return dict(given), None
    if "model" in given:
        raise BadInput("model", given["model"], f"given together with `problem={text}`", "one of the two")
    return dict(given), PROBLEMS.choose(text)


def _nothing_said(
    preset: str, preset_given: bool, problem: Chosen[Problem] | None, given: Mapping[str, object]
) -> dict[str, Any]:
    """What holds where nothing is said: the defaults, the preset, and what the problem is best trained with."""
    if problem is None:
        return {**defaults(), **PRESETS[preset]}
    own = dict(problem.thing.trained_with)
    base = {**defaults(), **PRESETS[preset], **({} if preset_given else own)}
    if "epochs" in own and not preset_given:
        base.pop("gradient_steps", None)
    del base["model"]
    dataset = base.pop("dataset")
    if problem.thing.learns_from and DATASETS.choose(dataset).thing.kind in problem.thing.learns_from:
        base["dataset"] = dataset
    return base


def _with_data(problem: Chosen[Problem] | None, alone: dict[str, Any]) -> Problem:
    """What is trained, with the data set to learn from.

    Raises:
        BadInput: the problem cannot learn from it, or needs one.
    """
    if problem is None:
        kind: Problem = alone["model"].thing
    else:
        alone["problem"], kind = problem, problem.thing
        alone.pop("model", None)
    dataset, what = alone.get("dataset"), problem or alone["model"]
    accepted = f"a data set of kind {' or '.join(kind.learns_from)}"
    if dataset is None:
        if kind.learns_from and kind.needs_dataset:
            raise BadInput("dataset", "", f"not given, and {what} learns from one", accepted)
        if problem is not None and (unfit := kind.unfit()):
            raise BadInput("problem", problem.spelled, unfit, "numbers that go together")
        return kind
    if not kind.learns_from:
        raise BadInput("dataset", dataset.spelled, f"{problem} makes its own data", "no data set")
    if dataset.thing.kind not in kind.learns_from:
        raise BadInput(
            "dataset", dataset.spelled, f"of kind {dataset.thing.kind}, from which {what} does not learn", accepted
        )
    bound = kind.on(dataset.thing, dataset.label)
    if unfit := bound.unfit():
        raise BadInput("dataset", dataset.spelled, unfit, accepted)
    return bound


def check_rules(config: RunConfig) -> None:
    """Raise BadInput if its optimizer's rules cannot be followed by so many workers, or it misses a learning rate."""
    from agn_bench.clock.rules import Rules

    if config.optimizer.thing.needs_learning_rate and not hasattr(config.local_optimizer.thing, "learning_rate"):
        problem = f"has no learning rate, which the equation of {config.optimizer} needs"
        accepted = "a local optimizer with one, such as sgd"
        raise BadInput("local_optimizer", config.local_optimizer.spelled, problem, accepted)

    kind = type(config.optimizer.thing)
    call = f"{kind.__name__}.rules({config.workers})"
    with called(kind, call):
        rules = config.rules
    if not isinstance(rules, Rules):
        raise UserCodeError(f"{call} gave {shown(rules)}, not Rules(…)")
    if wrong := rules.problem(config.workers):
        problem, accepted = wrong
        raise BadInput("optimizer", config.optimizer.spelled, f"{problem}, with {config.workers} workers", accepted)
    if rules.grace_s and getattr(config.delays, "pull", "answer") == "separate":
        problem = "has a grace period, and the server's pulls are separate"
        raise BadInput(
            "optimizer", config.optimizer.spelled, problem, 'an optimizer without one, or server.pull = "answer"'
        )


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
    needed = {one.name for one in fields(RunConfig) if one.default is MISSING}
    needed -= {"eval_every", "gradient_steps", "model", "dataset"}  # which are not of every run
    if not needed <= found.keys() <= known or not found.keys() & {"model", "problem"}:
        raise ValueError("no configuration")
    return found


def resolve_like(options: Mapping[str, object], like: Mapping[str, object], file: object) -> RunConfig:
    """The configuration of another run, whose options `like` are from a file, but for the options given.

    Raises:
        BadInput: one cannot be used; of the file's the message names the file.
    """
    try:
        return resolve(options, like)
    except BadInput as error:
        if options.get(error.option) or not str(error.value) or isinstance(error, BadUserFile):
            raise
        problem = f"its {error.option} {shown(error.value)} cannot be used ({error.problem})"
        raise BadInput("like", file, problem, error.accepted) from None


def _options_of(like: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Another run's options, but for those that the ones given make senseless."""
    base = {name: value for name, value in like.items() if name != "problem" or "model" not in given}
    for name, option in OPTIONS.items():
        if not isinstance(option.names, Named) or name in given or name not in base:
            continue
        if file := option.names.file_of(str(base[name])):
            problem = f"of a user's file, {shown(str(base[name]).partition(':')[0])}, that is not in a run.json"
            raise BadInput(name, "", problem, f"the file, as in {file}")
    delays = base["delays"]
    recorded = isinstance(delays, Mapping) and "trace" in delays
    if recorded and not {"timeline", "delays"} & given.keys():
        problem = f"recorded, {shown(delays)}, and not in a run.json"
        raise BadInput("timeline", "", problem, "the recorded timeline's file, or `delays`")
    return {**base, "delays": OPTIONS["delays"].default} if recorded else base


def _with_rate(
    chosen: Chosen[LocalOptimizer], merged: Mapping[str, Any], given: Mapping[str, Any]
) -> Chosen[LocalOptimizer]:
    """The local optimizer with `learning_rate`, the one number that has an option of its own."""
    if "learning_rate" not in merged:
        return chosen
    rate = merged["learning_rate"]
    declared = declared_numbers(type(chosen.thing)).get("learning_rate")
    if declared is None or not isinstance(declared.accepted, Accepted):
        raise BadInput("learning_rate", rate, f"{chosen} has none", "a local optimizer that has a learning rate")
    if "learning_rate=" in str(given.get("local_optimizer", "")):
        problem = f"given together with `local_optimizer={given['local_optimizer']}`"
        raise BadInput("learning_rate", rate, problem, "one of the two")
    low, high, *_ = declared.accepted
    return LOCAL_OPTIMIZERS.with_numbers(chosen, {"learning_rate": number("learning_rate", rate, low, high)})


def _rule(
    chosen: Chosen[LocalStepsRule] | None, local_optimizer: Chosen[LocalOptimizer]
) -> Chosen[LocalStepsRule] | None:
    """What says λ of a phase; None if it is the same of all."""
    if chosen is None or chosen.name == "fixed":
        return None
    if chosen.thing.needs_rate and not hasattr(local_optimizer.thing, "learning_rate"):
        problem = f"goes by the learning rate, and {local_optimizer} has none"
        raise BadInput("local_steps_rule", chosen.spelled, problem, "a local optimizer that has a learning rate")
    return chosen


def _check_adaptive(rule: Chosen[LocalStepsRule], recorded: bool, merged: Mapping[str, Any]) -> None:
    """Refuse a rule that goes by what training gives where it cannot be followed."""
    from agn_bench.optimizers.adaptive_steps import AdaptiveSteps

    if not isinstance(rule.thing, AdaptiveSteps):
        return
    if recorded:
        problem = "decides as it goes, and a recorded timeline is over"
        raise BadInput("local_steps_rule", rule.spelled, problem, "simulated delays, or no rule")
    if "seconds" not in merged or _has_work(merged) or merged["shares"] != "open":
        problem = "decides at moments of simulated time, and something else than `seconds` ends the run"
        accepted = "`seconds`, without `epochs`, `gradient_steps` and equal shares"
        raise BadInput("local_steps_rule", rule.spelled, problem, accepted)
    interval = getattr(rule.thing, "interval", None)
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < math.inf:
        raise UserCodeError(f"{type(rule.thing).__name__}.interval is {shown(interval)}, not seconds above 0")
    seconds = OPTIONS["seconds"].read(merged["seconds"])
    if seconds / interval > _MOST_DECISIONS:
        problem = f"more than {_MOST_DECISIONS} intervals of {interval:g} s in `seconds={seconds:g}`"
        accepted = f"an interval of at least {seconds / _MOST_DECISIONS:g} s"
        raise BadInput("local_steps_rule", rule.spelled, problem, accepted)


def _delays(merged: Mapping[str, Any], given: bool) -> Profile | Trace:
    settings = merged.get("delay", ())
    settings = [settings] if isinstance(settings, str) else settings
    if not isinstance(settings, list | tuple) or not all(isinstance(setting, str) for setting in settings):
        raise NeverAccepted("delay", shown(settings), "not a text or several", "as in server.mean=0.2")
    from agn_bench.clock import load_profile, profile_of
    from agn_bench.clock.trace import read_trace

    delays = merged["delays"]
    profile = profile_of(delays, settings) if isinstance(delays, Mapping) else load_profile(str(delays), settings)
    if "timeline" in merged:
        trace = read_trace(Path(str(merged["timeline"])), merged.get("columns"))
        return replace(trace, instead_of=profile, required=given)
    if "columns" in merged:
        raise BadInput("columns", merged["columns"], "without a file that has them", "`timeline` with it")
    return profile


def automatic_local_steps(delays: Profile | Trace, trained: Problem, workers: int) -> int:
    """λ where it is `auto`: the least with which AGN is stable on this clock (see clock.stability)."""
    from agn_bench.clock import Profile, stability

    if isinstance(delays, Profile):
        return stability.stable_local_steps(delays, workers, trained.message_bytes)
    return stability.stable_local_steps_of(delays.timeline.worker, workers)


def _work_of_a_trace(
    trace: Trace,
    merged: Mapping[str, object],
    given: Mapping[str, object],
    examples: int,
    batch_size: int,
    automatic: Callable[[int], int],
) -> tuple[int, int, int]:
    """n, λ and the gradient steps: what the trace says, and what was asked for if that is the same."""
    workers = trace.timeline.workers
    if "workers" in given:
        whole_number("workers", given["workers"], workers, workers, "as the timeline has")
    most_steps = MAX_IMAGES_DRAWN // batch_size // workers // trace.phases
    if most_steps < 1:
        problem = f"{workers} workers with up to {trace.phases} exchanges are more than a run can hold"
        raise BadInput("timeline", trace.name, problem, "a shorter timeline")
    local_steps = automatic(workers) if str(merged["local_steps"]) == "auto" else merged["local_steps"]
    local_steps = whole_number("local_steps", local_steps, 1, most_steps, "or auto")
    if trace.timeline.own_steps is not None or "local_steps_rule" in merged:
        return workers, *_varied_work_of_a_trace(trace, local_steps, merged, given, examples, batch_size)
    whole_phases = workers * trace.phases * local_steps
    asked = _gradient_steps(merged, examples, batch_size) if _has_work(merged) else 0
    if asked // workers // local_steps == trace.phases:
        return workers, local_steps, asked
    for option in ("epochs", "gradient_steps"):
        if option in given:
            problem = f"not the {trace.phases} phases of {local_steps} local steps that the timeline's workers make"
            accepted = f"`gradient_steps={whole_phases}`, or neither `epochs` nor `gradient_steps`"
            raise BadInput(option, given[option], problem, accepted)
    return workers, local_steps, whole_phases


def _varied_work_of_a_trace(
    trace: Trace,
    local_steps: int,
    merged: Mapping[str, object],
    given: Mapping[str, object],
    examples: int,
    batch_size: int,
) -> tuple[int, int]:
    """λ and the gradient steps of a trace that says the steps of each phase, of which λ is the most; or with a rule, by
    which it is to be the run of its delays, those that were asked for (see timing.recognised).
    """
    timeline, ruled = trace.timeline, "local_steps_rule" in merged
    share = int((timeline.steps_before + timeline.steps).max())
    if not ruled:
        if "local_steps" in given:
            most = timeline.local_steps
            local_steps = whole_number("local_steps", local_steps, most, most, "the most of a phase in the timeline")
        local_steps = timeline.local_steps
    asked = _gradient_steps(merged, examples, batch_size) if _has_work(merged) else 0
    if asked // timeline.workers >= share and (ruled or asked // timeline.workers == share):
        return local_steps, asked
    whole = timeline.workers * share
    for option in ("epochs", "gradient_steps"):
        if option in given:
            problem = f"not the up to {share} local steps that the timeline's workers make"
            accepted = f"`gradient_steps={whole}`, or neither `epochs` nor `gradient_steps`"
            raise BadInput(option, given[option], problem, accepted)
    if share > MAX_IMAGES_DRAWN // batch_size // timeline.workers:
        problem = f"{timeline.workers} workers with up to {share} local steps are more than a run can hold"
        raise BadInput("timeline", trace.name, problem, "a shorter timeline")
    return local_steps, whole


def _open_work(
    merged: Mapping[str, object], examples: int, batch_size: int, automatic: Callable[[int], int]
) -> tuple[int, int, int | None]:
    """n, λ and the gradient steps of workers that have no shares."""
    has_work = _has_work(merged)
    if not has_work and "seconds" not in merged:
        raise BadInput("shares", "open", "without an end", "`seconds`, `epochs` or `gradient_steps` with it")
    gradient_steps = _gradient_steps(merged, examples, batch_size) if has_work else None
    workers = whole_number("workers", merged["workers"], 1, MOST_WORKERS)
    most = MAX_IMAGES_DRAWN // batch_size if gradient_steps is None else gradient_steps
    if str(merged["local_steps"]) != "auto":
        return workers, whole_number("local_steps", merged["local_steps"], 1, most, "or auto"), gradient_steps
    if (local_steps := automatic(workers)) > most:
        problem = f"one phase of {local_steps} local steps is more than all the work, {most} steps"
        raise BadInput("workers", workers, problem, "more work, or fewer local steps or workers")
    return workers, local_steps, gradient_steps


def _until(text: object, what: Problem) -> str:
    """A target, MEASURE=VALUE, checked."""
    columns = [*map(what.column, what.measures)]
    measure, equals, value = (part.strip() for part in str(text).partition("="))
    if not equals:
        raise NeverAccepted("until", text, "not MEASURE=VALUE", f"as in {columns[0]}=0.95")
    column = choose("until", measure, columns)
    low, high = (0.0, 1.0) if column.endswith(FRACTION) else (-LARGEST, LARGEST)
    return f"{column}={number('until', value, low, high, f'for {column}')}"


def _has_work(merged: Mapping[str, object]) -> bool:
    return "gradient_steps" in merged or "epochs" in merged


def _gradient_steps(merged: Mapping[str, object], examples: int, batch_size: int) -> int:
    most = MAX_IMAGES_DRAWN // batch_size
    if "gradient_steps" in merged:
        return whole_number("gradient_steps", merged["gradient_steps"], 1, most)
    least_epochs = batch_size / examples
    most_epochs = most * batch_size / examples
    epochs = number("epochs", merged["epochs"], least_epochs, most_epochs, "passes over the training set")
    # 2.01 passes over 60,000 images by 100 are 1,206 mini-batches, though the product of floats is just below.
    return max(1, math.floor(epochs * examples / batch_size + 1e-9))


def _workers_and_local_steps(
    merged: Mapping[str, object],
    gradient_steps: int,
    steps_given: bool,
    workers_given: bool,
    automatic: Callable[[int], int],
) -> tuple[int, int]:
    """n and λ such that every worker's share ⌊gradient steps / n⌋ holds at least one whole phase."""
    if str(merged["local_steps"]) == "auto":
        workers = _workers(merged["workers"], gradient_steps, gradient_steps, None)
        if (local_steps := automatic(workers)) > gradient_steps // workers:
            raise _too_many_workers(workers, gradient_steps, "fewer", local_steps)
        return workers, local_steps
    fixed = whole_number("local_steps", merged["local_steps"], 1, gradient_steps, "or auto")
    if steps_given and not workers_given:
        workers = whole_number("workers", merged["workers"], 1, gradient_steps)
    else:
        workers = _workers(merged["workers"], gradient_steps, gradient_steps // fixed, fixed)
    share = gradient_steps // workers
    if fixed > share:
        problem = f"beyond a worker's share of {share} gradient steps ({gradient_steps} / {workers} workers)"
        raise BadInput("local_steps", fixed, problem, f"a whole number from 1 to {share}, or auto")
    return workers, fixed


def _workers(value: object, gradient_steps: int, most: int, local_steps: int | None) -> int:
    try:
        return whole_number("workers", value, 1, most)
    except TooLarge:
        raise _too_many_workers(value, gradient_steps, f"a whole number from 1 to {most}", local_steps) from None


def _too_many_workers(value: object, gradient_steps: int, fewer: str, local_steps: int | None) -> BadInput:
    phase = "" if local_steps is None else f" of {local_steps} local steps"
    problem = f"a worker would not get one full phase{phase} out of {gradient_steps} gradient steps"
    return BadInput("workers", value, problem, f"{fewer}, or more work, or fewer local steps")
