-- An application that lacks an index, and its work.
set role {owner};
create table app.orders (id int primary key, customer_id int, total int, pad text);
insert into app.orders select g, g % 4000, g, repeat('x', 60) from generate_series(1, 40000) g;
create index on app.orders (total);
create index on app.orders (total);
analyze app.orders;
create sequence app.numbers;
do $$
begin
  for i in 1..50 loop
    perform sum(total) from app.orders where customer_id = i;
  end loop;
end $$;
select sum(total) from app.orders where customer_id = 7;
select sum(total) from app.orders where customer_id = 8;
reset role;
