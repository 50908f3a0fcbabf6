\set order random(1, 30000 * @scale@)
select i.position, i.quantity, p.title, p.price
from shop.items i join shop.products p on p.id = i.product_id
where i.order_id = :order
order by i.position;
