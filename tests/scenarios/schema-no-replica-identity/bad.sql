-- expect: public.no_key
-- expect: public.with_unique
-- expect: public.nothing
-- expect: public.deferred
-- expect: public.lost_index
-- expect: public.parted
-- expect: other.in_schema
create table no_key (a int);
create table with_unique (a int not null unique);
create table nothing (id int primary key);
alter table nothing replica identity nothing;
create table deferred (id int primary key deferrable);
create table lost_index (a int not null);
create unique index lost on lost_index (a);
alter table lost_index replica identity using index lost;
drop index lost;
create table parted (id int, at date) partition by range (at);
create table parted_one partition of parted for values from ('2020-01-01') to ('2021-01-01');
create table parted_two partition of parted for values from ('2021-01-01') to ('2022-01-01');
alter table parted_two replica identity full;
create schema other;
create table other.in_schema (a int);
create publication everything for all tables;
create publication inserts for table no_key with (publish = 'insert');
