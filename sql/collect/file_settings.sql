-- A row is an entry of the configuration files that has an error.
select
    name,
    case
        when name = any (array['primary_conninfo', 'archive_command', 'restore_command', 'archive_cleanup_command',
            'recovery_end_command', 'ssl_passphrase_command']) then '(set)'
        else setting
    end as setting,
    sourcefile,
    sourceline::int as sourceline,
    error
from pg_file_settings
where error is not null
