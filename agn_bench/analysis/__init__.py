"""What runs say: from CSV files, never with JAX.

metrics.py      what is read off curves
comparison.py   configurations side by side, over their seeds
tables.py       accuracy at given times, time to given accuracies
arrangement.py  what is drawn where: panels, lines, and the look of each
figures/        pictures
"""
