\set reading random(1, 200000 * @scale@)
select sensor_id, at, value, note from sensors.readings where id = :reading;
