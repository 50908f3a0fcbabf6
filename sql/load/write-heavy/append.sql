\set popular random_zipfian(1, 1000 * @scale@, 1.1)
\set device 1 + (:popular * 7919) % (1000 * @scale@)
\set kind random_zipfian(1, 4, 1.5)
\set value random(1, 100000)
insert into feed.events (device_id, kind, at, payload)
values (
    :device,
    (array['temperature', 'power', 'door', 'error'])[:kind],
    clock_timestamp(),
    jsonb_build_object('value', :value / 1000.0, 'code', md5((:value)::text))
);
