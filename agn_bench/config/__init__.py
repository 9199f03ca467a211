"""What a run is. Never imports JAX.

run.py          the configuration, and its name
options.py      the options that make one, each declared once
resolving.py    from options to a configuration: every option checked where it enters
defaults.py     the presets
experiment.py   experiment files: many runs
selection.py    which of them are wanted
shipped.py      the experiment files that come with the program
"""
