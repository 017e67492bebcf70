"""Parts of the benchmark at the Hospital Authority's scale."""
