-- Roles for a server: `hoptrail schema access` fills in the database and the limits of the read door, and prints
-- this; an administrator runs it. Again after a change of limits: everything is replaced, nothing is lost.
-- Then, for each person or program:
--   CREATE USER alice IDENTIFIED WITH sha256_password BY '…' DEFAULT ROLE hoptrail_reader;
-- The schema itself is changed by an administrator, with `hoptrail schema apply`.
CREATE ROLE IF NOT EXISTS hoptrail_reader {on_cluster};
CREATE ROLE IF NOT EXISTS hoptrail_auditor {on_cluster};
CREATE ROLE IF NOT EXISTS hoptrail_writer {on_cluster};

-- `readonly = 2` lets a client send settings, which dashboards do; every limit has its ceiling, and functions
-- that reach files or other hosts need grants that no role here has.
CREATE SETTINGS PROFILE OR REPLACE hoptrail_reading {on_cluster} SETTINGS
    readonly = 2 READONLY,
    allow_ddl = 0 READONLY,
    allow_introspection_functions = 0 READONLY,
    max_result_rows = {max_rows} MAX {max_rows},
    max_result_bytes = {max_bytes} MAX {max_bytes},
    result_overflow_mode = 'throw',
    max_execution_time = {max_seconds} MAX {max_seconds},
    max_memory_usage = {max_memory_bytes} MAX {max_memory_bytes},
    max_threads = {max_threads} MAX {max_threads},
    max_concurrent_queries_for_user = {max_concurrent} READONLY,
    log_queries = 1 READONLY,
    distributed_product_mode = 'local'
    TO hoptrail_reader, hoptrail_auditor;

CREATE SETTINGS PROFILE OR REPLACE hoptrail_writing {on_cluster} SETTINGS
    async_insert = 0 READONLY,
    distributed_foreground_insert = 1 READONLY,
    distributed_product_mode = 'local'
    TO hoptrail_writer;

-- As many seconds of work in a minute as the door gives: its queries at once, all the time.
CREATE QUOTA OR REPLACE hoptrail_reading {on_cluster} KEYED BY user_name
    FOR INTERVAL 1 minute MAX execution_time = {seconds_a_minute}
    TO hoptrail_reader, hoptrail_auditor;

-- A reader sees all but what never parsed, as its bytes are redacted by rule of thumb alone.
GRANT {on_cluster} SELECT ON `{database}`.* TO hoptrail_reader;
REVOKE {on_cluster} SELECT ON `{database}`.dead_letters FROM hoptrail_reader;
REVOKE {on_cluster} SELECT ON `{database}`.dead_letter_versions FROM hoptrail_reader;
REVOKE {on_cluster} SELECT ON `{database}`.dead_letters_local FROM hoptrail_reader;
REVOKE {on_cluster} SELECT ON `{database}`.dead_letter_versions_local FROM hoptrail_reader;

-- An auditor sees everything of ours, and who asked what.
GRANT {on_cluster} SELECT ON `{database}`.* TO hoptrail_auditor;
GRANT {on_cluster} SELECT ON system.query_log TO hoptrail_auditor;

-- The writer adds rows and looks them up; it changes and removes nothing. What it sends is read by the table
-- function `input`, which asks for the right to temporary tables.
GRANT {on_cluster} SELECT, INSERT ON `{database}`.* TO hoptrail_writer;
GRANT {on_cluster} CREATE TEMPORARY TABLE ON *.* TO hoptrail_writer;
