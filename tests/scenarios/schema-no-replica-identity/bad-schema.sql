-- expect: shop.item
-- expect: shop.parted
-- pg: >= 15
create schema shop;
create table shop.item (a int);
create table public.outside (a int);
create table shop.parted (id int) partition by range (id);
create table public.part partition of shop.parted for values from (1) to (2);
create publication of_schema for tables in schema shop;
