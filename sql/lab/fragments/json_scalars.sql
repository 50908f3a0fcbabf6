-- For numbered JSON documents: walked, one row per node with its key; and scalars, one row per value with its path.
walked as (
    select number, share, is_common, '' as way, null::text as key, value as node
    from numbered
    union all
    select number, share, is_common, way || '.' || coalesce(x.key, ''), x.key, x.node
    from walked, lateral (
        select key, value as node
        from jsonb_each(case jsonb_typeof(walked.node) when 'object' then walked.node end)
        union all
        select null, value
        from jsonb_array_elements(case jsonb_typeof(walked.node) when 'array' then walked.node end)
    ) x
), scalars as (
    select number, share, is_common, way as kind, node #>> '{}' as text, jsonb_typeof(node) as type
    from walked
    where jsonb_typeof(node) not in ('object', 'array')
)
