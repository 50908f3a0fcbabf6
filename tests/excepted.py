"""What the test of all remedies excepts, by rule, each with the reason."""

# Remedies that only read: somebody has to decide, so the finding stays.
READS = {
    "schema-default-partition-rows": "it shows which partitions are missing; somebody has to decide on their bounds",
}
# Remedies whose undo says that there is none, or nothing to undo, although the schema is another one.
NOT_RESTORED = {
    "index-invalid": "what no query could use is not made unusable again",
    "integrity-collation-version": "the recorded version of a collation cannot be set",
    "schema-constraint-not-valid": "a constraint that was validated cannot be marked NOT VALID",
}
# Undos after which an index that was invalid is gone.
INVALID_GONE = {"index-incomplete": "a part that a build left invalid need not be built again"}
# Remedies that fail because of the rows, of which they warn.
BY_ROWS = {"index-invalid": "could not create unique index"}
# Empty space: VACUUM makes it available for reuse, and only the rewrite in the comment returns it.
REWRITES = ("table-bloat", "toast-bloat")
# What a remedy may bring up: about an index that it has made, about the same table or a related object, or about
# what had a finding already.
FOLLOWS = {
    ("index-duplicate", "index-unused"): "the one that stays is evaluated once the other is gone",
    ("index-redundant", "index-unused"): "the one that stays is evaluated once the other is gone",
    ("index-duplicate", "index-redundant"): "a copy that was reported already, by the other rule",
    ("index-redundant", "index-redundant"): "a copy that was reported already, by the other rule",
    ("index-missing-fk", "index-redundant"): "a prefix of the new index has become superfluous",
    (
        "index-incomplete",
        "index-duplicate",
    ): "a constraint's index is not attached: the parent could not be dropped",
    ("index-missing", "index-missing"): "a gain is judged by its share of the load that is left",
    ("query-function-on-column", "index-missing"): "its gain is a share of the load that is left",
    ("index-incomplete", "index-unused"): "it can be used only from now on",
    ("analyze-never", "index-null-heavy"): "this can be told only from statistics",
    ("vacuum-dead-tuples", "table-bloat"): "where dead rows were is empty space",
    ("vacuum-dead-tuples", "toast-bloat"): "where dead rows were is empty space",
}
# Counters of a new index begin at zero, and the window of these tests is zero, too.
YOUNG = ("index-unused", "index-rarely-used")
# What is still to be mended.
PENDING = {
    "table-bloat/bad-matview.sql": "rows that a session reports after its own ANALYZE are called stale",
}
