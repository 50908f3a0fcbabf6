\set place random_zipfian(1, 200, 1.1)
select id, email, since from shop.customers where city = 'city ' || :place order by since desc limit 20;
