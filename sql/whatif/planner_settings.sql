-- A row is a setting that influences the planner, as in a new session of this role.
select name, reset_val as value
from pg_settings
where category like 'Query Tuning%' and name not in ('geqo', 'plan_cache_mode', 'geqo_seed')
    or name in (
        'work_mem', 'hash_mem_multiplier', 'search_path', 'max_parallel_workers',
        'parallel_leader_participation', 'max_parallel_workers_per_gather',
        'effective_io_concurrency', 'timezone', 'datestyle', 'intervalstyle',
        'standard_conforming_strings', 'array_nulls', 'default_text_search_config', 'temp_buffers',
        'block_size'
    )
