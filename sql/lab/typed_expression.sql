-- No row, but the type of an expression over a table's columns.
select (@expression@) as value
from @table@
limit 0
