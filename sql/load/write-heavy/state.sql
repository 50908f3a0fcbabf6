\set popular random_zipfian(1, 1000 * @scale@, 1.1)
\set device 1 + (:popular * 7919) % (1000 * @scale@)
\set state random(1, 3)
update feed.devices
set state = (array['on', 'off', 'lost'])[:state], seen_at = clock_timestamp(), messages = messages + 1
where id = :device;
