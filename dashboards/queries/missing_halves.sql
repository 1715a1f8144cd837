-- Lineages with one half, by the reason.
SELECT toStartOfMinute(start_time) AS minute, missing, count() AS requests
FROM lineage
WHERE 1 AND missing != ''
GROUP BY minute, missing
ORDER BY minute, requests DESC
