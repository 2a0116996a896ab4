-- Times are milliseconds since 1970 (UTC). Ids that begin with their time keep the newest rows together.
-- Keep the two dialects of this file side by side: they differ in type names only.

-- One row. Every batch of works takes it first: it is the lock that orders all writers, the head of the audit log, and
-- the number that tells another process that its copy of the registry is old.
CREATE TABLE head (
  id INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL,
  hash TEXT NOT NULL,
  generation INTEGER NOT NULL,
  high_water INTEGER NOT NULL
) STRICT;
INSERT INTO head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', 1, 0);

-- Users, agents and clients: one namespace, so that no two kinds share an id.
CREATE TABLE principals (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  username TEXT UNIQUE,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE resources (
  id TEXT PRIMARY KEY,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  client_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  last_used_at INTEGER,
  ended_at INTEGER,
  ended_cause TEXT,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_user ON grants (user_id);
CREATE INDEX grants_by_agent ON grants (agent_id);
CREATE INDEX grants_by_client ON grants (client_id);

-- Codes, access tokens and refresh tokens: the lineage. Its rows are long and mostly appended, which SQLite does without
-- rebalancing pages only in a table with a rowid.
CREATE TABLE nodes (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  root_id TEXT NOT NULL,
  parent_id TEXT,
  grant_id TEXT,
  secret_hash TEXT,
  issued_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  spent_at INTEGER,
  ended_at INTEGER,
  ended_cause TEXT,
  successor_id TEXT,
  document TEXT NOT NULL
) STRICT;
CREATE INDEX nodes_by_root ON nodes (root_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX nodes_by_grant ON nodes (grant_id, id) WHERE grant_id IS NOT NULL;

-- Assertions seen: (issuer, jti) is spent by the primary key.
CREATE TABLE assertions (
  issuer TEXT NOT NULL,
  jti TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX assertions_by_end ON assertions (expires_at);

CREATE TABLE requests (
  id TEXT PRIMARY KEY,
  browser_hash TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  completed_at INTEGER,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  last_seen_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at INTEGER,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY,
  grant_id TEXT,
  record TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_grant ON audit (grant_id, sequence) WHERE grant_id IS NOT NULL;
