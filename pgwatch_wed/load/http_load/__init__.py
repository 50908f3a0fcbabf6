"""Load on an HTTP service: Locust as a program beside us, measured from the intended start, and whether to believe it."""
