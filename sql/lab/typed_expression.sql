-- A row is a value of an expression over a table; there is none, only its type.
select (@expression@) as value
from @table@
limit 0
