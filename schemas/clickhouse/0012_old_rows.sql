-- Everything of it was copied by 0009, and nothing reads it any more.
DROP TABLE IF EXISTS lineage_versions;
