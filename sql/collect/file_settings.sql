-- A row is an entry of the configuration files that has an error.
select name, setting, sourcefile, sourceline::int as sourceline, error
from pg_file_settings
where error is not null
