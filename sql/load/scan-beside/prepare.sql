-- Measurements: for each unit of scale 200 sensors and 200,000 readings. Few sensors make most of them.
create schema sensors;

create table sensors.readings (
    id bigint not null,
    sensor_id int not null,
    at timestamptz not null,
    value double precision not null,
    note text not null
);

insert into sensors.readings
select
    g,
    load_draws.pick(g, 60 + @seed@00, 200 * @scale@, 2),
    timestamptz '2026-01-01 00:00+00' + g * interval '100 ms',
    100 * load_draws.draw(g, 61 + @seed@00),
    md5(g || ' @seed@')
from generate_series(1, 200000 * @scale@) g;

alter table sensors.readings add primary key (id);
create index readings_sensor on sensors.readings (sensor_id, at);
vacuum analyze sensors.readings;
