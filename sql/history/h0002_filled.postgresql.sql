DROP TABLE pgwatch_wed_history.statement_intervals;

DROP TABLE pgwatch_wed_history.measures;

DROP TABLE pgwatch_wed_history.series;
