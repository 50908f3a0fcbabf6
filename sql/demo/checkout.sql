\set customer random(1, 30000)
\set product random(1, 2000)
\set session random(1, 100000)
begin;
insert into shop.orders (customer_id, status, placed_at, total) values (:customer, 'open', now(), 42);
insert into shop.order_items (order_id, product_id, quantity)
values (currval(pg_get_serial_sequence('shop.orders', 'id')), :product, 1);
update shop.sessions set seen_at = now() where id = :session;
insert into shop.audit_log (what) values ('checkout');
commit;
