-- The entries of jsonb_ops: the keys and the values of a document.
@scalars@, parts as (
    select number, share, is_common, 'key' as kind, 'K' || key as entry
    from walked
    union all
    select number, share, is_common, kind, left(type, 1) || text
    from scalars
)
