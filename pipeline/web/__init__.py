"""I/O: what we answer over HTTP besides ingestion: health, metrics, the read door."""
