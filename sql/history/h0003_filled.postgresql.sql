DROP TABLE pgwatch_wed_history.verdicts;
