AREA = "wal"
