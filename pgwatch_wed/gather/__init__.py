"""A target and its standbys become snapshots, with what only a server can add to them."""
