-- Who asked, how often, and how often in vain.
SELECT `identity.kind` AS kind, `identity.consumer_name` AS consumer, count() AS requests,
       countIf(status IN (401, 403)) AS refused, countIf(status = 429) AS over_limit
FROM lineage
WHERE 1
GROUP BY kind, consumer
ORDER BY requests DESC
LIMIT 50
