"""The clock and the program themselves.

survey.py          what timelines say, without training
pairs.py           the configurations of a survey: every number of workers with every number of local steps
growth.py          where any optimizer is stable: its growth rate on a clock
advice.py          which λ, and how many workers
calibration.py     a profile fitted to measured training times
fitted_numbers.py  which of its numbers are fitted
confidence.py      how well the times bind each of them
measured.py        those times, read from a file
benchmarks/        the program's own speed
"""
