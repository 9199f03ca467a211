"""The command line: parse, print, exit codes. What the commands do is in the modules they call.

    base.py        the application, exit codes, interrupts
    options.py     options that several commands take
    training.py    run
    sweeping.py    sweep, merge
    tuning.py      tune
    data.py        data fetch, verify
    timing.py      timeline, calibrate
    bench.py       bench timeline, training, runs
    reading.py     table, list
    plotting.py    plot
    exporting.py   export
    sharing.py     report
    reproducing.py reproduce

Nothing heavy is imported before a command needs it, so that --help answers at once.
"""

from agn_bench.cli.base import app, main

# Each registers its commands, and the help lists them in this order.
# isort: off
from agn_bench.cli import training
from agn_bench.cli import sweeping
from agn_bench.cli import tuning
from agn_bench.cli import data
from agn_bench.cli import timing
from agn_bench.cli import bench
from agn_bench.cli import reading
from agn_bench.cli import plotting
from agn_bench.cli import exporting
from agn_bench.cli import sharing
from agn_bench.cli import reproducing
# isort: on

__all__ = [
    "app", "bench", "data", "exporting", "main", "plotting", "reading", "reproducing", "sharing", "sweeping", "timing",
    "training", "tuning",
]  # fmt: skip
