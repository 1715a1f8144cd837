-- Spans in the layout of the OpenTelemetry collector's ClickHouse exporter, worked out from the lineages: the same
-- ids, names, times and statuses as those that are sent, of all requests and of all four kinds, whatever is sampled
-- and whoever else sends the gateway's.
CREATE OR REPLACE VIEW otel_traces AS
SELECT
    toDateTime64(fromUnixTimestamp64Micro(`edge.start_us`, 'UTC'), 9,
        'UTC') AS Timestamp, span_trace_id AS TraceId,
    edge_span_id AS SpanId,
    `spans.parent_id` AS ParentSpanId,
    '' AS TraceState,
    CAST(concat(if(`edge.method` IN ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE',
        'PATCH', 'QUERY'), `edge.method`, 'HTTP'), if(route = '', '', concat(' ', route))),
        'LowCardinality(String)') AS SpanName,
    CAST('Server', 'LowCardinality(String)') AS SpanKind, CAST('haproxy', 'LowCardinality(String)') AS ServiceName,
    CAST(mapFilter((k, v) -> v != '', map('service.name', 'haproxy', 'service.instance.id',
        toString(`edge.node`), 'host.name', toString(`edge.node`))),
        'Map(LowCardinality(String), String)') AS ResourceAttributes,
    'hoptrail' AS ScopeName, '' AS ScopeVersion,
    CAST(mapFilter((k, v) -> v != '', map(
        'http.request.method', multiIf(`edge.method` = '', '', if(`edge.method` IN ('GET', 'HEAD', 'POST', 'PUT',
            'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'), `edge.method`, 'HTTP') = 'HTTP',
            '_OTHER', `edge.method`),
        'http.request.method_original', if(`edge.method` != '' AND if(`edge.method` IN ('GET', 'HEAD', 'POST',
            'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'), `edge.method`, 'HTTP') = 'HTTP',
            `edge.method`, ''),
        'url.scheme', `edge.scheme`,
        'url.path', `edge.path`,
        'url.query', `edge.query`,
        'network.protocol.version', `edge.http_version`,
        'user_agent.original', `edge.user_agent`,
        'client.address', `edge.client_ip`,
        'client.port', if(`edge.client_port` = 0, '', toString(`edge.client_port`)),
        'network.peer.address', `edge.client_ip`,
        'network.peer.port', if(`edge.client_port` = 0, '', toString(`edge.client_port`)),
        'http.response.status_code', if(`edge.status` = 0, '', toString(`edge.status`)),
        'http.request.size', ifNull(toString(`edge.request_bytes`), ''),
        'http.response.size', ifNull(toString(`edge.response_bytes`), ''),
        'error.type', multiIf((substring(concat(`edge.termination`, '--'), 1, 1) != '-'
            AND substring(concat(`edge.termination`, '--'), 2, 1) IN ('D', 'L')),
            multiIf(substring(concat(`edge.termination`, '--'), 1, 1) IN ('C', 'c'), 'client_abort',
            substring(concat(`edge.termination`, '--'), 1, 1) = 'S', 'server_abort',
            substring(concat(`edge.termination`, '--'), 1, 1) = 's', 'server_timeout', 'edge_abort'),
            `edge.status` = 0, multiIf(substring(concat(`edge.termination`, '--'), 1, 1) IN ('C', 'c'),
            'client_abort', substring(concat(`edge.termination`, '--'), 1, 1) = 'S', 'server_abort',
            substring(concat(`edge.termination`, '--'), 1, 1) = 's', 'server_timeout', ''), `edge.status` >= 500,
            toString(`edge.status`), ''),
        'haproxy.unique_id', request_id,
        'haproxy.termination_state', toString(`edge.termination`),
        'haproxy.frontend', toString(`edge.frontend`),
        'haproxy.backend', toString(`edge.backend`),
        'haproxy.server', toString(`edge.server`),
        'haproxy.retries', if(`edge.retries` = 0, '', toString(`edge.retries`)),
        'haproxy.redispatched', if(`edge.redispatched`, 'true', ''),
        'haproxy.timing.TR', ifNull(toString(`edge.timers.TR`), ''),
        'haproxy.timing.Tw', ifNull(toString(`edge.timers.Tw`), ''),
        'haproxy.timing.Tc', ifNull(toString(`edge.timers.Tc`), ''),
        'haproxy.timing.Tr', ifNull(toString(`edge.timers.Tr`), ''),
        'haproxy.timing.Td', ifNull(toString(`edge.timers.Td`), ''),
        'haproxy.timing.Ta', ifNull(toString(`edge.timers.Ta`), ''),
        'lineage.match', toString(match),
        'lineage.missing', toString(missing),
        'lineage.verdict', toString(`verdict.code`),
        'lineage.flags', if(empty(flags), '', toJSONString(flags))
    )), 'Map(LowCardinality(String), String)') AS SpanAttributes,
    toUInt64(greatest((`edge.start_us` + toInt64(round(duration_ms * 1000))) - (`edge.start_us`), 0) * 1000) AS Duration,
    CAST(if((substring(concat(`edge.termination`, '--'), 1, 1) != '-' AND substring(concat(`edge.termination`,
        '--'), 2, 1) IN ('D', 'L')) OR `edge.status` >= 500 OR (`edge.status` = 0
        AND substring(concat(`edge.termination`, '--'), 1, 1) NOT IN ('-', 'C', 'c')), 'Error', 'Unset'),
        'LowCardinality(String)') AS StatusCode, '' AS StatusMessage,
    arrayConcat(
        if(toInt64(ifNull(`edge.timers.Tw`, 0)) > 0,
            [toDateTime64(fromUnixTimestamp64Micro(`edge.start_us` + toInt64(ifNull(`edge.timers.TR`, 0)) * 1000, 'UTC'), 9, 'UTC')], []),
        if(`edge.redispatched`,
            [toDateTime64(fromUnixTimestamp64Micro(`edge.start_us` + toInt64(ifNull(`edge.timers.TR`, 0)) * 1000 + (toInt64(ifNull(`edge.timers.Tw`, 0)) + toInt64(ifNull(`edge.timers.Tc`, 0))) * 1000, 'UTC'), 9, 'UTC')], [])) AS `Events.Timestamp`,
    CAST(arrayConcat(if(toInt64(ifNull(`edge.timers.Tw`, 0)) > 0, ['haproxy.queued'], []),
        if(`edge.redispatched`, ['haproxy.redispatched'], [])),
        'Array(LowCardinality(String))') AS `Events.Name`,
    CAST(arrayConcat(if(toInt64(ifNull(`edge.timers.Tw`, 0)) > 0, [map('haproxy.timing.Tw',
        toString(toInt64(ifNull(`edge.timers.Tw`, 0))))], []),
        if(`edge.redispatched`, [map()], [])), 'Array(Map(LowCardinality(String), String))') AS `Events.Attributes`,
    if((match(`edge.claimed.traceparent`, '(?s)^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$')
        AND substring(`edge.claimed.traceparent`, 1, 2) != 'ff' AND NOT (substring(`edge.claimed.traceparent`, 1,
            2) = '00' AND length(`edge.claimed.traceparent`) > 55)
        AND match(substring(`edge.claimed.traceparent`, 4, 32), '[^0]')
            AND match(substring(`edge.claimed.traceparent`, 37, 16), '[^0]') AND `spans.parent_id` = ''),
            [substring(`edge.claimed.traceparent`, 4, 32)], []) AS `Links.TraceId`,
    if((match(`edge.claimed.traceparent`, '(?s)^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$')
        AND substring(`edge.claimed.traceparent`, 1, 2) != 'ff' AND NOT (substring(`edge.claimed.traceparent`, 1,
            2) = '00' AND length(`edge.claimed.traceparent`) > 55)
        AND match(substring(`edge.claimed.traceparent`, 4, 32), '[^0]')
            AND match(substring(`edge.claimed.traceparent`, 37, 16), '[^0]') AND `spans.parent_id` = ''),
            [substring(`edge.claimed.traceparent`, 37, 16)], []) AS `Links.SpanId`,
    if((match(`edge.claimed.traceparent`, '(?s)^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$')
        AND substring(`edge.claimed.traceparent`, 1, 2) != 'ff' AND NOT (substring(`edge.claimed.traceparent`, 1,
            2) = '00' AND length(`edge.claimed.traceparent`) > 55)
        AND match(substring(`edge.claimed.traceparent`, 4, 32), '[^0]')
            AND match(substring(`edge.claimed.traceparent`, 37, 16), '[^0]') AND `spans.parent_id` = ''), [''],
            []) AS `Links.TraceState`,
    CAST(if((match(`edge.claimed.traceparent`, '(?s)^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$')
        AND substring(`edge.claimed.traceparent`, 1, 2) != 'ff' AND NOT (substring(`edge.claimed.traceparent`, 1,
            2) = '00' AND length(`edge.claimed.traceparent`) > 55)
        AND match(substring(`edge.claimed.traceparent`, 4, 32), '[^0]')
            AND match(substring(`edge.claimed.traceparent`, 37, 16), '[^0]') AND `spans.parent_id` = ''),
            [map()], []), 'Array(Map(LowCardinality(String), String))') AS `Links.Attributes`
FROM lineage_rows FINAL
WHERE has_edge
UNION ALL
SELECT
    toDateTime64(fromUnixTimestamp64Micro(if((`edge.retries` > 0 OR n > 1),
        `attempts.started_us`[n],
        `edge.start_us` + (toInt64(ifNull(`edge.timers.TR`,
        0)) + toInt64(ifNull(`edge.timers.Tw`, 0))) * 1000), 'UTC'), 9, 'UTC') AS Timestamp,
        span_trace_id AS TraceId,
    lower(hex(substring(SHA256(concat(span_trace_id, '|attempt|', if(`attempts.gateway_request_id`[n] = '',
        toString(`attempts.attempt_id`[n]), `attempts.gateway_request_id`[n]))), 1, 8))) AS SpanId,
    edge_span_id AS ParentSpanId,
    '' AS TraceState,
    CAST(if(if(`attempts.method`[n] = '', `edge.method`, `attempts.method`[n]) IN ('GET', 'HEAD', 'POST', 'PUT',
        'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'), if(`attempts.method`[n] = '', `edge.method`,
        `attempts.method`[n]), 'HTTP'), 'LowCardinality(String)') AS SpanName,
    CAST('Client', 'LowCardinality(String)') AS SpanKind, CAST('haproxy', 'LowCardinality(String)') AS ServiceName,
    CAST(mapFilter((k, v) -> v != '', map('service.name', 'haproxy', 'service.instance.id',
        toString(`edge.node`), 'host.name', toString(`edge.node`))),
        'Map(LowCardinality(String), String)') AS ResourceAttributes,
    'hoptrail' AS ScopeName, '' AS ScopeVersion,
    CAST(mapFilter((k, v) -> v != '', map(
        'http.request.method', multiIf(if(`attempts.method`[n] = '', `edge.method`, `attempts.method`[n]) = '',
            '', if(if(`attempts.method`[n] = '', `edge.method`, `attempts.method`[n]) IN ('GET', 'HEAD', 'POST',
            'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'), if(`attempts.method`[n] = '',
            `edge.method`, `attempts.method`[n]), 'HTTP') = 'HTTP', '_OTHER', if(`attempts.method`[n] = '',
            `edge.method`, `attempts.method`[n])),
        'http.request.method_original', if(if(`attempts.method`[n] = '', `edge.method`,
            `attempts.method`[n]) != '' AND if(if(`attempts.method`[n] = '', `edge.method`,
            `attempts.method`[n]) IN ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE',
            'PATCH', 'QUERY'), if(`attempts.method`[n] = '', `edge.method`, `attempts.method`[n]),
            'HTTP') = 'HTTP', if(`attempts.method`[n] = '', `edge.method`, `attempts.method`[n]), ''),
        'url.scheme', `attempts.scheme`[n],
        'url.full', concat(if(`attempts.scheme`[n] = '', 'http', `attempts.scheme`[n]), '://',
            if(`attempts.host`[n] = '', `edge.host`, `attempts.host`[n]), if(`attempts.path`[n] = '', '/',
            `attempts.path`[n]), if(`attempts.query`[n] = '', '', concat('?', `attempts.query`[n]))),
        'http.response.status_code', if(`attempts.status`[n] = 0, '', toString(`attempts.status`[n])),
        'error.type', multiIf(`attempts.status`[n] = 0, 'no_response', `attempts.status`[n] >= 400,
            toString(`attempts.status`[n]), ''),
        'http.request.resend_count', if(n = 1, '', toString(n - 1)),
        'server.address', multiIf(NOT (n = length(`attempts.attempt_id`) AND (`edge.server_ip` != ''
            OR `edge.server` != '')), `attempts.node`[n], `edge.server_ip` != '', `edge.server_ip`,
            toString(`edge.server`)),
        'server.port', if((n = length(`attempts.attempt_id`) AND (`edge.server_ip` != ''
            OR `edge.server` != '')), if(`edge.server_port` = 0, '', toString(`edge.server_port`)), ''),
        'network.peer.address', if((n = length(`attempts.attempt_id`) AND (`edge.server_ip` != ''
            OR `edge.server` != '')) AND `edge.server_ip` != '', `edge.server_ip`, `attempts.node`[n]),
        'network.peer.port', if((n = length(`attempts.attempt_id`) AND (`edge.server_ip` != ''
            OR `edge.server` != '')), if(`edge.server_port` = 0, '', toString(`edge.server_port`)), ''),
        'kong.request.id', `attempts.gateway_request_id`[n]
    )), 'Map(LowCardinality(String), String)') AS SpanAttributes,
    toUInt64(greatest((if((`edge.retries` > 0 OR n > 1),
        `attempts.started_us`[n] + toInt64(ifNull(`attempts.latencies.request`[n],
        0) * 1000),
        `edge.start_us` + toInt64(round(duration_ms * 1000)))) - (if((`edge.retries`
        > 0 OR n > 1), `attempts.started_us`[n],
        `edge.start_us` + (toInt64(ifNull(`edge.timers.TR`,
        0)) + toInt64(ifNull(`edge.timers.Tw`, 0))) * 1000)), 0) * 1000) AS Duration,
    CAST(if(`attempts.status`[n] = 0 OR `attempts.status`[n] >= 400, 'Error', 'Unset'),
        'LowCardinality(String)') AS StatusCode, '' AS StatusMessage,
    CAST([], 'Array(DateTime64(9, \'UTC\'))') AS `Events.Timestamp`, CAST([],
        'Array(LowCardinality(String))') AS `Events.Name`,
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Events.Attributes`,
    CAST([], 'Array(String)') AS `Links.TraceId`, CAST([], 'Array(String)') AS `Links.SpanId`,
    CAST([], 'Array(String)') AS `Links.TraceState`, CAST([], 'Array(Map(LowCardinality(String),
        String))') AS `Links.Attributes`
FROM lineage_rows FINAL
ARRAY JOIN arrayEnumerate(`attempts.attempt_id`) AS n
WHERE has_edge
UNION ALL
SELECT
    toDateTime64(fromUnixTimestamp64Micro(`attempts.started_us`[n], 'UTC'), 9,
        'UTC') AS Timestamp, span_trace_id AS TraceId,
    lower(hex(substring(SHA256(concat(span_trace_id, '|gateway|', if(`attempts.gateway_request_id`[n] = '',
        toString(`attempts.attempt_id`[n]), `attempts.gateway_request_id`[n]))), 1, 8))) AS SpanId,
    if(has_edge OR missing != 'bypassed_edge', lower(hex(substring(SHA256(concat(span_trace_id, '|attempt|',
        if(`attempts.gateway_request_id`[n] = '', toString(`attempts.attempt_id`[n]),
        `attempts.gateway_request_id`[n]))), 1, 8))), `spans.parent_id`) AS ParentSpanId,
    '' AS TraceState,
    CAST(concat(if(`attempts.method`[n] IN ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS',
        'TRACE', 'PATCH', 'QUERY'), `attempts.method`[n], 'HTTP'), if(`attempts.route`[n] = '', '', concat(' ',
        `attempts.route`[n]))), 'LowCardinality(String)') AS SpanName,
    CAST('Server', 'LowCardinality(String)') AS SpanKind, CAST('kong', 'LowCardinality(String)') AS ServiceName,
    CAST(mapFilter((k, v) -> v != '', map('service.name', 'kong', 'service.instance.id', `attempts.node`[n],
        'host.name', `attempts.node`[n])),
        'Map(LowCardinality(String), String)') AS ResourceAttributes,
    'hoptrail' AS ScopeName, '' AS ScopeVersion,
    CAST(mapFilter((k, v) -> v != '', map(
        'http.request.method', multiIf(`attempts.method`[n] = '', '', if(`attempts.method`[n] IN ('GET', 'HEAD',
            'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'), `attempts.method`[n],
            'HTTP') = 'HTTP', '_OTHER', `attempts.method`[n]),
        'http.request.method_original', if(`attempts.method`[n] != '' AND if(`attempts.method`[n] IN ('GET',
            'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'),
            `attempts.method`[n], 'HTTP') = 'HTTP', `attempts.method`[n], ''),
        'url.scheme', `attempts.scheme`[n],
        'url.path', `attempts.path`[n],
        'url.query', `attempts.query`[n],
        'user_agent.original', `attempts.user_agent`[n],
        'client.address', `attempts.client_ip`[n],
        'http.response.status_code', if(`attempts.status`[n] = 0, '', toString(`attempts.status`[n])),
        'error.type', multiIf(`attempts.status`[n] = 499, 'client_abort', `attempts.status`[n] >= 500,
            toString(`attempts.status`[n]), ''),
        'kong.request.id', `attempts.gateway_request_id`[n],
        'kong.service.name', `attempts.service`[n],
        'kong.service.id', `attempts.service_id`[n],
        'kong.route.name', `attempts.route`[n],
        'kong.route.id', `attempts.route_id`[n],
        'kong.workspace', `attempts.workspace`[n],
        'kong.response.source', `attempts.source`[n],
        'lineage.delivered', if(isNotNull(delivered) AND assumeNotNull(delivered) + 1 = n, 'true', 'false'),
        'lineage.match', if(has_edge, '', toString(match)),
        'lineage.missing', if(has_edge, '', toString(missing)),
        'lineage.verdict', if(has_edge, '', toString(`verdict.code`)),
        'lineage.flags', if(has_edge OR empty(flags), '', toJSONString(flags))
    )), 'Map(LowCardinality(String), String)') AS SpanAttributes,
    toUInt64(greatest((`attempts.started_us`[n] + toInt64(ifNull(`attempts.latencies.request`[n], 0) * 1000)) - (`attempts.started_us`[n]), 0) * 1000) AS Duration,
    CAST(if(`attempts.status`[n] >= 500, 'Error', 'Unset'), 'LowCardinality(String)') AS StatusCode,
        '' AS StatusMessage,
    if((`attempts.source`[n] = 'kong' AND `attempts.status`[n] >= 400 AND `attempts.status`[n] < 500),
        [toDateTime64(fromUnixTimestamp64Micro(`attempts.started_us`[n] + toInt64(ifNull(`attempts.latencies.kong`[n], 0) * 1000), 'UTC'), 9, 'UTC')], []) AS `Events.Timestamp`,
    CAST(if((`attempts.source`[n] = 'kong' AND `attempts.status`[n] >= 400 AND `attempts.status`[n] < 500),
        ['kong.denied'], []), 'Array(LowCardinality(String))') AS `Events.Name`,
    CAST(if((`attempts.source`[n] = 'kong' AND `attempts.status`[n] >= 400 AND `attempts.status`[n] < 500),
        [map()], []), 'Array(Map(LowCardinality(String), String))') AS `Events.Attributes`,
    CAST([], 'Array(String)') AS `Links.TraceId`, CAST([], 'Array(String)') AS `Links.SpanId`,
    CAST([], 'Array(String)') AS `Links.TraceState`, CAST([], 'Array(Map(LowCardinality(String),
        String))') AS `Links.Attributes`
FROM lineage_rows FINAL
ARRAY JOIN arrayEnumerate(`attempts.attempt_id`) AS n
WHERE 1
UNION ALL
SELECT
    toDateTime64(fromUnixTimestamp64Micro(if(toUnixTimestamp64Micro(started) = 0,
        `attempts.started_us`[a + 1] + toInt64(ifNull(`attempts.latencies.kong`[a + 1],
        0) * 1000), toUnixTimestamp64Micro(started)), 'UTC'), 9, 'UTC') AS Timestamp, span_trace_id AS TraceId,
    lower(hex(substring(SHA256(concat(span_trace_id, '|try|', if(`attempts.gateway_request_id`[a + 1] = '',
        toString(`attempts.attempt_id`[a + 1]), `attempts.gateway_request_id`[a + 1]), '/', toString(t - 1))), 1,
        8))) AS SpanId,
    lower(hex(substring(SHA256(concat(span_trace_id, '|gateway|', if(`attempts.gateway_request_id`[a + 1] = '',
        toString(`attempts.attempt_id`[a + 1]), `attempts.gateway_request_id`[a + 1]))), 1, 8))) AS ParentSpanId,
    '' AS TraceState,
    CAST(if(`attempts.method`[a + 1] IN ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE',
        'PATCH', 'QUERY'), `attempts.method`[a + 1], 'HTTP'), 'LowCardinality(String)') AS SpanName,
    CAST('Client', 'LowCardinality(String)') AS SpanKind, CAST('kong', 'LowCardinality(String)') AS ServiceName,
    CAST(mapFilter((k, v) -> v != '', map('service.name', 'kong', 'service.instance.id', `attempts.node`[a + 1],
        'host.name', `attempts.node`[a + 1])),
        'Map(LowCardinality(String), String)') AS ResourceAttributes,
    'hoptrail' AS ScopeName, '' AS ScopeVersion,
    CAST(mapFilter((k, v) -> v != '', map(
        'http.request.method', multiIf(`attempts.method`[a + 1] = '', '', if(`attempts.method`[a + 1] IN ('GET',
            'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'),
            `attempts.method`[a + 1], 'HTTP') = 'HTTP', '_OTHER', `attempts.method`[a + 1]),
        'http.request.method_original', if(`attempts.method`[a + 1] != ''
            AND if(`attempts.method`[a + 1] IN ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS',
            'TRACE', 'PATCH', 'QUERY'), `attempts.method`[a + 1], 'HTTP') = 'HTTP', `attempts.method`[a + 1], ''),
        'server.address', ip,
        'server.port', if(port = 0, '', toString(port)),
        'network.peer.address', ip,
        'network.peer.port', if(port = 0, '', toString(port)),
        'url.path', splitByChar('?', `attempts.upstream_uri`[a + 1], 2)[1],
        'url.query', substring(`attempts.upstream_uri`[a + 1], position(`attempts.upstream_uri`[a + 1], '?') + 1,
            if(position(`attempts.upstream_uri`[a + 1], '?') = 0, 0, 65536)),
        'http.response.status_code', if(if(match(`attempts.upstream_status`[a + 1][t], '^[0-9]+$'),
            toUInt32OrZero(`attempts.upstream_status`[a + 1][t]), code) = 0, '',
            toString(if(match(`attempts.upstream_status`[a + 1][t], '^[0-9]+$'),
            toUInt32OrZero(`attempts.upstream_status`[a + 1][t]), code))),
        'error.type', multiIf(if(match(`attempts.upstream_status`[a + 1][t], '^[0-9]+$'),
            toUInt32OrZero(`attempts.upstream_status`[a + 1][t]), code) >= 400,
            toString(if(match(`attempts.upstream_status`[a + 1][t], '^[0-9]+$'),
            toUInt32OrZero(`attempts.upstream_status`[a + 1][t]), code)),
            if(match(`attempts.upstream_status`[a + 1][t], '^[0-9]+$'),
            toUInt32OrZero(`attempts.upstream_status`[a + 1][t]), code) = 0, state, ''),
        'kong.try.state', state,
        'http.request.resend_count', if(t = 1, '', toString(t - 1))
    )), 'Map(LowCardinality(String), String)') AS SpanAttributes,
    toUInt64(greatest((if(`tries.attempt`[i + 1] = a AND i < length(`tries.attempt`),
        if(toUnixTimestamp64Micro(`tries.started_at`[i + 1]) = 0,
        `attempts.started_us`[a + 1] + toInt64(ifNull(`attempts.latencies.kong`[a + 1],
        0) * 1000), toUnixTimestamp64Micro(`tries.started_at`[i + 1])),
        if(toUnixTimestamp64Micro(started) = 0,
            `attempts.started_us`[a + 1] + toInt64(ifNull(`attempts.latencies.kong`[a + 1], 0) * 1000), toUnixTimestamp64Micro(started)) + toInt64((ifNull(balancer_ms, 0) + ifNull(`attempts.latencies.proxy`[a + 1], 0) + ifNull(`attempts.latencies.receive`[a + 1], 0)) * 1000))) - (if(toUnixTimestamp64Micro(started) = 0, `attempts.started_us`[a + 1] + toInt64(ifNull(`attempts.latencies.kong`[a + 1], 0) * 1000), toUnixTimestamp64Micro(started))), 0) * 1000) AS Duration,
    CAST(if(if(match(`attempts.upstream_status`[a + 1][t], '^[0-9]+$'),
        toUInt32OrZero(`attempts.upstream_status`[a + 1][t]), code) >= 400
        OR (if(match(`attempts.upstream_status`[a + 1][t], '^[0-9]+$'),
        toUInt32OrZero(`attempts.upstream_status`[a + 1][t]), code) = 0 AND state != ''), 'Error', 'Unset'),
        'LowCardinality(String)') AS StatusCode, '' AS StatusMessage,
    CAST([], 'Array(DateTime64(9, \'UTC\'))') AS `Events.Timestamp`, CAST([],
        'Array(LowCardinality(String))') AS `Events.Name`,
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Events.Attributes`,
    CAST([], 'Array(String)') AS `Links.TraceId`, CAST([], 'Array(String)') AS `Links.SpanId`,
    CAST([], 'Array(String)') AS `Links.TraceState`, CAST([], 'Array(Map(LowCardinality(String),
        String))') AS `Links.Attributes`
FROM lineage_rows FINAL
ARRAY JOIN
    arrayEnumerate(`tries.attempt`) AS i, `tries.attempt` AS a, arrayEnumerateUniq(`tries.attempt`) AS t,
        `tries.ip` AS ip,
    `tries.port` AS port, `tries.state` AS state, `tries.code` AS code, `tries.started_at` AS started,
    `tries.balancer_ms` AS balancer_ms
WHERE 1;

-- From when to when a trace is looked for, as the exporter keeps it.
CREATE OR REPLACE VIEW otel_traces_trace_id_ts AS
SELECT
    span_trace_id AS TraceId, toDateTime(min(start_time), 'UTC') - 60 AS Start,
    toDateTime(max(end_time), 'UTC') + 60 AS End
FROM lineage_rows FINAL
GROUP BY TraceId;
