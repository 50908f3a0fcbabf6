\set account random(1, 100000 * @scale@)
\set branch random(1, 32 * @scale@)
\set teller random(1, 320 * @scale@)
\set delta random(-5000, 5000)
begin;
update tpcb.accounts set balance = balance + :delta where id = :account;
select balance from tpcb.accounts where id = :account;
update tpcb.tellers set balance = balance + :delta where id = :teller;
update tpcb.branches set balance = balance + :delta where id = :branch;
insert into tpcb.history (teller_id, branch_id, account_id, delta, at)
values (:teller, :branch, :account, :delta, now());
end;
