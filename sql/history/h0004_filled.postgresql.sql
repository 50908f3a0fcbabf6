DROP TABLE pgwatch_wed_history.findings;
