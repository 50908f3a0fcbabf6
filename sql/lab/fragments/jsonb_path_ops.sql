-- The entries of jsonb_path_ops: the values of a document, each with its path.
@scalars@, parts as (
    select number, share, is_common, kind, kind || ':' || text as entry
    from scalars
)
