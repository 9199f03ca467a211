"""Where runs are made: in this process, in others on this machine, on a cluster. What a run is, is the same everywhere.

one.py         one run, wherever it is made
events.py      what a user's function is told of runs
work.py        what there is to make, in an order that compiles little
processes.py   in this process, or in several on this machine
cluster.py     on the workers of a Dask cluster
sweep.py       many runs into one experiment folder
estimate.py    what a sweep will take
"""
