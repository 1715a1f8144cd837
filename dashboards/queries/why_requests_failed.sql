-- Whose fault, and why.
SELECT `verdict.domain` AS domain, `verdict.code` AS code, count() AS requests, any(`verdict.text`) AS example
FROM lineage
WHERE 1 AND `verdict.domain` != 'ok'
GROUP BY domain, code
ORDER BY requests DESC
