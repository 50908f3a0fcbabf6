-- Much as in TPC-B: for each unit of scale 100,000 accounts, but 32 branches instead of one, so that transfers do not all wait for
-- the same row; of each branch 10 tellers.
create schema tpcb;

create table tpcb.branches (id int not null, balance bigint not null, address text not null);
create table tpcb.tellers (id int not null, branch_id int not null, balance bigint not null, name text not null);
create table tpcb.accounts (id int not null, branch_id int not null, balance bigint not null, owner text not null);
create table tpcb.history (
    teller_id int not null,
    branch_id int not null,
    account_id int not null,
    delta bigint not null,
    at timestamptz not null
);

insert into tpcb.branches
select g, floor(load_draws.draw(g, 10 + @seed@00) * 1e6), md5('branch ' || g || ' @seed@')
from generate_series(1, 32 * @scale@) g;

insert into tpcb.tellers
select g, 1 + (g - 1) / 10, floor(load_draws.draw(g, 11 + @seed@00) * 1e5), md5('teller ' || g || ' @seed@')
from generate_series(1, 320 * @scale@) g;

insert into tpcb.accounts
select
    g,
    1 + (g - 1) / 3125,
    floor(load_draws.draw(g, 12 + @seed@00) * 20000) - 10000,
    md5('account ' || g || ' @seed@') || md5('owner ' || g || ' @seed@')
from generate_series(1, 100000 * @scale@) g;

alter table tpcb.branches add primary key (id);
alter table tpcb.tellers add primary key (id);
alter table tpcb.accounts add primary key (id);
vacuum analyze tpcb.branches;
vacuum analyze tpcb.tellers;
vacuum analyze tpcb.accounts;
