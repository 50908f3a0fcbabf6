create domain ident as int;
create table small (id int primary key);
create table txt (c text primary key);
create table var (c varchar(10) primary key);
create table num (n numeric(10) primary key);
create table stamp (at timestamp primary key);
create table a (id ident references small, c varchar(20) references txt, v varchar(30) references var,
    w text references var, n numeric(5) references num, at timestamp(0) references stamp, i integer references small);
create table parted (id int references small, at date) partition by range (at);
create table parted_one partition of parted for values from ('2020-01-01') to ('2021-01-01');
-- wider than its key: nothing can be lost, and one index serves both types
create table wide_small (id int primary key);
create table wide (id bigint references wide_small);
create table tiny_key (id smallint primary key);
create table wider (id int references tiny_key);
