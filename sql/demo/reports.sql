\set days random(100, 400)
select c.city, count(*), sum(o.total)
from shop.orders o
join shop.customers c on c.id = o.customer_id
where o.placed_at > now() - :days * interval '1 day'
group by c.city;
select path, count(*) from shop.page_views group by path order by count(*) desc, path limit 10;
select o.customer_id, o.id, row_number() over (partition by o.customer_id order by o.total desc, o.placed_at)
from shop.orders o
order by 3 desc, 1
limit 20;
select id from shop.customers where lower(email) = 'customer' || :days || '@example.com';
