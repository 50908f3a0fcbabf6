"""PostgreSQL performance analysis whose advice you can trust."""

__version__ = "0.1.0"
