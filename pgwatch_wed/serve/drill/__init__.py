"""Plants incidents on a server of our own, and times how the service finds, names and forgets them."""
