\set first random(1, 1000 * @scale@)
\set value random(1, 100000)
insert into feed.events (device_id, kind, at, payload)
select
    1 + (:first + g * 31) % (1000 * @scale@),
    (array['temperature', 'power', 'door', 'error'])[1 + g % 4],
    clock_timestamp(),
    jsonb_build_object('value', (:value + g) / 1000.0, 'code', md5((:value + g)::text))
from generate_series(1, 20) g;
