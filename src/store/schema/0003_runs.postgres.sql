-- The lineage's two ways in, kept in runs (docs/decisions/0010). Keep the two dialects of this file side by side.

-- The part of the audit log that a node was issued in: 512 records. An index that begins with it grows at one place,
-- whatever lineage the next token belongs to; it is searched run by run. Nodes from before are in run 0.
ALTER TABLE nodes ADD COLUMN run BIGINT NOT NULL DEFAULT 0;
-- Nothing under a grant is in an earlier run.
ALTER TABLE grants ADD COLUMN run BIGINT NOT NULL DEFAULT 0;

DROP INDEX nodes_by_root;
CREATE INDEX nodes_by_root ON nodes (run, root_id) WHERE parent_id IS NOT NULL;
DROP INDEX nodes_by_grant;
CREATE INDEX nodes_by_grant ON nodes (run, grant_id) WHERE grant_id IS NOT NULL;
