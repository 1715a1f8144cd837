"""Hoptrail: one lineage record per request, joined from HAProxy and Kong logs.

Log lines come in by `sources`, lie on the `bus`, are read by `formats`, meet in `join`, and rest in `sinks`.
"""

__version__ = "0.1.0"
