"""A target and its standbys → snapshots, with what only a server can add to them."""
