"""A campaign of faults: the program is killed, starved and lied to, and must not err.

Every try ends in one of six ways, see `tally.Outcome`. The first two are what is
promised; lost pixels, tracebacks and hangs are faults of the program.
"""
