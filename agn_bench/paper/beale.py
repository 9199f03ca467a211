"""AGN with one worker on the Beale function: the paths of the paper's illustration of what normalization does.

One worker has the center all to itself, so an exchange is c ← c + Δ / λ after λ steps of gradient descent from c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agn_bench.problems.beale import LEARNING_RATE, MINIMUM, START

if TYPE_CHECKING:
    import pandas as pd

LOCAL_STEPS = {"gradient descent": 1, "AGN, λ = 15": 15, "AGN, λ = ∞": 0}
"""The local steps of each path; 0 stands for a local phase that goes on until it has arrived."""
FRACTION = 0.1
"""The part of a commit that the center follows with λ = ∞, at each exchange: any λ is as good, for a small step."""
SPACING = 0.02
"""Between two points of a path in the table, at least."""
_ARRIVED = 1e-9
"""A step as short as that is no progress any more."""
_MOST_STEPS = 300_000


def gradient(x: float, y: float) -> tuple[float, float]:
    """The gradient of the Beale function."""
    one, two, three = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    by_x = one * (y - 1) + two * (y**2 - 1) + three * (y**3 - 1)
    by_y = one * x + two * 2 * x * y + three * 3 * x * y**2
    return 2 * by_x, 2 * by_y


def descend(point: tuple[float, float], steps: int) -> tuple[float, float]:
    """Where gradient descent from a point is after so many steps, or sooner where it makes no progress any more."""
    x, y = point
    for _ in range(steps):
        by_x, by_y = gradient(x, y)
        x, y = x - LEARNING_RATE * by_x, y - LEARNING_RATE * by_y
        if abs(LEARNING_RATE * by_x) + abs(LEARNING_RATE * by_y) < _ARRIVED:
            break
    return x, y


def path(local_steps: int) -> np.ndarray:
    """The center's way from START to the MINIMUM, (points, 2), points at least SPACING apart.

    Args:
        local_steps: λ; 0 for a phase that goes on until it has arrived.
    """
    from agn_bench.optimizers import Commit, Server, Worker
    from agn_bench.optimizers.agn import Agn

    optimizer, center, kept = Agn(), START, [START]
    for _ in range(_MOST_STEPS):
        end = descend(center, local_steps or _MOST_STEPS)
        commit = Commit(center, local_steps or 1 / FRACTION, 0, 1, LEARNING_RATE)  # type: ignore[arg-type]
        new = optimizer.commit(Server(center, ()), Worker(end, ()), commit)[0].center
        if np.hypot(new[0] - kept[-1][0], new[1] - kept[-1][1]) >= SPACING:
            kept.append(new)
        if np.hypot(new[0] - MINIMUM[0], new[1] - MINIMUM[1]) < SPACING / 2:
            return np.array([*kept, new])
        center = new
    return np.array(kept)


def paths_table() -> pd.DataFrame:
    """The paths point by point: path, x, y."""
    import pandas as pd

    tables = []
    for name, local_steps in LOCAL_STEPS.items():
        points = path(local_steps)
        tables.append(pd.DataFrame({"path": name, "x": points[:, 0], "y": points[:, 1]}))
    return pd.concat(tables, ignore_index=True)


def turns(points: np.ndarray) -> np.ndarray:
    """The angles, in radians, by which a path changes its direction from point to point, (points − 2,)."""
    steps = np.diff(points, axis=0)
    heading = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    angles: np.ndarray = np.abs(np.diff(heading))
    return angles


def detour(points: np.ndarray) -> float:
    """A path's length over the distance between its ends; 1 if it is straight."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    return float(lengths.sum() / np.hypot(*(points[-1] - points[0])))


def shapes_table(paths: pd.DataFrame) -> list[dict[str, Any]]:
    """How straight and how smooth each path is, a row a path of paths_table."""
    rows = []
    for name, points in paths.groupby("path", sort=False):
        at = points[["x", "y"]].to_numpy()
        angles = turns(at)
        rows.append(
            {
                "path": name,
                "sharpest_turn_degrees": float(np.degrees(angles.max())),
                "all_turns_degrees": float(np.degrees(angles.sum())),
                "length_over_distance": detour(at),
                "distance_from_minimum": float(np.hypot(*(at[-1] - MINIMUM))),
            }
        )
    return rows
