"""EAMSGD: elastic averaging with momentum (Zhang, Choromanska, LeCun 2015, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from agn_bench.optimizers import Commit, Optimizer, Server, Worker, factor, optimizer
from agn_bench.optimizers.easgd import drawn_together


@optimizer
class Eamsgd(Optimizer):
    """c ← c + e with e = (β / n) (end − c); the worker goes on from end − e, with Nesterov's momentum of its own.

    The force is the weaker the more workers there are, so that together they draw the center by β. Where nothing is
    said, local steps are those of the paper, Nesterov's with momentum 0.99 and rate 0.01; the momentum survives the
    exchanges. The authors' program takes the gradient of an exchange before the elastic move, which hides the
    communication; here it comes after it.
    """

    family: ClassVar[str] = "elastic"
    source: ClassVar[str] = "Zhang et al. 2015, arXiv 1412.6651"
    trained_with: ClassVar[Mapping[str, object]] = {"local_optimizer": "nesterov:learning_rate=0.01:momentum=0.99"}

    beta: float = factor(
        "Elastic force of all workers together, β, a fraction.", high=1.0, default=0.9, search=(0.1, 1, "log")
    )

    def commit(self, server: Server, worker: Worker, commit: Commit) -> tuple[Server, Worker]:
        return drawn_together(server, worker, self.beta / commit.workers)

    def reply(self, server: Server, worker: Worker) -> Worker:
        return worker
