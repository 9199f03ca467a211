"""Where each shipped optimizer is stable: growth rates by λ and curvature, 20 workers of the paper's cluster.

Writes results/growth-rates/tables/growth-rates.csv, a row for each optimizer, λ and curvature η h, and
figures/growth-rates.png, a map of each. Nothing is trained.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from agn_bench.analysis.figures import look
from agn_bench.base import files
from agn_bench.base.inputs import BadInput
from agn_bench.optimizers import OPTIMIZERS
from agn_bench.studies.growth import growth_rates
from agn_bench.studies.pairs import cells
from agn_bench.training.timing import active_timeline_of

FOLDER = Path(__file__).parent.parent.parent / "results" / "growth-rates"
WORKERS, ROUNDS = 20, 120
LOCAL_STEPS = (1, 2, 5, 10, 15, 20, 30, 40)
CURVATURES = tuple(2.0**power for power in range(-10, 1))
RATE = 0.1
"""η, for equations that have it."""


def of(name: str) -> pd.DataFrame:
    """The growth rates of an optimizer at its defaults."""
    options = {"optimizer": name, "workers": str(WORKERS), "local_steps": ",".join(map(str, LOCAL_STEPS))}
    configs = cells({**options, "model": "mlp-paper", "learning_rate": RATE, "local_optimizer": "sgd"}, 1)
    timelines = [active_timeline_of(config, ROUNDS * WORKERS) for config in configs]
    rates = growth_rates(configs[0].optimizer.thing, timelines, CURVATURES, RATE)
    index = pd.MultiIndex.from_product([LOCAL_STEPS, CURVATURES], names=["local_steps", "curvature"])
    return pd.DataFrame({"growth_rate": rates.ravel()}, index=index).reset_index().assign(optimizer=name)


def draw(table: pd.DataFrame, stem: Path) -> list[Path]:
    """A map of each optimizer: blue where it is stable."""
    names = list(dict.fromkeys(table["optimizer"]))
    columns = 7
    rows = -(-len(names) // columns)
    with look.picture(stem, rows, columns, figsize=(1.75 * columns, 1.7 * rows)) as (_, panels, paths):
        for place, axes in enumerate(np.ravel(panels)):
            if place >= len(names):
                axes.axis("off")
                continue
            own = table[table["optimizer"] == names[place]]
            rates = own.pivot_table(index="local_steps", columns="curvature", values="growth_rate", dropna=False)
            shown = np.clip(np.nan_to_num(rates.to_numpy(), nan=9, posinf=9, neginf=-9), -1, 1)
            axes.imshow(shown, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1)
            axes.set_title(names[place], fontsize=7)
            axes.set_xticks([0, 5, 10], ["2⁻¹⁰", "2⁻⁵", "1"], fontsize=6)
            axes.set_yticks([0, 3, 5, 7], ["1", "10", "20", "40"], fontsize=6)
            if place % columns == 0:
                axes.set_ylabel("λ", fontsize=7)
            if place >= len(names) - columns:
                axes.set_xlabel("η h", fontsize=7)
    return paths


def main() -> None:
    tables = []
    for name in OPTIMIZERS:
        try:
            tables.append(of(name))
        except BadInput as error:
            print(f"{name}: left out: {error}")
        else:
            print(name, flush=True)
    table = pd.concat(tables)[["optimizer", "local_steps", "curvature", "growth_rate"]]
    files.write_table(FOLDER / "tables" / "growth-rates.csv", table)
    draw(table, FOLDER / "figures" / "growth-rates")


if __name__ == "__main__":
    main()
