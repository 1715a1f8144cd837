"""I/O: listeners and file readers that put raw records on the bus. They do not parse."""
