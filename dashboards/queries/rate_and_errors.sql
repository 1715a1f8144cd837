-- Requests, errors and their share by minute.
SELECT toStartOfMinute(start_time) AS minute, count() AS requests,
       countIf(status >= 500) AS errors, round(errors / requests, 4) AS error_share
FROM lineage
WHERE 1 AND final
GROUP BY minute
ORDER BY minute
