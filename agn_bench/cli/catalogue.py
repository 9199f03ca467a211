"""The rows that `list` shows: every name a user can choose, with what it means and where it comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agn_bench.base.inputs import BadInput, reason_of
from agn_bench.base.named import Named
from agn_bench.base.quantities import declared_numbers
from agn_bench.clock import profile_names
from agn_bench.clock.distributions import DISTRIBUTIONS
from agn_bench.clock.profile import TABLES
from agn_bench.clock.profile_files import shipped_tables
from agn_bench.clock.rules import in_words
from agn_bench.clock.speeds import SPEEDS
from agn_bench.config.defaults import PRESETS
from agn_bench.config.experiment import read_experiment_file
from agn_bench.config.shipped import CLAIMS, shipped_experiments
from agn_bench.optimizers import FAMILIES, LOCAL_OPTIMIZERS, OPTIMIZERS, Optimizer
from agn_bench.optimizers.local_steps import LOCAL_STEPS_RULES
from agn_bench.optimizers.schedules import SCHEDULES
from agn_bench.paper.artefacts import ARTEFACTS
from agn_bench.problems import PROBLEMS
from agn_bench.problems.catalogue import DATASETS, MODELS, SPLITS

Row = dict[str, str]


def optimizers() -> dict[str, list[Row]]:
    """All optimizers by their family: first the families that are shipped, in their order, then others."""
    rows: dict[str, list[Row]] = {family: [] for family in FAMILIES}
    for name, found in _all(OPTIMIZERS):
        row = {
            "optimizer": name,
            "equation": _about(found),
            "rules": _rules(found),
            "numbers": _numbers(found),
            "source": str(getattr(found, "source", "")),
        }
        rows.setdefault(str(getattr(found, "family", "")) or "of other packages", []).append(row)
    return {family: members for family, members in rows.items() if members}


def _rules(kind: Any) -> str:
    """What an optimizer with its numbers at their defaults asks of the clock, in words; a dash if that is not known."""
    if getattr(kind, "timeline", Optimizer.timeline) is not Optimizer.timeline:
        about = _about(kind.timeline) or "a clock of its own"
        return about[0].lower() + about[1:]
    try:
        return in_words(kind().rules)
    except Exception:  # of other packages: a number has no default, or something is wrong that a run will say
        return "–"


def _optimizers() -> dict[str, list[Row]]:
    """In two columns, as five are too many for a terminal."""
    tables = {}
    for family, rows in optimizers().items():
        about = f": {FAMILIES[family]}".rstrip(".") if family in FAMILIES else ""
        tables[f"optimizers, {family}{about}"] = [
            {
                "optimizer": "\n".join([row["optimizer"], *(f"  {number}" for number in row["numbers"].split())]),
                "equation, rules and source": f"{row['equation']}\nrules: {row['rules']}\n{row['source']}".rstrip(),
            }
            for row in rows
        ]
    return tables


def _local_optimizers() -> list[Row]:
    return [
        {"local optimizer": name, "what": _about(found), "numbers": _numbers(found)}
        for name, found in _all(LOCAL_OPTIMIZERS)
    ]


def _schedules() -> list[Row]:
    return [{"schedule": name, "what": _about(found), "numbers": _numbers(found)} for name, found in _all(SCHEDULES)]


def _local_steps_rules() -> list[Row]:
    return [
        {"rule of λ": name, "what": _about(found), "numbers": _numbers(found)}
        for name, found in _all(LOCAL_STEPS_RULES)
    ]


def _problems() -> list[Row]:
    return [
        {
            "problem": name,
            "what": _about(found),
            "numbers": _numbers(found),
            "learns from": _learns_from(found),
        }
        for name, found in _all(PROBLEMS)
    ]


def _learns_from(kind: Any) -> str:
    kinds = " or ".join(getattr(kind, "learns_from", ()))
    if not kinds:
        return "its own data"
    return kinds if kind.needs_dataset else f"{kinds}, or its own data"


def _distributions() -> list[Row]:
    return [
        {"distribution": name, "what": _about(found), "numbers": _numbers(found)} for name, found in _all(DISTRIBUTIONS)
    ]


def _speeds() -> list[Row]:
    return [{"speeds": name, "what": _about(found), "numbers": _numbers(found)} for name, found in _all(SPEEDS)]


def _data_splits() -> list[Row]:
    return [{"data split": name, "what": _about(found), "numbers": _numbers(found)} for name, found in _all(SPLITS)]


def _all(named: Named[Any]) -> list[tuple[str, Any]]:
    """What is shipped and what other packages add, by name."""
    found = []
    for name in named.names():
        try:
            found.append((name, named.kind(name)[1]))
        except BadInput as error:
            problem = reason_of(error)
            found.append((name, type(name, (), {"__doc__": problem, "__dataclass_fields__": {}})))
    return found


def _about(kind: Any) -> str:
    """The first paragraph of its docstring."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split()).rstrip(".")


def _numbers(kind: Any) -> str:
    """As in `alpha=0.05`; without a default, the name alone."""
    return " ".join(
        number.name if number.required else f"{number.name}={number.default}"
        for number in declared_numbers(kind).values()
    )


KINDS: dict[str, Named[Any]] = {
    "optimizer": OPTIMIZERS,
    "local optimizer": LOCAL_OPTIMIZERS,
    "schedule": SCHEDULES,
    "local steps rule": LOCAL_STEPS_RULES,
    "problem": PROBLEMS,
    "distribution": DISTRIBUTIONS,
    "speeds": SPEEDS,
    "model": MODELS,
    "data set": DATASETS,
    "data split": SPLITS,
}


def described(text: str) -> list[tuple[str, str, list[Row]]]:
    """What is called so, or stands in a user's file: what kind of thing it is, what it says of itself, and a row for
    each number. A name may be of several kinds, as `gamma` is.

    Raises:
        BadInput: it is in a user's file, and cannot be used.
    """
    in_file = [(what, kind) for what, kind in KINDS.items() if kind.is_in_a_file(text)]
    if in_file:
        named = [(what, kind) for what, kind in in_file if kind.has(text)] or in_file[:1]
    else:
        named = [(what, kind) for what, kind in KINDS.items() if text in kind.names()]
    found = []
    for what, kind in named:
        name, thing = kind.kind(text, "WHAT")
        numbers = declared_numbers(thing) if isinstance(thing, type) else {}
        rows = [
            {
                "number": number.name,
                "what": number.help.rstrip("."),
                "accepted": str(number.accepted),
                "default": "–" if number.required else str(number.default),
            }
            for number in numbers.values()
        ]
        if any(number.search is not None for number in numbers.values()):
            for row, number in zip(rows, numbers.values(), strict=True):
                row["searched by tune"] = "–" if number.search is None else str(number.search)
        about = inspect.cleandoc(thing.__doc__ or "") if isinstance(thing, type) else str(thing)
        found.append((f"{what} {name}", about, rows))
    return found


def _models() -> list[Row]:
    rows = [{"model": name, "hidden widths": " ".join(map(str, model.hidden))} for name, model in MODELS.items()]
    return [*rows, {"model": "mlp-W[-W…]", "hidden widths": "any, as in mlp-300-100"}]


def _datasets() -> list[Row]:
    return [
        {
            "data set": name,
            "examples": f"{entry.kind} {' x '.join(map(str, entry.shape))}, {entry.classes} classes; "
            f"{entry.train_examples} / {entry.test_examples}",
            "what": f"{entry.description} ({'installed' if entry.embedded else 'data fetch, or --data-dir'})",
            "licence and citation": f"{entry.licence}; {entry.citation}",
        }
        for name, entry in DATASETS.items()
    ]


def _delays() -> list[Row]:
    rows = []
    for name in profile_names():
        tables = shipped_tables(name)
        parts = {part: tables[part] for part in TABLES if part in tables}
        parameters = [f"{part}: {', '.join(map(_parameter, table.items()))}" for part, table in parts.items()]
        rows.append(
            {
                "delays": name,
                "what": f"{tables['description']} ({tables['source']})",
                "parameters": "\n".join(parameters),
            }
        )
    return rows


def _parameter(item: tuple[str, object]) -> str:
    """A value with its name, but for words that say by themselves what they are."""
    key, value = item
    if key in ("distribution", "speeds", "order"):
        return str(value)
    return f"{key} {value:g}" if isinstance(value, int | float) else f"{key} {value}"


def _presets() -> list[Row]:
    return [
        {"preset": name, "options": " ".join(f"--{key.replace('_', '-')} {value}" for key, value in options.items())}
        for name, options in PRESETS.items()
    ]


def _experiments() -> list[Row]:
    """Those that come with the program, by name, and those of a folder `experiments` here."""
    shipped = shipped_experiments()
    known = {path.resolve() for path in shipped.values()}
    here = [path for path in sorted(Path("experiments").rglob("*.toml")) if path.name != CLAIMS]
    rows = []
    for name, path in {**shipped, **{str(path): path for path in here if path.resolve() not in known}}.items():
        try:
            experiment = read_experiment_file(path)
            runs, what = str(len(experiment.configs)), experiment.description
            if experiment.sizes:
                runs = ", ".join(f"{size} {count}" for size, count in experiment.runs_at.items())
        except BadInput as error:
            runs, what = "–", reason_of(error)
        rows.append({"experiment": name, "runs": runs, "what": what})
    return rows


def _artefacts() -> list[Row]:
    return [
        {"artefact": name, "what": entry.title, "runs of": " ".join(entry.experiments) or "–"}
        for name, entry in ARTEFACTS.items()
    ]


SECTIONS: dict[str, Callable[[], list[Row] | dict[str, list[Row]]]] = {
    "optimizers": _optimizers,
    "local-optimizers": _local_optimizers,
    "schedules": _schedules,
    "local-steps-rules": _local_steps_rules,
    "problems": _problems,
    "distributions": _distributions,
    "speeds": _speeds,
    "models": _models,
    "datasets": _datasets,
    "data-splits": _data_splits,
    "delays": _delays,
    "presets": _presets,
    "experiments": _experiments,
    "artefacts": _artefacts,
}
"""What can be listed: a table, or several by their titles."""
