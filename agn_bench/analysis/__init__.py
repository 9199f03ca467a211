"""What runs say: from CSV files, never with JAX.

measures.py     what a column of a measure is called, how its values are shown, and which is read
metrics.py      what is read off curves
axes.py         what curves are along: time, exchanges, gradient steps, epochs
comparison.py   configurations side by side, over their seeds
tables.py       a measure at given times, the time to given values
arrangement.py  what is drawn where: panels, lines, and the look of each
figures/        pictures
exports/        runs for other programs
report/         one page that can be sent
"""
