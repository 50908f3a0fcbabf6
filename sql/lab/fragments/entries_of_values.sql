-- For numbered values: parts, one row per entry of a value.
parts as (
    select number, share, is_common, '' as kind, entry::text as entry
    from numbered, lateral (select @entries@) x (entry)
)
