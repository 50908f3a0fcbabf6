"""PostgreSQL performance analysis whose advice is right."""

__version__ = "0.1.0"
