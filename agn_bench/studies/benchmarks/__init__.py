"""The program's own speed against its limits, measured side by side: each figure is a ratio of things timed in turn.

timeline.py    the event simulation, compared with a heapq loop
training.py    the replay, compared with bare training steps, matrix products, and loops one would otherwise write
programs.py    what is timed there: a cell's simulation, its bare steps, matrix products, memory
runs.py        whole commands: the first result, four seeds compared with one
peers.py       those loops, each a script in a process of its own
"""
