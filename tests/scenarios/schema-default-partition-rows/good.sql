create table by_range (id int, at date) partition by range (at);
create table range_one partition of by_range for values from ('2020-01-01') to ('2021-01-01');
create table of_range partition of by_range default;
insert into by_range select g, '2020-03-03' from generate_series(1, 1000) g;
create table by_hash (id int) partition by hash (id);
create table hash_one partition of by_hash for values with (modulus 1, remainder 0);
insert into by_hash values (1);
analyze;
