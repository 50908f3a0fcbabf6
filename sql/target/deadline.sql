-- Ends our sessions of one name when the time is up; it is over earlier when there are none any more.
do $pgwatch_wed$
declare
    seen boolean := false;
begin
    for second in 1 .. @seconds@ loop
        perform pg_catalog.pg_sleep(1);
        perform pg_catalog.pg_stat_clear_snapshot();
        if exists (select from @sessions@) then
            seen := true;
        elsif seen or second >= @connecting@ then
            return;
        end if;
    end loop;
    perform pg_catalog.pg_terminate_backend(pid) from @sessions@;
-- An error that is caught is not in the server's log: being cancelled is how this ends as a rule.
-- With the sessions gone nobody needs it, though we may be cut off and cannot say so.
exception when query_canceled then
    null;
end
$pgwatch_wed$
