-- A row is an entry of the list of common values that ANALYZE built for a table of samples, in the list's order.
select d.stxdmcv::bytea as list, i.values
from pg_statistic_ext s
join pg_statistic_ext_data d on d.stxoid = s.oid
cross join pg_mcv_list_items(d.stxdmcv) i
where s.stxrelid = %(sample)s
order by i.index
