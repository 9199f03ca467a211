"""CSV -> pictures, as PNG and SVG. Never imports JAX.

look.py        the one look of all of them, and how they are written
accuracy.py    accuracy against simulated time
panels.py      panels of curves, numbers over workers, paths
clock.py       staleness, who did what when, growth rates, measured against simulated seconds
"""
