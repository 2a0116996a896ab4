-- Times are milliseconds since 1970 (UTC). Ids that begin with their time keep the newest rows together.
-- Keep the two dialects of this file side by side: they differ in type names only.

-- One row. Every batch of works takes it first: it is the lock that orders all writers, the head of the audit log, and
-- the number that tells another process that its copy of the registry is old.
CREATE TABLE head (
  id BIGINT PRIMARY KEY,
  sequence BIGINT NOT NULL,
  hash TEXT COLLATE "C" NOT NULL,
  generation BIGINT NOT NULL,
  high_water BIGINT NOT NULL
);
INSERT INTO head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', 1, 0);

-- Users, agents and clients: one namespace, so that no two kinds share an id.
CREATE TABLE principals (
  id TEXT COLLATE "C" PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  username TEXT COLLATE "C" UNIQUE,
  document TEXT COLLATE "C" NOT NULL
);

CREATE TABLE resources (
  id TEXT COLLATE "C" PRIMARY KEY,
  document TEXT COLLATE "C" NOT NULL
);

CREATE TABLE grants (
  id TEXT COLLATE "C" PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL,
  client_id TEXT COLLATE "C" NOT NULL,
  agent_id TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT NOT NULL,
  last_used_at BIGINT,
  ended_at BIGINT,
  ended_cause TEXT COLLATE "C",
  document TEXT COLLATE "C" NOT NULL
);
CREATE INDEX grants_by_user ON grants (user_id);
CREATE INDEX grants_by_agent ON grants (agent_id);
CREATE INDEX grants_by_client ON grants (client_id);

-- Codes, access tokens and refresh tokens: the lineage. Its rows are long and mostly appended, which SQLite does without
-- rebalancing pages only in a table with a rowid.
CREATE TABLE nodes (
  id TEXT COLLATE "C" PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  root_id TEXT COLLATE "C" NOT NULL,
  parent_id TEXT COLLATE "C",
  grant_id TEXT COLLATE "C",
  secret_hash TEXT COLLATE "C",
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  spent_at BIGINT,
  ended_at BIGINT,
  ended_cause TEXT COLLATE "C",
  successor_id TEXT COLLATE "C",
  document TEXT COLLATE "C" NOT NULL
);
CREATE INDEX nodes_by_root ON nodes (root_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX nodes_by_grant ON nodes (grant_id, id) WHERE grant_id IS NOT NULL;

-- Assertions seen: (issuer, jti) is spent by the primary key.
CREATE TABLE assertions (
  issuer TEXT COLLATE "C" NOT NULL,
  jti TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (issuer, jti)
);
CREATE INDEX assertions_by_end ON assertions (expires_at);

CREATE TABLE requests (
  id TEXT COLLATE "C" PRIMARY KEY,
  browser_hash TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT NOT NULL,
  completed_at BIGINT,
  document TEXT COLLATE "C" NOT NULL
);

CREATE TABLE sessions (
  id TEXT COLLATE "C" PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL,
  last_seen_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ended_at BIGINT,
  document TEXT COLLATE "C" NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE audit (
  sequence BIGINT PRIMARY KEY,
  grant_id TEXT COLLATE "C",
  record TEXT COLLATE "C" NOT NULL,
  hash TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_by_grant ON audit (grant_id, sequence) WHERE grant_id IS NOT NULL;
