"""The ground that all the rest stands on. Never imports JAX at the top of a module.

inputs.py       checking what a user gives, and the one exception that says what is wrong with it
quantities.py   numbers declared once, as fields: limits, default, help
named.py        things chosen by name: shipped, installed, or in a user's file
chosen.py       what was chosen, as it is sent to other processes
user_code.py    a user's file: loaded, and its mistakes shown
files.py        files written whole or not at all, and locks
user_files.py   the reader of what a user brings as a file, TOML or CSV
toml_places.py  where in a TOML file each of its keys begins
streams.py      all randomness of a run
jax_settings.py JAX's settings that would change numbers
signals.py      those by which a command is asked to end
children.py     processes that this one starts
machine.py      threads, device, and the facts recorded of a machine
"""

__version__ = "0.1.0"
