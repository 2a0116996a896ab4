-- What is told to verifiers that do not ask (docs/decisions/0008). Keep the two dialects of this file side by side.

-- The newest revocation and the next free place in the status lists are in the row that every batch takes anyway.
ALTER TABLE head ADD COLUMN revocations BIGINT NOT NULL DEFAULT 0;
ALTER TABLE head ADD COLUMN status_places BIGINT NOT NULL DEFAULT 0;

CREATE TABLE revocations (
  sequence BIGINT PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  revoked_at BIGINT NOT NULL,
  kept_until BIGINT NOT NULL,
  document TEXT COLLATE "C" NOT NULL
);
CREATE INDEX revocations_by_end ON revocations (kept_until);

-- Tokens that rest on a name they do not show: its end is told as theirs.
CREATE TABLE hidden_names (
  name TEXT COLLATE "C" NOT NULL,
  node_id TEXT COLLATE "C" NOT NULL,
  kept_until BIGINT NOT NULL,
  PRIMARY KEY (name, node_id)
);
CREATE INDEX hidden_names_by_end ON hidden_names (kept_until);

CREATE TABLE streams (
  id TEXT COLLATE "C" PRIMARY KEY,
  client_id TEXT COLLATE "C" NOT NULL,
  received BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  document TEXT COLLATE "C" NOT NULL
);
CREATE INDEX streams_by_client ON streams (client_id);

-- The signing keys that were published last, so that one that is gone at the next start is noticed.
CREATE TABLE published_keys (
  id TEXT COLLATE "C" PRIMARY KEY
);

CREATE TABLE status_places (
  place BIGINT PRIMARY KEY,
  node_id TEXT COLLATE "C" NOT NULL,
  kept_until BIGINT NOT NULL
);
