"""Which removals to measure next."""
