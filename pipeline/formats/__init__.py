"""PURE: bytes of a log line in, one typed record out. No I/O, no clock, no state beyond caches."""
