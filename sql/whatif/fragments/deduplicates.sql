-- Whether B-trees deduplicate equal values of the base type b.
exists (
    select
    from pg_opclass o
    join pg_am m on m.oid = o.opcmethod and m.amname = 'btree'
    join pg_amproc p
        on p.amprocfamily = o.opcfamily and p.amprocnum = 4 and p.amproclefttype = o.opcintype
    where o.opcdefault
        and (
            o.opcintype = b.oid
            or b.typname = 'varchar' and o.opcintype = 'text'::regtype
            or b.typcategory = 'E' and o.opcintype = 'anyenum'::regtype
        )
)
