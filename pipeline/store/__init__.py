"""I/O: the ClickHouse store, embedded or a server: schema, columns, look-ups, searches."""
