-- For each unit of scale 10,000 tokens, one of which is looked up by each connection.
create schema storm;

create table storm.tokens (id int not null, token text not null, user_id int not null);

insert into storm.tokens
select g, md5('token ' || g || ' @seed@'), load_draws.pick(g, 70 + @seed@00, 5000 * @scale@, 2)
from generate_series(1, 10000 * @scale@) g;

alter table storm.tokens add primary key (id);
vacuum analyze storm.tokens;
