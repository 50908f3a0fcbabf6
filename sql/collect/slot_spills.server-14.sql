-- A row is a logical slot, with what its decoding wrote to disk because a transaction did not fit into memory.
select
    s.slot_name::text as slot_name,
    s.spill_txns, s.spill_count, s.spill_bytes,
    s.stream_txns, s.stream_bytes,
    s.total_txns, s.total_bytes,
    s.stats_reset
from pg_stat_replication_slots s
