"""Fair tuning: as many trials for every optimizer, on seeds that are not reported; then the comparison on fresh ones.

space.py       what is searched: the numbers that say where, the learning rate, λ
goal.py        what a trial is worth, and when one is ended early
trials.py      a trial, and the file that keeps them
sampling.py    the next trial's numbers, from Optuna
search.py      all trials, made
selected.py    the best settings of a sweep that is there already

A trial depends on those of its optimizer before it and on nothing else: not on other optimizers, on how many runs are
made at once, on how fast they are, nor on how often the search was stopped.
"""
