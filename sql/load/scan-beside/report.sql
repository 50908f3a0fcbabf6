\set least random(1, 90)
select sensor_id, count(*), avg(value), percentile_cont(0.95) within group (order by value)
from sensors.readings
where value > :least
group by sensor_id
order by sensor_id;
