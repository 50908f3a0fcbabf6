\set popular random_zipfian(1, 10000 * @scale@, 1.1)
\set customer 1 + (:popular * 7919) % (10000 * @scale@)
select email, city, since from shop.customers where id = :customer;
select id, status, total, placed_at from shop.orders where customer_id = :customer order by placed_at desc limit 10;
