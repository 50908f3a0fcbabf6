DROP TABLE fleet_visits;

DROP TABLE fleet_runs;
