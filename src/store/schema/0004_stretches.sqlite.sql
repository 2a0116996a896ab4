-- The audit log's way in by grant, kept in runs as well (docs/decisions/0012). Keep the two dialects of this file side
-- by side.

-- The part of the log, 512 records, that a record under a grant is in. What is from before is in run 0, and so are
-- records without a grant: their lineages are mostly as new as they are, so that these grow at one place in any order.
ALTER TABLE audit ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
DROP INDEX audit_by_grant;
CREATE INDEX audit_by_grant ON audit (run, grant_id, sequence) WHERE grant_id IS NOT NULL;

-- Which stretches of the log, 128 runs each, hold records of a grant: those of no other run but 0 are not told here.
CREATE TABLE audit_stretches (
  grant_id TEXT NOT NULL,
  stretch INTEGER NOT NULL,
  PRIMARY KEY (grant_id, stretch)
) STRICT, WITHOUT ROWID;
