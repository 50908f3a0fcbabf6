"""Probes: what stands around the service is asked at intervals, each within one deadline.

A probe asks one peer once, in a thread of its own, and says what it saw. The runner decides when, ends the wait
at the deadline whatever the library does, and puts the result on the board.
"""
