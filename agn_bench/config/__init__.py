"""What a run is. Never imports JAX.

run.py          the configuration, and the validation of every option where it enters
defaults.py     what holds where nothing is said: defaults and presets
experiment.py   experiment files: many runs
selection.py    which of them are wanted
shipped.py      the experiment files that come with the program
"""
