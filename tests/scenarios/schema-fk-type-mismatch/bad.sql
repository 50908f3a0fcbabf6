-- expect: public.narrow_fkey
-- expect: public.converted_fkey
-- expect: public.second_fkey
-- expect: public.blank_fkey
create table big (id bigint primary key);
create table small (id int primary key);
create table num (id numeric primary key);
create table pair (a int, b bigint, primary key (a, b));
create table txt (c text primary key);
create table narrow (id int, constraint narrow_fkey foreign key (id) references big);
create table converted (id int, constraint converted_fkey foreign key (id) references num);
create table second (x int, y int, constraint second_fkey foreign key (x, y) references pair);
create table blank (c char(3), constraint blank_fkey foreign key (c) references txt);
create table parted (id int, constraint parted_fkey foreign key (id) references small) partition by range (id);
create table parted_one partition of parted for values from (1) to (10);
