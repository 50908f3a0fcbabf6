\set customer random(1, 30000)
\set product random(1, 2000)
select id, email, city from shop.customers where id = :customer;
select id, status, total from shop.orders where customer_id = :customer order by placed_at desc limit 20;
select title, price from shop.products where id = :product;
