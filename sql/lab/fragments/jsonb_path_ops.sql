-- The entries of jsonb_path_ops: the values of a document, each with the way to it.
@scalars@, parts as (
    select number, share, is_common, kind, kind || ':' || text as entry
    from scalars
)
