\set popular random_zipfian(1, 1000 * @scale@, 1.2)
\set product 1 + (:popular * 7919) % (1000 * @scale@)
select title, price, stock from shop.products where id = :product;
