\set sensor random_zipfian(1, 200 * @scale@, 1.1)
select at, value from sensors.readings where sensor_id = :sensor order by at desc limit 20;
