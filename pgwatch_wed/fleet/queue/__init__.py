"""A fleet run on many machines: its visits wait in a queue beside the history, on the same PostgreSQL server.

The queue is procrastinate's (extra ``fleet``). What it holds can be lost without harm: who is to be visited and what
became of each stands in the visit log, and a visit that no job has gets one again.
"""
