\set token random(1, 10000 * @scale@)
select token, user_id from storm.tokens where id = :token;
