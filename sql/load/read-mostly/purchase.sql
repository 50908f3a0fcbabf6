\set popular random_zipfian(1, 10000 * @scale@, 1.1)
\set customer 1 + (:popular * 7919) % (10000 * @scale@)
\set product random(1, 1000 * @scale@)
\set quantity random(1, 3)
begin;
with placed as (
    insert into shop.orders (customer_id, status, placed_at, total)
    select :customer, 'open', now(), price * :quantity from shop.products where id = :product
    returning id
)
insert into shop.items (order_id, position, product_id, quantity) select id, 1, :product, :quantity from placed;
update shop.products set stock = stock - :quantity where id = :product;
end;
