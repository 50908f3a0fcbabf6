create table no_key (a int);
insert into no_key values (1);
delete from no_key;
