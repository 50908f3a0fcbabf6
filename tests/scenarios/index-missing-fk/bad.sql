-- expect: public.child_plain_fkey
-- expect: public.child_partial_fkey
-- expect: public.child_brin_fkey
-- expect: public.child_second_fkey
-- expect: public.child_expr_fkey
-- expect: public.two_fkey
-- expect: public.Ünfair "fk
-- expect: public.part_fkey
create table parent (id int primary key);
create table parent2 (a int, b int, primary key (a, b));
insert into parent select generate_series(0, 100);
insert into parent2 select g, g from generate_series(0, 100) g;
create table child (
    id int primary key,
    plain int constraint child_plain_fkey references parent,
    partial int constraint child_partial_fkey references parent,
    brin int constraint child_brin_fkey references parent,
    second int constraint child_second_fkey references parent,
    expr int constraint child_expr_fkey references parent,
    st text,
    x int
);
insert into child select g, g % 100, g % 100, g % 100, g % 100, g % 100, 'x', g from generate_series(1, 20000) g;
create index on child (partial) where st = 'x';
create index on child using brin (brin);
create index on child (x, second);
create index on child ((expr + 0));
create table two (x int, a int, b int, constraint two_fkey foreign key (a, b) references parent2);
insert into two select g, g % 100, g % 100 from generate_series(1, 20000) g;
create index on two (a);
create index on two (x, a, b);
create table "Ta ""ble" ("Co l" int, constraint "Ünfair ""fk" foreign key ("Co l") references parent);
insert into "Ta ""ble" select g % 100 from generate_series(1, 20000) g;
create table part (id int, at date, constraint part_fkey foreign key (id) references parent) partition by range (at);
create table part_one partition of part for values from ('2020-01-01') to ('2021-01-01');
create table part_two partition of part for values from ('2021-01-01') to ('2022-01-01') partition by range (at);
create table part_two_a partition of part_two for values from ('2021-01-01') to ('2021-06-01');
insert into part select g % 100, date '2020-01-01' + g % 500 from generate_series(1, 20000) g;
analyze;
