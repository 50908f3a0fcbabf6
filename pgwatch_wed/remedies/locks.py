"""The effects of a remedy's locks on other sessions."""

SHARE_UPDATE = "SHARE UPDATE EXCLUSIVE on the table: does not block reads or writes, only other maintenance and DDL"
ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE on the table: blocks all reads and writes"
SHARE = "SHARE on the table: blocks writes, but not reads, until it is built"
BRIEF_EXCLUSIVE = (
    "ACCESS EXCLUSIVE on the table: briefly blocks all reads and writes; set lock_timeout first"
)
CONCURRENTLY = (
    "SHARE UPDATE EXCLUSIVE on the table: does not block reads or writes; waits for running "
    "transactions to end"
)


DROP_PARENT = (
    "ACCESS EXCLUSIVE on the partitioned table and all its partitions: briefly blocks all reads and "
    "writes; set lock_timeout first"
)
ON_ONLY = (
    "SHARE on the partitioned table: builds nothing, but waits for running writes and briefly blocks "
    "new ones"
)
ATTACH = (
    "ACCESS EXCLUSIVE on the index that is attached: waits for running queries of its partition and "
    "briefly blocks new ones"
)
ATTACH_BELOW = f"{ATTACH}; where it makes its parent valid, also ACCESS EXCLUSIVE on the partitioned tables above"
ATTACH_ALL = (
    "SHARE on the table and all its partitions: builds nothing, but waits for running writes and "
    "briefly blocks new ones"
)
ON_INDEX = "SHARE UPDATE EXCLUSIVE on the index: does not block reads or writes"
