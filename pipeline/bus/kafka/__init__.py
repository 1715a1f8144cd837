"""The bus past one machine: two co-partitioned topics, edge and gateway, with the consumer group as the engine.

PURE within: `positions`, `packing`, `keys`, `ledger`, `offsets`, `merging`. I/O: everything else.
"""
