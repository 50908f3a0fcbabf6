DROP TABLE statement_intervals;

DROP TABLE measures;

DROP TABLE series;
