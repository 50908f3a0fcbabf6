-- What ANALYZE stored for the expressions of a CREATE STATISTICS object, by their texts.
(
    select
        jsonb_object_agg(
            e.expr,
            jsonb_build_object(
                'null_frac', e.null_frac,
                'avg_width', e.avg_width,
                'n_distinct', e.n_distinct,
                'correlation', e.correlation,
                'common', e.most_common_vals::text,
                'shares', e.most_common_freqs::text,
                'bounds', e.histogram_bounds::text,
                'elements', e.most_common_elems::text,
                'element_shares', e.most_common_elem_freqs::text,
                'counts', e.elem_count_histogram::text
            )
        )
    from pg_stats_ext_exprs e
    where e.statistics_schemaname = v.statistics_schemaname and e.statistics_name = v.statistics_name
        and to_jsonb(e) -> 'inherited' is not distinct from to_jsonb(v) -> 'inherited'
)
