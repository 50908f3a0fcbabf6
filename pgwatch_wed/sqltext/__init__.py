"""What PostgreSQL's own parser (pglast) tells about statements and expressions."""
