"""Load tests as pages: one self-contained file each, no scripts, no network."""
