"""Generators of parts of this repository; not shipped."""
