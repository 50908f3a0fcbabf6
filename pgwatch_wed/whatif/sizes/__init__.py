"""How large an index would be: how entries fill its pages."""
