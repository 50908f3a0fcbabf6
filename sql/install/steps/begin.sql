do $pgwatch_wed$
declare
    target constant text := current_setting('pgwatch_wed.schema');
begin
    if pg_is_in_recovery() then
        raise exception using
            errcode = 'read_only_sql_transaction',
            message = 'this server is a standby: it cannot be written to',
            hint = 'Install on its primary; the objects are replicated to this server.';
    end if;
    perform set_config('lock_timeout', '10s', true);
    perform set_config('statement_timeout', '60s', true);
    begin
        perform pg_advisory_xact_lock(482905679204);
    exception when lock_not_available then
        raise exception using
            errcode = 'lock_not_available',
            message = 'another installation of pgwatch_wed is running in this database',
            hint = 'Try again when it has finished.';
    end;
    if exists (select from pg_namespace n where n.nspname = target) then
        return;
    end if;
    execute format('create schema %I', target);
    execute format(
        'comment on schema %I is %L', target,
        'Made by pgwatch_wed for its functions and views; dropped with them.');
    execute format('grant usage on schema %I to pg_monitor', target);
end
$pgwatch_wed$;
