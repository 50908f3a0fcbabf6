create table young (id serial primary key);
select setval('young_id_seq', 900000000);
create table never (id int generated always as identity primary key);
create table wide (id bigint generated always as identity primary key);
select setval('wide_id_seq', 2100000000);
-- the sequence ends, or cycles, before the column's type ends
create sequence ends maxvalue 2000000000;
create table ended (id int primary key default nextval('ends'));
select setval('ends', 1999999990);
create sequence turns as int cycle;
create table turning (id int default nextval('turns'));
select setval('turns', 2147483640);
-- the default changes the value
create sequence parts;
create table parted (shard int default nextval('parts') % 16, code text default 'x' || nextval('parts'));
select setval('parts', 9000000000);
create table computed (id int default (nextval('parts') / 1000000));
-- as wide as the key it refers to
create table child (young_id int references young, wide_id bigint references wide);
-- from the lowest value of the type upwards
create table bottom (id int primary key generated always as identity (minvalue -2147483648 start with -2147483648));
select setval('bottom_id_seq', -2000000000);
-- numeric without a limit
create sequence endless;
create table n (id numeric default nextval('endless'), m numeric(20) default nextval('endless'));
select setval('endless', 5000000000);
