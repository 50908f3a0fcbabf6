create sequence young maxvalue 1000;
select setval('young', 100);
create sequence never maxvalue 10;
create sequence turns maxvalue 1000 cycle;
select setval('turns', 999);
-- the column's type ends at the same value: schema-int-overflow
create table t (id serial primary key, small smallserial);
select setval('t_id_seq', 2147480000), setval('t_small_seq', 32000);
create sequence big;
create table narrow (id int default nextval('big'));
select setval('big', 2147480000);
create sequence up_from_below minvalue -1000 maxvalue 1000 start -1000;
select setval('up_from_below', -900);
create sequence down_young increment -1;
select setval('down_young', -5);
