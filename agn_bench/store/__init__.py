"""The files of runs.

run_files.py    a run's own files, written and read back
collected.py    the collected files of an experiment folder, and the hashes that say whether they were edited
folder.py       an experiment folder that several processes may fill at once: claims, what is finished, collecting
merging.py      joining what several machines made
"""
