"""CSV -> pictures, as PNG, SVG and PDF. Never imports JAX.

look.py        the one look of all of them, whatever their user has set, and how they are written
lettering.py   names, legends, and what stands under a picture
curves.py      a mean over seeds against simulated time, its band, and what explains them
over_time.py   a measure against simulated time or another axis, of any runs, in one panel or several
panels.py      the paper's: panels of curves, numbers over workers, paths
clock.py       staleness, who did what when, growth rates, measured against simulated seconds
"""
