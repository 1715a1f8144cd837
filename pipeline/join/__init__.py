"""PURE: records in, lineages out; time is an argument."""
