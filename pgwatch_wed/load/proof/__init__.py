"""Causes that are taken away on a server of ours or a copy, to see what that changes: probes, pairs of blocks, the chain of bottlenecks."""
