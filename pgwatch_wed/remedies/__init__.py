"""SQL remedies, with the locks that they take and how to undo them."""
