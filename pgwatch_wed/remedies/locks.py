"""The effects of a remedy's locks on other sessions."""

SHARE_UPDATE = "SHARE UPDATE EXCLUSIVE on the table: does not block reads or writes, only other maintenance and DDL"


ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE on the table: blocks all reads and writes"
CONCURRENTLY = (
    "SHARE UPDATE EXCLUSIVE on the table: does not block reads or writes; waits for running "
    "transactions to end"
)


DROP_PARENT = (
    "ACCESS EXCLUSIVE on the partitioned table and all its partitions: briefly blocks all reads and "
    "writes; set lock_timeout first"
)
