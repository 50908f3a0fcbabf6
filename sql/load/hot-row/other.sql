\set show random(2, 1000 * @scale@)
\set customer random(1, 50000)
\set seats random(1, 6)
begin;
update tickets.shows set seats_left = seats_left - :seats where id = :show;
insert into tickets.bookings (show_id, customer_id, seats, at) values (:show, :customer, :seats, now());
end;
