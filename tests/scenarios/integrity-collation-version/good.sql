-- pg: >= 15
create table t (a text primary key, b text collate "C");
create index t_b on t (b);
create index t_a on t (a text_pattern_ops);
