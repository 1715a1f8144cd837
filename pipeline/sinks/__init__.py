"""I/O: make lineages, events and dead letters durable."""
