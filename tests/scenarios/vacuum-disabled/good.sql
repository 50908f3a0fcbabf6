-- explicitly on
create table explicit (id int, doc text) with (autovacuum_enabled = on, toast.autovacuum_enabled = 'true');
-- other autovacuum parameters do not switch it off
create table tuned (id int, doc text)
with (autovacuum_vacuum_scale_factor = 0.5, autovacuum_vacuum_cost_delay = 20, autovacuum_vacuum_insert_threshold = -1);
create table p (id int) partition by range (id);
create table off_by_name_only (autovacuum_enabled text default 'off');
