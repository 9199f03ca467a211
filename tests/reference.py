"""A second, plain implementation: heapq and NumPy loops, written from the design and sharing no code with the package.

It is given the same draws (times, mini-batches, initial parameters) and must arrive at the same event log, center,
and curves. Everything is spelled out where the package is clever.
"""

from __future__ import annotations

import heapq
import math
from types import SimpleNamespace

import numpy as np

RULES = {"quorum": 1, "waits": False, "drop_at": None, "cancels": False, "ahead": None, "grace_s": 0.0}
ARRIVAL, SERVED, ABSENCE, LOOK = 0, 1, 2, 3  # at equal times what arrives or is served comes first, the look last
BACK = -1  # in an event of an absence: the worker is back; else the phase that the failure ends


def event_log(
    begin, compute, up, down, server, order, rules=None, channels=1, collective=None, local_steps=1,
    absences=None, pull_share=None, on_arrival=False,
):  # fmt: skip
    """The timeline as a list of dicts, in the order applied.

    begin: a number a worker; the other times: a list of each worker's phases; order: a number a service, in [0, 1)
    for who is taken of those who wait, negative for the first in line. For the rest see `clock`.
    """
    more = {"absences": absences, "pull_share": pull_share, "on_arrival": on_arrival}
    return clock(begin, compute, up, down, server, order, rules, channels, collective, local_steps, **more).rows


def steps_of(local_steps, worker, phase):
    """λ of a phase: a number, or of each worker a list of its phases'."""
    return local_steps if isinstance(local_steps, int) else local_steps[worker][phase]


def absence_at(absences, moment):
    """The absence in which a moment lies, or None. Its last second is no longer in it."""
    for absence in absences:
        from_s, until_s, _ = absence
        if from_s <= moment < until_s:
            return absence
    return None


def end_of_steps(absences, start, length):
    """When the steps of a phase would be done, and when a failure ends it before that (endless: never)."""
    end = start + length
    for from_s, until_s, fails in absences:
        if start < from_s < end:
            if fails:
                return end, from_s
            end = end + (until_s - from_s)
    return end, math.inf


def seconds_there(absences, start, end):
    """How long a worker is there between the start of a phase, at which it is, and a later moment."""
    there = end - start
    for from_s, until_s, _ in absences:
        if start < from_s < end:
            there = there - (min(until_s, end) - from_s)
    return there


def clock(
    begin, compute, up, down, server, order, rules=None, channels=1, collective=None, local_steps=1,
    exchanges=None, seconds=None, gradient_steps=None, absences=None, pull_share=None, on_arrival=False,
):  # fmt: skip
    """A run under rules: its rows, phases that were interrupted or are unfinished, who is stranded, when it ends.

    rules: a dict like RULES; what is missing is as there. channels: so many are served at once. collective: the
    latency and the transfer of one message in seconds, for those who wait for each other and need no server.
    exchanges, seconds, gradient_steps: the run stops at what comes first. local_steps: see `steps_of`.

    absences: of each worker a list of (from_s, until_s, fails), sorted, that neither overlap nor touch; a failure may
    be endless. pull_share: the part of an exchange's service that its pull takes, a message of its own; None or 0: it
    is no message of its own. on_arrival: the staleness in a row is that when its message arrived.

    Phases that a failure ended are among the interrupted, as failed. They are answered with the exchange that was
    applied last when their worker pulled, -1 if there is none or it does not pull within the run.
    """
    rules = {**RULES, **(rules or {})}
    drop_at = math.inf if rules["drop_at"] is None else rules["drop_at"]
    ahead = math.inf if rules["ahead"] is None else rules["ahead"]
    absences = [[] for _ in begin] if absences is None else absences
    all_reduce = 0.0
    if rules["waits"] and collective is not None:
        up = down = server = [[0.0] * len(phases) for phases in compute]
        channels, others = 1, rules["quorum"] - 1
        all_reduce = 2 * others * collective[0] + 2 * others / rules["quorum"] * collective[1]
        pull_share = None
    pulls_apart = pull_share is not None and pull_share > 0
    assert not (pulls_apart and rules["grace_s"] > 0), "groups and pulls of their own are refused together"

    crew = [
        {
            "worker": worker,
            "doing": "nothing",
            "phase": -1,
            "pulled": 0,
            "commits": 0,
            "active": True,
            "record": None,
            "empty": False,
        }
        for worker in range(len(begin))
    ]  # record: the row, or the lost phase, that the worker's last phase became; empty: it lost what it had since
    joined = [-1] * len(begin)  # the exchange after which a worker pulled first; −1: it has the initial parameters
    events, rows, interrupted, begun, answers = [], [], [], [], []
    version = count = services = busy = 0
    window_end = None  # until when one may arrive and belong to the group, while there is one
    together = rules["grace_s"] == 0  # there are no groups, or the last exchange closed one

    def drawn(of_all, me):
        """The one of these times that is of a worker's last phase, or of its first if it has had none."""
        return of_all[me["worker"]][max(me["phase"], 0)]

    def about_to_begin(me, moment):
        """Its reply arrives at this moment, or the run begins for it."""
        worker = me["worker"]
        if me["phase"] + 1 == len(compute[worker]):
            me["doing"], me["active"] = "ended", False
            me["phase"] += 1
            return
        absence = absence_at(absences[worker], moment)
        if absence is None:
            begin_phase(me, moment)
            return
        _, until_s, fails = absence
        if fails:  # the reply is lost
            go_away(me, until_s)
        else:
            begin_phase(me, until_s)

    def go_away(me, until_s):
        """The worker has no phase until it is back. If it has left, nobody waits for it."""
        me["doing"], me["empty"] = "away", True
        if until_s == math.inf:
            me["active"] = False
        else:
            heapq.heappush(events, (until_s, ABSENCE, me["worker"], BACK))

    def begin_phase(me, start):
        worker = me["worker"]
        me["phase"] += 1
        me["doing"], me["message"], me["start"] = "under way", "commit", start
        me["compute_end"], me["lost"] = end_of_steps(absences[worker], start, compute[worker][me["phase"]])
        me["arrive"] = me["compute_end"] + up[worker][me["phase"]]
        begun.append((worker, me["phase"], start, me["compute_end"]))
        if me["lost"] < math.inf:
            heapq.heappush(events, (me["lost"], ABSENCE, worker, me["phase"]))
        else:
            heapq.heappush(events, (me["arrive"], ARRIVAL, me["phase"], worker))

    def give_up(me, now, **why):
        """The phase under way ends here, with the whole steps that were made while the worker was there."""
        worker, phase = me["worker"], me["phase"]
        there = seconds_there(absences[worker], me["start"], now)
        steps = math.floor(steps_of(local_steps, worker, phase) * there / compute[worker][phase])
        interrupted.append({
            "worker": worker, "phase": phase, "start_s": me["start"], "end_s": now, "steps": steps,
            "pulled": me["pulled"], **why,
        })  # fmt: skip

    def answer(me, now):
        """With the center as it is. The exchange that was applied last is the one before."""
        resume = now + drawn(down, me)
        answers.append((now, len(rows) - 1, me["record"], resume, me["empty"]))
        if me["record"] is None:
            joined[me["worker"]] = len(rows) - 1
        me["pulled"] = version
        about_to_begin(me, resume)

    def let_go_on(now):
        """Whoever is held and may go on is answered, or its pull is in the queue from now on."""
        while True:  # who is answered may have left, and somebody may have been held for it
            least = min([you["commits"] for you in crew if you["active"]], default=0)
            free = []
            for you in crew:
                not_ahead = not you["active"] or you["commits"] - least <= ahead
                if you["doing"] == "held" and version >= you["needs"] and not_ahead and together:
                    free.append(you)
            if not free:
                return
            for you in free:
                if pulls_apart:
                    you["doing"], you["message"], you["arrive"] = "waiting", "pull", now
                else:
                    answer(you, now)

    def note_answers(before, by):
        """Into rows and lost phases: their last answer, of those after exchanges before this one, and by this time."""
        for phase in [*rows, *[phase for phase in interrupted if phase["failed"]]]:
            phase["answered"] = -1
            phase.pop("anew", None)
            if "resume_s" in phase:
                phase["resume_s"] = math.nan
        for moment, exchange, phase, resume, anew in answers:
            if phase is not None and exchange < before and moment <= by:
                phase["answered"] = exchange
                if anew:
                    phase["anew"] = True  # what the worker had was lost
                if "resume_s" in phase:
                    phase["resume_s"] = resume

    for me in crew:
        about_to_begin(me, begin[me["worker"]])
    while events:
        now, kind, number, whose = heapq.heappop(events)

        if kind == ARRIVAL:
            if crew[whose]["phase"] == number:  # else this phase was interrupted, and nothing was sent
                crew[whose]["doing"] = "waiting"
                heapq.heappush(events, (now, LOOK, 0, -1))
            continue

        if kind == ABSENCE:
            me = crew[number]
            if whose == BACK and pulls_apart:  # it sends a pull
                me["doing"], me["message"], me["arrive"] = "pulling", "pull", now + drawn(up, me)
                heapq.heappush(events, (me["arrive"], ARRIVAL, me["phase"], me["worker"]))
            elif whose == BACK:  # it pulls, at no cost
                answer(me, now)
            elif me["phase"] == whose:  # else a notice came before the failure
                give_up(me, now, failed=True, answered=-1)
                me["record"] = interrupted[-1]
                if me["phase"] + 1 == len(compute[me["worker"]]):
                    me["doing"], me["active"] = "ended", False
                else:
                    _, until_s, _ = absence_at(absences[me["worker"]], now)
                    go_away(me, until_s)
            let_go_on(now)  # if it has left, those who were held for it
            heapq.heappush(events, (now, LOOK, 0, -1))
            continue

        if kind == LOOK:
            waiting = [me for me in crew if me["doing"] == "waiting"]
            if rules["grace_s"] > 0 and window_end is None and waiting and busy < channels:
                window_end = min(me["arrive"] for me in waiting) + rules["grace_s"]
            if window_end is not None:
                waiting = [me for me in waiting if me["arrive"] <= window_end]
            if not waiting or busy == channels:
                continue
            first = min(waiting, key=lambda me: me["arrive"])
            me = first if order[services] < 0 else waiting[math.floor(order[services] * len(waiting))]
            me["doing"], me["served"] = "in service", now
            service = drawn(server, me)
            if me["message"] == "pull":
                service = pull_share * service
            elif pulls_apart:
                service = service - pull_share * service
            applied = now + service
            if count + 1 == rules["quorum"] and version - me["pulled"] < drop_at:
                applied = applied + all_reduce
            heapq.heappush(events, (applied, SERVED, services, me["worker"]))
            services += 1
            busy += 1
            heapq.heappush(events, (now, LOOK, 0, -1))  # for the next channel
            continue

        # A service ends.
        me = crew[whose]
        busy -= 1
        if me["message"] == "pull":
            answer(me, now)
            let_go_on(now)  # if it has left, those who were held for it
            heapq.heappush(events, (now, LOOK, 0, -1))
            continue

        # The commit is applied, if it is not too stale.
        this = len(rows)
        staleness = version - me["pulled"]
        accepted = staleness < drop_at
        if on_arrival:
            by_then = [row["version"] for row in rows if row["applied_s"] <= me["arrive"]]
            staleness = max(by_then, default=0) - me["pulled"]
        me["needs"] = version + 1 if rules["waits"] and accepted else 0
        before = version
        if accepted:
            count += 1
            if count == rules["quorum"]:
                version, count = version + 1, 0
        rows.append({
            "worker": me["worker"], "phase": me["phase"], "start_s": me["start"], "compute_end_s": me["compute_end"],
            "arrive_s": me["arrive"], "served_s": me["served"], "applied_s": now, "resume_s": math.nan,
            "staleness": staleness, "pulled": me["pulled"], "version": version, "accepted": accepted, "answered": -1,
        })  # fmt: skip
        me["doing"], me["record"], me["empty"] = "held", rows[-1], False
        me["commits"] += 1
        me["active"] = me["phase"] + 1 < len(compute[me["worker"]])

        # Who computes what would be too stale is told, and begins again where that is not too late.
        if rules["cancels"] and version > before:
            for other in crew:
                if other["doing"] != "under way" or version - other["pulled"] < drop_at:
                    continue
                told = max(other["start"], now + drawn(down, other))
                if told >= other["compute_end"] or told >= other["lost"]:
                    continue
                give_up(other, told, failed=False, answered=this)
                other["pulled"] = version
                about_to_begin(other, told)

        # The group is complete once nobody of it is served, waits or is still to come.
        together = rules["grace_s"] == 0
        if window_end is not None and busy == 0:
            to_come = [
                you for you in crew if you["doing"] in ("under way", "waiting")
                and you["lost"] == math.inf and you["arrive"] <= window_end
            ]  # fmt: skip
            if not to_come:
                together, window_end = True, None

        let_go_on(now)
        heapq.heappush(events, (now, LOOK, 0, -1))

    stranded = [me["worker"] for me in crew if me["doing"] == "held"]
    note_answers(len(rows), math.inf)

    # It stops after so many rows, or at a time.
    least_steps = local_steps if isinstance(local_steps, int) else min(map(min, local_steps))
    in_time = len(rows) if seconds is None else sum(row["applied_s"] <= seconds for row in rows)
    kept = len(rows) if exchanges is None else min(exchanges, len(rows))
    if gradient_steps is not None:
        made = 0
        for index, row in enumerate(rows[:kept]):
            made += steps_of(local_steps, row["worker"], row["phase"])
            in_vain = sum(phase["steps"] for phase in interrupted if phase["end_s"] <= row["applied_s"])
            if made + in_vain > gradient_steps:
                kept = index
                break
    last = max([row[time] for row in rows for time in ("applied_s", "resume_s") if row[time] == row[time]], default=0.0)
    last = max([last, *(phase["end_s"] for phase in interrupted)])
    # At its last exchange a run has reached its limit if somebody has work left, even if no exchange will come of it.
    limits = [exchanges, gradient_steps if gradient_steps is None else gradient_steps // least_steps]
    by_then = rows[kept - 1]["applied_s"] if kept > 0 else 0.0
    given_up = [phase for phase in interrupted if not phase["failed"] or phase["end_s"] <= by_then]
    reached = kept in limits and kept + len(given_up) < sum(map(len, compute))
    later = in_time == kept < len(rows) or (kept == len(rows) and seconds is not None and last > seconds)
    if seconds is not None and (in_time < kept or (later and not reached)):
        kept, end = in_time, seconds
    elif kept < len(rows) or reached:
        end = rows[kept - 1]["applied_s"] if kept > 0 else 0.0
    else:
        end = last

    # What would have come later is not known then.
    if kept < len(rows):
        rows, stranded = rows[:kept], []
    note_answers(kept, end)
    interrupted = [phase for phase in interrupted if phase["answered"] < kept and phase["end_s"] <= end]
    over = {(phase["worker"], phase["phase"]) for phase in rows + interrupted}
    unfinished = []
    for worker, phase, start, compute_end in begun:
        if start < end and (worker, phase) not in over:
            steps = steps_of(local_steps, worker, phase)
            if compute_end > end:
                there = seconds_there(absences[worker], start, end)
                steps = math.floor(steps * there / compute[worker][phase])
            unfinished.append({
                "worker": worker, "phase": phase, "start_s": start, "end_s": min(compute_end, end), "steps": steps,
            })  # fmt: skip
    return SimpleNamespace(
        rows=rows, interrupted=interrupted, unfinished=unfinished, stranded=stranded, end_s=end, joined=joined
    )


def loss_and_gradient(params, images, labels):
    """Mean cross-entropy of a ReLU network, its gradient by hand, and how many images are right."""
    activations = [images]
    for index, layer in enumerate(params):
        z = activations[-1] @ layer["weights"] + layer["biases"]
        activations.append(z if index == len(params) - 1 else np.maximum(z, 0))
    logits = activations[-1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -log_probability[rows, labels].mean()
    slope = np.exp(log_probability)
    slope[rows, labels] -= 1
    slope /= len(labels)
    gradient = [None] * len(params)
    for index in reversed(range(len(params))):
        gradient[index] = {"weights": activations[index].T @ slope, "biases": slope.sum(axis=0)}
        slope = (slope @ params[index]["weights"].T) * (activations[index] > 0)
    return loss, gradient, int((logits.argmax(axis=1) == labels).sum())


def combine(function, *trees):
    return [{name: function(*(tree[i][name] for tree in trees)) for name in trees[0][i]} for i in range(len(trees[0]))]


class LocalOptimizer:
    """SGD, heavy-ball momentum or Adam (Kingma and Ba 2015, Algorithm 1), with its state."""

    def __init__(self, name, rate, momentum=None):
        self.name, self.rate, self.momentum = name, rate, momentum
        self.reset()

    def reset(self):
        self.step, self.first, self.second = 0, None, None

    def update(self, params, gradient):
        self.step += 1
        if self.first is None:
            self.first = combine(np.zeros_like, gradient)
            self.second = combine(np.zeros_like, gradient)
        if self.name == "sgd":
            direction = gradient
        elif self.name == "momentum":
            self.first = combine(lambda m, g: self.momentum * m + g, self.first, gradient)
            direction = self.first
        else:
            self.first = combine(lambda m, g: 0.9 * m + (1 - 0.9) * g, self.first, gradient)
            self.second = combine(lambda v, g: 0.999 * v + (1 - 0.999) * g * g, self.second, gradient)
            direction = combine(
                lambda m, v: (m / (1 - 0.9**self.step)) / (np.sqrt(v / (1 - 0.999**self.step)) + 1e-8),
                self.first,
                self.second,
            )
        return combine(lambda x, d: (x - self.rate * d).astype(x.dtype), params, direction)


def exchange(method, center, start, end, local_steps, staleness, alpha=None):
    """The table of the design, section Methods: (new center, what the worker goes on from)."""
    if method == "easgd":
        return (
            combine(lambda c, x: c + alpha * (x - c), center, end),
            combine(lambda c, x: x - alpha * (x - c), center, end),
        )
    divisor = {"downpour": 1, "agn": local_steps, "dynsgd": staleness + 1}[method]
    new = combine(lambda c, s, e: c + (e - s) / np.asarray(divisor, c.dtype), center, start, end)
    return new, new


def train(
    log, batches, images, labels, initial, method, local, rate, momentum=None, alpha=None, reset=False, exchanges=None
):
    """Train along an event log; the centers after every exchange, and losses and correct images of every mini-batch."""
    workers = {w: (initial, LocalOptimizer(local, rate, momentum)) for w in {row["worker"] for row in log}}
    center, centers, losses, correct = initial, [], [], []
    local_steps = batches.shape[1] // (1 + max(row["phase"] for row in log))
    for row in log[:exchanges]:
        start, optimizer = workers[row["worker"]]
        end = start
        first = row["phase"] * local_steps
        for batch in batches[row["worker"], first : first + local_steps]:
            loss, gradient, right = loss_and_gradient(end, images[batch], labels[batch])
            losses.append(loss)
            correct.append(right)
            end = optimizer.update(end, gradient)
        center, following = exchange(method, center, start, end, local_steps, row["staleness"], alpha)
        if reset:
            optimizer.reset()
        workers[row["worker"]] = (following, optimizer)
        centers.append(center)
    return centers, np.array(losses).reshape(-1, local_steps), np.array(correct).reshape(-1, local_steps)


class Plain:
    """A commit changes the center at once. Who is answered goes on from the center."""

    method = None

    def begin(self, initial, workers):
        self.center = initial

    def commit(self, worker, start, end, staleness, local_steps):
        self.center, _ = exchange(self.method, self.center, start, end, local_steps, staleness)

    def version(self):
        pass

    def reply(self, worker, end):
        return self.center

    def gradient(self, worker, gradient, here, start):
        return gradient


class Agn(Plain):
    method = "agn"


class Downpour(Plain):
    method = "downpour"


class Dynsgd(Plain):
    method = "dynsgd"


class Ringmaster(Plain):
    """c ← c + Δ of what is accepted (Maranjyan et al. 2025); what is too stale the clock drops or interrupts."""

    method = "downpour"


class StaleSynchronous(Plain):
    """Who is too far ahead waits (Ho et al. 2013), which is the clock's affair; commits of any plain method."""

    def __init__(self, method="downpour"):
        self.method = method


class Easgd(Plain):
    """Worker and center are drawn towards each other (Zhang et al. 2015). The worker goes on from its own point."""

    def __init__(self, alpha):
        self.alpha = alpha

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.own = {}

    def commit(self, worker, start, end, staleness, local_steps):
        self.center, self.own[worker] = exchange("easgd", self.center, start, end, local_steps, staleness, self.alpha)

    def reply(self, worker, end):
        return self.own.pop(worker, end)  # where it arrived, if its commit was not accepted


class LocalSgd(Plain):
    """c ← c + the mean of a version's commits."""

    def __init__(self, quorum):
        self.quorum = quorum

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.displacements = []

    def commit(self, worker, start, end, staleness, local_steps):
        self.displacements.append(combine(lambda s, e: e - s, start, end))

    def version(self):
        total = combine(lambda *all_of_them: sum(all_of_them), *self.displacements)
        self.center = combine(lambda c, t: c + t / self.quorum, self.center, total)
        self.displacements = []


class FedBuff(Plain):
    """A buffer of commits, each divided by √(1 + τ), then a step along their mean (Nguyen et al. 2022)."""

    def __init__(self, size, rate):
        self.size, self.rate = size, rate

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.buffer = combine(np.zeros_like, initial)

    def commit(self, worker, start, end, staleness, local_steps):
        self.buffer = combine(lambda b, s, e: b + (e - s) / math.sqrt(1 + staleness), self.buffer, start, end)

    def version(self):
        self.center = combine(lambda c, b: c + self.rate * b / self.size, self.center, self.buffer)
        self.buffer = combine(np.zeros_like, self.buffer)


class Dana(Plain):
    """Each worker's momentum at the server, and a look ahead along all of them (Hakimi et al. 2019).

    In units of displacement: d = −η v of the paper.
    """

    def __init__(self, momentum):
        self.momentum = momentum

    def begin(self, initial, workers):
        super().begin(initial, workers)
        self.moving = [combine(np.zeros_like, initial) for _ in range(workers)]

    def commit(self, worker, start, end, staleness, local_steps):
        before = self.moving[worker]
        self.moving[worker] = combine(lambda d, s, e: self.momentum * d + (e - s), before, start, end)
        self.center = combine(lambda c, d: c + d, self.center, self.moving[worker])

    def reply(self, worker, end):
        total = combine(lambda *all_of_them: sum(all_of_them), *self.moving)
        return combine(lambda c, t: c + self.momentum * t, self.center, total)


def train_with(
    optimizer, log, interrupted, batches, images, labels, initial, local, rate, momentum=None, reset=False,
    workers=None, local_steps=None, joined=(),
):  # fmt: skip
    """Train along a log under rules, with an optimizer that has a memory.

    Returns the centers after every row, losses and correct images of every mini-batch, and all that the optimizer
    knows in the end. `workers` and `local_steps` are needed where log and interrupted phases do not tell them. Where
    local steps vary (see `steps_of`), losses and correct images are a list with an array of each row's.
    """
    phases = [*log, *interrupted]
    if workers is None:
        workers = 1 + max(phase["worker"] for phase in phases)
    if local_steps is None:
        local_steps = batches.shape[1] // (1 + max(phase["phase"] for phase in phases))
    optimizer.learning_rate = rate  # η, for those whose equations have it
    optimizer.begin(initial, workers)
    own = [LocalOptimizer(local, rate, momentum) for _ in range(workers)]
    begun = [initial] * workers  # what each worker's phase begins from
    centers, losses, correct, ends, version = [], [], [], [], 0
    for this, row in enumerate(log):
        worker = row["worker"]
        end = begun[worker]
        first = sum(steps_of(local_steps, worker, phase) for phase in range(row["phase"]))
        steps = steps_of(local_steps, worker, row["phase"])
        for batch in batches[worker, first : first + steps]:
            loss, gradient, right = loss_and_gradient(end, images[batch], labels[batch])
            losses.append(loss)
            correct.append(right)
            gradient = optimizer.gradient(worker, gradient, end, begun[worker])
            end = own[worker].update(end, gradient)
        ends.append(end)
        if reset:
            own[worker].reset()
        if row["accepted"]:
            optimizer.commit(worker, begun[worker], end, row["staleness"], steps)
        if row["version"] > version:
            optimizer.version()
            version = row["version"]

        def pulls_anew(worker):
            own[worker].reset()
            getattr(optimizer, "own", {}).pop(worker, None)
            begun[worker] = optimizer.reply(worker, optimizer.center)

        for earlier, its_end in zip(log[: this + 1], ends, strict=True):
            if earlier["answered"] == this and "anew" not in earlier:
                begun[earlier["worker"]] = optimizer.reply(earlier["worker"], its_end)
            elif earlier["answered"] == this:
                pulls_anew(earlier["worker"])
        for phase in interrupted:
            if phase["answered"] == this and not phase["failed"]:
                begun[phase["worker"]] = optimizer.reply(phase["worker"], begun[phase["worker"]])
            elif phase["answered"] == this:
                pulls_anew(phase["worker"])
        for who in [who for who, after in enumerate(joined) if after == this]:
            pulls_anew(who)
        centers.append(optimizer.center)
    ends = np.cumsum([steps_of(local_steps, row["worker"], row["phase"]) for row in log])[:-1]
    losses, correct = (np.split(np.array(of_all), ends) for of_all in (losses, correct))
    if isinstance(local_steps, int):
        losses, correct = np.array(losses), np.array(correct)
    return centers, losses, correct, vars(optimizer)


def learning_curve(log, losses, correct, batch_size, window, evaluations):
    """The rows of curve.csv by plain loops; `evaluations`: (time, accuracy)."""
    stamped = []
    for row, row_losses, row_correct in zip(log, losses, correct, strict=True):
        length = row["compute_end_s"] - row["start_s"]
        for i, (loss, right) in enumerate(zip(row_losses, row_correct, strict=True), start=1):
            stamped.append((row["start_s"] + length * (i / len(row_losses)), loss, right / batch_size))
    end = max(row["resume_s"] for row in log)
    rows, point = [], 0
    while True:
        t = point * window / 5
        inside = [(loss, accuracy) for s, loss, accuracy in stamped if t <= s < (point + 5) * window / 5]
        tested = [accuracy for s, accuracy in evaluations if (point - 1) * window / 5 < s <= t]
        rows.append(
            (
                t,
                sum(s <= t for s, _, _ in stamped),
                np.mean([loss for loss, _ in inside]) if inside else math.nan,
                np.mean([accuracy for _, accuracy in inside]) if inside else math.nan,
                np.std([accuracy for _, accuracy in inside]) if inside else math.nan,
                tested[-1] if tested else math.nan,
            )
        )
        if t >= end:
            return rows
        point += 1
