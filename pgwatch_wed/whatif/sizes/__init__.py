"""How large an index would be, and how entries fill its pages."""
