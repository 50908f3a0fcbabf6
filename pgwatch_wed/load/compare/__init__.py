"""What changed between two load tests. Work is compared anywhere, time only in interleaved blocks of one machine."""
