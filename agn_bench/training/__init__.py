"""One run, made: its timeline, and the training replayed along it, exactly, in the timeline's order.

A local phase depends only on what its worker pulled and on the worker's own data, so it is computed when its commit is
applied: one compiled call an exchange, with nothing sent to the host. Shapes (λ, batch, model) and the optimizer's kind
compile; seed, number of workers, learning rate, α and staleness do not.

Parameters are what costs: 19 MB in the paper's model, and a worker's are in no cache when its turn comes. So they are
written in place, and copied only where two need them to differ:

- Where a worker goes on from the new center, as with most optimizers, the two are one buffer. Nothing writes to it
  while it is the center; then it is that worker's own, and the next center is written over it at the end of its phase.
- Where a worker goes on from something of its own, as in EASGD, center and worker are each overwritten.
- Where several go on from one center, as after a synchronous round, each copies it when its turn comes, but the last.

simulate.py    a run: its timeline, the training along it, what that leaves
timing.py      the timeline of a configuration
replay.py      a whole replay, as the host sees it
carry.py       center and workers on the device, carried along the timeline
exchange.py    what is compiled: local phases, and the exchanges that end them
checks.py      what a user's optimizer gives, by shapes alone
records.py     what a run leaves in memory
columns.py     what it says, as columns of CSV files
remarks.py     what one should know of its work and time without having asked
"""
