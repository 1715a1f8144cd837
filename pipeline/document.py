"""PURE: a lineage as outsiders see it: the JSON contract of `schemas/lineage.schema.json`."""
