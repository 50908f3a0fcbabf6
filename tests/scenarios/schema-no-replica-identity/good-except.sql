-- pg: >= 19
create table no_key (a int);
create table keyed (a int primary key);
create publication most for all tables except (table no_key);
