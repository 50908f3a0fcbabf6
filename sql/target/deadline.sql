-- Ends our sessions with a certain name when the time is up; returns earlier if there are none left.
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
-- An error that is caught is not logged by the server, and this is usually ended by being canceled.
-- Once the sessions are gone it is not needed any more, even if we are disconnected and cannot end it.
exception when query_canceled then
    null;
end
$pgwatch_wed$
