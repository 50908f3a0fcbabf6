-- pg: >= 16
-- no index on the updated column: full pages are the reason
create table full_pages (id int primary key, state int, n int, pad text);
insert into full_pages select g, g, 0, repeat('x', 200) from generate_series(1, 5000) g;
create index full_pages_state on full_pages (state);
analyze full_pages;
update full_pages set n = n + 1;
select pg_sleep(0.7);
select 1;
