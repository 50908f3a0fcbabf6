DROP TABLE pgwatch_wed_history.fleet_visits;

DROP TABLE pgwatch_wed_history.fleet_runs;
