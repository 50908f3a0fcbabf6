delete from feed.events
where id in (select id from feed.events order by id limit 52 for update skip locked);
