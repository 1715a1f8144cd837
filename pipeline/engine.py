"""The loops that move data: read, parse, join, write, commit."""
