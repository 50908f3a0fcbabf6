-- Numbers that look random and depend only on a row, a column and the seed: from 0 inclusive to 1 exclusive.
create schema if not exists load_draws;

create or replace function load_draws.draw(line bigint, salt bigint) returns double precision
language sql immutable parallel safe as $$
select (hashint8extended(line, salt) & 9007199254740991)::double precision / 9007199254740992
$$;

-- From 1 to most. A shape of 1 is uniform; the larger it is, the more often come small numbers.
create or replace function load_draws.pick(line bigint, salt bigint, most bigint, shape double precision)
returns bigint language sql immutable parallel safe as $$
select 1 + floor(most * power(load_draws.draw(line, salt), shape))::bigint
$$;
