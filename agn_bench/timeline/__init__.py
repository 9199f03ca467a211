"""When: who exchanges with the server, at what second, and how stale. No parameter's value is needed for any of this.

record.py      the timeline itself
events.py      simulated: a discrete-event simulation compiled by JAX
trace.py       read from a file: recorded elsewhere, or by this program
measures.py    staleness, waits, utilization, throughput
stability.py   the growth rate: whether AGN is stable on it
"""
