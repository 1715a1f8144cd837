"""I/O: a demonstration with real sockets, real log lines and a stand-in gateway."""
