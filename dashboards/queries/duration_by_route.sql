-- Quantiles of the whole request, and of the gateway's and the upstream's part, by route.
SELECT route, count() AS requests,
       quantile(0.5)(duration_ms) AS p50_ms, quantile(0.99)(duration_ms) AS p99_ms,
       quantile(0.99)(arrayElement(`attempts.latencies.kong`, -1)) AS gateway_p99_ms,
       quantile(0.99)(arrayElement(`attempts.latencies.proxy`, -1)) AS upstream_p99_ms
FROM lineage
WHERE 1
GROUP BY route
ORDER BY requests DESC
LIMIT 20
