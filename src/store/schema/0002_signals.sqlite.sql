-- What is told to verifiers that do not ask (docs/decisions/0008). Keep the two dialects of this file side by side.

-- The newest revocation and the next free place in the status lists are in the row that every batch takes anyway.
ALTER TABLE head ADD COLUMN revocations INTEGER NOT NULL DEFAULT 0;
ALTER TABLE head ADD COLUMN status_places INTEGER NOT NULL DEFAULT 0;

CREATE TABLE revocations (
  sequence INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  revoked_at INTEGER NOT NULL,
  kept_until INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT;
CREATE INDEX revocations_by_end ON revocations (kept_until);

-- Tokens that rest on a name they do not show: its end is told as theirs.
CREATE TABLE hidden_names (
  name TEXT NOT NULL,
  node_id TEXT NOT NULL,
  kept_until INTEGER NOT NULL,
  PRIMARY KEY (name, node_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hidden_names_by_end ON hidden_names (kept_until);

CREATE TABLE streams (
  id TEXT PRIMARY KEY,
  client_id TEXT NOT NULL,
  received INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX streams_by_client ON streams (client_id);

-- The signing keys that were published last, so that one that is gone at the next start is noticed.
CREATE TABLE published_keys (
  id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE status_places (
  place INTEGER PRIMARY KEY,
  node_id TEXT NOT NULL,
  kept_until INTEGER NOT NULL
) STRICT;
