"""Fleets: servers, networks between them that fail, and what is made of them."""
