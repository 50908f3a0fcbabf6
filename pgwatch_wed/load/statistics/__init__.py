"""The statistics of blocks. Pure, and without scipy, which would be fifty times the size of what is used of it; tests compare the two."""
