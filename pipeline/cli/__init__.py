"""The `hoptrail` command: parses arguments, calls one function, sets the exit code."""
