-- Who is there, and where they may create: everybody in public, as up to PostgreSQL 14.
alter database {database} owner to {owner};
alter database {database} set track_functions = 'all';
grant create on database {database} to {mallory};
create schema tools;
grant usage on schema tools to public;
create schema app authorization {owner};
grant usage on schema app to public;
create schema trap authorization {mallory};
grant usage on schema trap to public;
create schema if not exists {schema} authorization {owner};
grant usage, create on schema {schema} to public;
