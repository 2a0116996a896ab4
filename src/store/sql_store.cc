// Every statement, once, in the subset both databases share. The dialect is never asked for here.
#include "store/sql_store.h"

#include <algorithm>

#include "model/registry_json.h"
#include "store/documents.h"

namespace behalf::store {
namespace {

using Statement = Database::Statement;

constexpr Seconds kTouchInterval{60};
constexpr std::string_view kUserKind = "user";
constexpr std::string_view kAgentKind = "agent";
constexpr std::string_view kClientKind = "client";

std::optional<UnixTime> optional_time(const Row& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return UnixTime{row.integer(column)};
}

json::Value parse_registry(std::string_view document) {
  auto value = json::parse(document, kStoredLimits);
  if (!value) throw StoreUnavailable("a registry document is damaged");
  return std::move(*value);
}

template <class T>
std::shared_ptr<const T> checked(Result<T, std::string> parsed) {
  if (!parsed) throw StoreUnavailable("a registry document is damaged: " + parsed.reason());
  return std::make_shared<const T>(std::move(parsed).value());
}

std::shared_ptr<const User> read_user(std::string_view document) {
  auto user = checked(parse_user(parse_registry(document), Detail::kStored));
  return user->status == Status::kDeleted ? nullptr : user;
}

#define NODE_COLUMNS                                                                                 \
  "id, kind, root_id, parent_id, grant_id, secret_hash, issued_at, expires_at, spent_at, ended_at, " \
  "ended_cause, successor_id, document"

Node read_node(const Row& row) {
  Node node;
  node.id = NodeId(row.text(0));
  node.kind = row.text(1) == name_of(NodeKind::kCode)           ? NodeKind::kCode
              : row.text(1) == name_of(NodeKind::kRefreshToken) ? NodeKind::kRefreshToken
                                                                : NodeKind::kAccessToken;
  node.root = NodeId(row.text(2));
  node.parent = NodeId(row.text(3));
  node.grant = GrantId(row.text(4));
  node.secret_hash = row.text(5);
  node.issued_at = {row.integer(6)};
  node.expires_at = {row.integer(7)};
  node.spent_at = optional_time(row, 8);
  node.ended_at = optional_time(row, 9);
  node.ended_cause = row.text(10);
  node.successor = NodeId(row.text(11));
  read_document(row.text(12), node);
  return node;
}

// The ways into the lineage, run by run (docs/decisions/0010-indexes-in-runs.md). $1 is a node or a grant; a
// run that holds nothing any more costs nothing. Run 0 is always looked at: a server of a release that knows
// no runs leaves there what it issues, whatever is above it.
#define RUNS_FROM(table, of_index)                                                     \
  "runs (n) AS (SELECT 0 UNION ALL SELECT (SELECT min(run) FROM nodes WHERE " of_index \
  " AND run >= coalesce((SELECT CASE WHEN run = 0 THEN 1 ELSE run END FROM " table     \
  " WHERE id = $1), 1)) "                                                              \
  "UNION ALL SELECT (SELECT min(run) FROM nodes WHERE " of_index " AND run > n) FROM runs WHERE n > 0) "
#define RUNS_OF_LINEAGE RUNS_FROM("nodes", "parent_id IS NOT NULL")
#define IN_LINEAGE \
  "run = n AND root_id = coalesce((SELECT root_id FROM nodes WHERE id = $1), $1) AND parent_id IS NOT NULL "
#define RUNS_OF_GRANT RUNS_FROM("grants", "grant_id IS NOT NULL")
#define IN_GRANT "run = n AND grant_id = $1 AND grant_id IS NOT NULL "

#define GRANT_COLUMNS \
  "id, user_id, client_id, agent_id, expires_at, last_used_at, ended_at, ended_cause, document"

Grant read_grant(const Row& row) {
  Grant grant;
  grant.id = GrantId(row.text(0));
  grant.user = UserId(row.text(1));
  grant.client = ClientId(row.text(2));
  grant.agent = AgentId(row.text(3));
  grant.expires_at = {row.integer(4)};
  grant.last_used_at = optional_time(row, 5);
  grant.ended_at = optional_time(row, 6);
  grant.ended_cause = row.text(7);
  read_document(row.text(8), grant);
  return grant;
}

}  // namespace

RegistryTables load_registry(Database& database) {
  RegistryTables tables;
  constexpr Statement kPrincipals{"SELECT id, kind, document FROM principals WHERE kind <> 'user'"};
  database.query(kPrincipals, {}, [&](const Row& row) {
    const json::Value value = parse_registry(row.text(2));
    if (row.text(1) == kAgentKind) {
      tables.agents.emplace(row.text(0), checked(parse_agent(value, Detail::kStored)));
    } else {
      tables.clients.emplace(row.text(0), checked(parse_client(value, Detail::kStored)));
    }
  });
  constexpr Statement kResources{"SELECT id, document FROM resources"};
  database.query(kResources, {}, [&](const Row& row) {
    tables.resources.emplace(row.text(0),
                             checked(parse_resource(parse_registry(row.text(1)), Detail::kStored)));
  });
  return tables;
}

// ---- Registry ----

std::shared_ptr<const User> SqlTransaction::find_user(const UserId& id) {
  if (writing_ != nullptr) {
    if (const auto* cached = writing_->users.find(id.text())) return *cached;
  }
  std::shared_ptr<const User> user;
  constexpr Statement kFind{"SELECT document FROM principals WHERE id = $1 AND kind = 'user'"};
  database_.query(kFind, {id.text()}, [&](const Row& row) { user = read_user(row.text(0)); });
  if (writing_ != nullptr && user != nullptr) writing_->users.put(id.text(), user);
  return user;
}

std::shared_ptr<const User> SqlTransaction::find_user_by_username(std::string_view username) {
  std::shared_ptr<const User> user;
  constexpr Statement kFind{"SELECT document FROM principals WHERE username = $1"};
  database_.query(kFind, {username}, [&](const Row& row) { user = read_user(row.text(0)); });
  return user;
}

std::shared_ptr<const Agent> SqlTransaction::find_agent(const AgentId& id) {
  if (writing_ != nullptr) {
    const auto staged = writing_->staged.agents.find(id.text());
    if (staged != writing_->staged.agents.end()) {
      return staged->second->status == Status::kDeleted ? nullptr : staged->second;
    }
  }
  return registry_.find_agent(id.text());
}

std::shared_ptr<const Client> SqlTransaction::find_client(const ClientId& id) {
  if (writing_ != nullptr) {
    const auto staged = writing_->staged.clients.find(id.text());
    if (staged != writing_->staged.clients.end()) {
      return staged->second->status == Status::kDeleted ? nullptr : staged->second;
    }
  }
  return registry_.find_client(id.text());
}

std::shared_ptr<const Resource> SqlTransaction::find_resource(const ResourceId& id) {
  if (writing_ != nullptr) {
    const auto staged = writing_->staged.resources.find(id.text());
    if (staged != writing_->staged.resources.end()) return staged->second;
    const auto& removed = writing_->removed_resources;
    if (std::find(removed.begin(), removed.end(), id.text()) != removed.end()) return nullptr;
  }
  return registry_.find_resource(id.text());
}

std::vector<std::shared_ptr<const User>> SqlTransaction::list_users() {
  std::vector<std::shared_ptr<const User>> users;
  constexpr Statement kList{"SELECT document FROM principals WHERE kind = 'user' ORDER BY id"};
  database_.query(kList, {}, [&](const Row& row) {
    if (auto user = read_user(row.text(0))) users.push_back(std::move(user));
  });
  return users;
}

int64_t SqlTransaction::last_epoch(std::string_view principal_id) {
  int64_t epoch = 0;
  constexpr Statement kFind{"SELECT document FROM principals WHERE id = $1"};
  database_.query(kFind, {principal_id}, [&](const Row& row) {
    epoch = parse_registry(row.text(0)).find_integer("epoch").value_or(1);
  });
  return epoch;
}

bool SqlTransaction::put_principal(std::string_view id, std::string_view kind, std::string_view username,
                                   const json::Value& document) {
  writing_->registry_changed = true;
  const std::string text = json::write(document);
  constexpr Statement kPut{
      "INSERT INTO principals (id, kind, username, document) VALUES ($1, $2, $3, $4) "
      "ON CONFLICT (id) DO UPDATE SET username = excluded.username, document = excluded.document "
      "WHERE principals.kind = excluded.kind RETURNING id"};
  return database_.query(kPut, {id, kind, nullable(username), text}, [](const Row&) {}) == 1;
}

bool SqlTransaction::put_user(const User& user, UnixTime now) {
  const auto before = find_user(user.id);
  const bool deleted = user.status == Status::kDeleted;
  // A username is a key of its own; asked for here so that the caller gets an answer and not a broken
  // statement.
  if (!deleted) {
    bool taken = false;
    constexpr Statement kTaken{"SELECT id FROM principals WHERE username = $1 AND id <> $2"};
    database_.query(kTaken, {user.username, user.id.text()}, [&](const Row&) { taken = true; });
    if (taken) return false;
  }
  if (!put_principal(user.id.text(), kUserKind, deleted ? std::string_view{} : user.username,
                     to_json(user, Detail::kStored))) {
    return false;
  }
  writing_->users.put(user.id.text(), deleted ? nullptr : std::make_shared<const User>(user));
  note_change(SubjectKind::kUser, before, user, now);
  return true;
}

bool SqlTransaction::put_agent(const Agent& agent, UnixTime now) {
  const auto before = find_agent(agent.id);
  if (!put_principal(agent.id.text(), kAgentKind, {}, to_json(agent, Detail::kStored))) return false;
  writing_->staged.agents.insert_or_assign(agent.id.text(), std::make_shared<const Agent>(agent));
  note_change(SubjectKind::kAgent, before, agent, now);
  return true;
}

bool SqlTransaction::put_client(const Client& client, UnixTime now) {
  const auto before = find_client(client.id);
  if (!put_principal(client.id.text(), kClientKind, {}, to_json(client, Detail::kStored))) return false;
  writing_->staged.clients.insert_or_assign(client.id.text(), std::make_shared<const Client>(client));
  note_change(SubjectKind::kClient, before, client, now);
  return true;
}

void SqlTransaction::put_resource(const Resource& resource, UnixTime now) {
  writing_->registry_changed = true;
  note_change(find_resource(resource.id), resource, now);
  constexpr Statement kPut{
      "INSERT INTO resources (id, document) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET document = "
      "excluded.document"};
  const std::string text = json::write(to_json(resource, Detail::kStored));
  database_.execute(kPut, {resource.id.text(), text});
  writing_->staged.resources.insert_or_assign(resource.id.text(), std::make_shared<const Resource>(resource));
  std::erase(writing_->removed_resources, resource.id.text());
}

void SqlTransaction::remove_resource(const ResourceId& id, UnixTime now) {
  writing_->registry_changed = true;
  Revocation item;
  item.kind = RevokedKind::kResource;
  item.id = id.text();
  item.is_narrowing = true;
  item.cause = "resource_removed";
  revoke(std::move(item), now);
  constexpr Statement kRemove{"DELETE FROM resources WHERE id = $1"};
  database_.execute(kRemove, {id.text()});
  writing_->staged.resources.erase(id.text());
  writing_->removed_resources.push_back(id.text());
}

// ---- Grants ----

std::shared_ptr<const Grant> SqlTransaction::find_grant(const GrantId& id) {
  if (writing_ != nullptr) {
    if (const auto* cached = writing_->grants.find(id.text())) return *cached;
  }
  std::shared_ptr<const Grant> grant;
  constexpr Statement kFind{"SELECT " GRANT_COLUMNS " FROM grants WHERE id = $1"};
  database_.query(kFind, {id.text()},
                  [&](const Row& row) { grant = std::make_shared<const Grant>(read_grant(row)); });
  if (writing_ != nullptr && grant != nullptr) writing_->grants.put(id.text(), grant);
  return grant;
}

std::vector<Grant> SqlTransaction::list_grants(const GrantFilter& filter) {
  std::vector<Grant> grants;
  const auto take = [&](const Row& row) {
    Grant grant = read_grant(row);
    const auto lives = [&](UnixTime then) { return !grant.ended_at && grant.expires_at > then; };
    if (filter.live_at && !lives(*filter.live_at)) return;
    if (filter.over_at && lives(*filter.over_at)) return;
    if (!filter.user.empty() && grant.user.text() != filter.user) return;
    if (!filter.client.empty() && grant.client.text() != filter.client) return;
    if (!filter.agent.empty() && grant.agent.text() != filter.agent) return;
    if (grants.size() < filter.limit) grants.push_back(std::move(grant));
  };
  const auto most = static_cast<int64_t>(std::min(filter.limit, size_t{INT64_MAX}));
  // One statement per leading column, so that each can use its index.
  constexpr Statement kByUser{"SELECT " GRANT_COLUMNS " FROM grants WHERE user_id = $1 ORDER BY id DESC"};
  constexpr Statement kByAgent{"SELECT " GRANT_COLUMNS " FROM grants WHERE agent_id = $1 ORDER BY id DESC"};
  constexpr Statement kByClient{"SELECT " GRANT_COLUMNS " FROM grants WHERE client_id = $1 ORDER BY id DESC"};
  // Of everybody's, so many are looked at and no more; what has ended is not looked at where only what lives
  // is wanted.
  constexpr Statement kLive{
      "SELECT " GRANT_COLUMNS
      " FROM grants WHERE ended_at IS NULL AND expires_at > $1 ORDER BY id DESC LIMIT $2"};
  constexpr Statement kAll{"SELECT " GRANT_COLUMNS " FROM grants ORDER BY id DESC LIMIT $1"};
  if (!filter.user.empty())
    database_.query(kByUser, {filter.user}, take);
  else if (!filter.agent.empty())
    database_.query(kByAgent, {filter.agent}, take);
  else if (!filter.client.empty())
    database_.query(kByClient, {filter.client}, take);
  else if (filter.live_at)
    database_.query(kLive, {filter.live_at->milliseconds, most}, take);
  else
    database_.query(kAll, {filter.over_at ? std::max(most, int64_t{100'000}) : most}, take);
  return grants;
}

void SqlTransaction::insert_grant(const Grant& grant) {
  constexpr Statement kInsert{
      "INSERT INTO grants (id, user_id, client_id, agent_id, expires_at, document, run) VALUES ($1, $2, $3, "
      "$4, $5, $6, $7)"};
  const std::string document = write_document(grant);
  database_.execute(kInsert, {grant.id.text(), grant.user.text(), grant.client.text(), grant.agent.text(),
                              grant.expires_at.milliseconds, document, writing_->run()});
  writing_->grants.put(grant.id.text(), std::make_shared<const Grant>(grant));
}

bool SqlTransaction::end_grant(const GrantId& id, UnixTime now, std::string_view cause) {
  writing_->endings = true;
  writing_->grants.erase(id.text());
  constexpr Statement kEnd{
      "UPDATE grants SET ended_at = $2, ended_cause = $3 WHERE id = $1 AND ended_at IS NULL "
      "RETURNING user_id, client_id, agent_id"};
  return database_.query(kEnd, {id.text(), now.milliseconds, cause},
                         [&](const Row& row) { note_grant_end(id, row, now, cause); }) == 1;
}

void SqlTransaction::touch_grant(const Grant& grant, UnixTime now) {
  if (grant.last_used_at && now < *grant.last_used_at + kTouchInterval) return;
  constexpr Statement kTouch{"UPDATE grants SET last_used_at = $2 WHERE id = $1"};
  database_.execute(kTouch, {grant.id.text(), now.milliseconds});
  Grant touched = grant;
  touched.last_used_at = now;
  writing_->grants.put(grant.id.text(), std::make_shared<const Grant>(std::move(touched)));
}

// ---- Lineage ----

std::shared_ptr<const Node> SqlTransaction::find_node(const NodeId& id) {
  if (writing_ != nullptr) {
    if (const auto* cached = writing_->nodes.find(id.text())) return *cached;
  }
  std::shared_ptr<const Node> node;
  constexpr Statement kFind{"SELECT " NODE_COLUMNS " FROM nodes WHERE id = $1"};
  database_.query(kFind, {id.text()},
                  [&](const Row& row) { node = std::make_shared<const Node>(read_node(row)); });
  if (writing_ != nullptr && node != nullptr) cache(node);
  return node;
}

// Access tokens change in no other way than by ending, which every process learns of. Codes and refresh
// tokens are spent by conditional statements and always asked for anew; of a code spend_code() remembers the
// rest.
void SqlTransaction::cache(const std::shared_ptr<const Node>& node) {
  if (node->kind == NodeKind::kAccessToken) writing_->nodes.put(node->id.text(), node);
}

std::vector<Node> SqlTransaction::list_lineage(const NodeId& root, size_t limit) {
  std::vector<Node> nodes;
  constexpr Statement kRoot{"SELECT " NODE_COLUMNS " FROM nodes WHERE id = $1"};
  database_.query(kRoot, {root.text()}, [&](const Row& row) { nodes.push_back(read_node(row)); });
  constexpr Statement kBelow{"WITH RECURSIVE " RUNS_OF_LINEAGE "SELECT " NODE_COLUMNS
                             " FROM runs, nodes WHERE " IN_LINEAGE "ORDER BY id LIMIT $2"};
  database_.query(kBelow, {root.text(), static_cast<int64_t>(limit)}, [&](const Row& row) {
    if (nodes.size() < limit) nodes.push_back(read_node(row));
  });
  return nodes;
}

std::vector<std::shared_ptr<const Node>> SqlTransaction::list_status_places(int64_t from, int64_t to,
                                                                            UnixTime now) {
  std::vector<std::shared_ptr<const Node>> nodes;
  constexpr Statement kList{
      "SELECT " NODE_COLUMNS
      " FROM nodes WHERE id IN (SELECT node_id FROM status_places WHERE place >= $1 AND "
      "place < $2) AND expires_at > $3"};
  database_.query(kList, {from, to, now.milliseconds},
                  [&](const Row& row) { nodes.push_back(std::make_shared<const Node>(read_node(row))); });
  return nodes;
}

std::vector<Node> SqlTransaction::list_grant_nodes(const GrantId& grant, size_t limit) {
  std::vector<Node> nodes;
  constexpr Statement kList{"WITH RECURSIVE " RUNS_OF_GRANT "SELECT " NODE_COLUMNS
                            " FROM runs, nodes WHERE " IN_GRANT "ORDER BY id LIMIT $2"};
  database_.query(kList, {grant.text(), static_cast<int64_t>(limit)},
                  [&](const Row& row) { nodes.push_back(read_node(row)); });
  return nodes;
}

std::shared_ptr<const Node> SqlTransaction::insert_node(Node node) {
  constexpr Statement kInsert{
      "INSERT INTO nodes (id, kind, root_id, parent_id, grant_id, secret_hash, issued_at, expires_at, "
      "document, run) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"};
  const std::string document = write_document(node);
  database_.execute(kInsert,
                    {node.id.text(), name_of(node.kind), node.root.text(), nullable(node.parent.text()),
                     nullable(node.grant.text()), nullable(node.secret_hash), node.issued_at.milliseconds,
                     node.expires_at.milliseconds, document, writing_->run()});
  if (node.kind == NodeKind::kAccessToken) remember_hidden(node);
  if (node.status_place) {
    constexpr Statement kPlace{"INSERT INTO status_places (place, node_id, kept_until) VALUES ($1, $2, $3)"};
    database_.execute(kPlace, {*node.status_place, node.id.text(), node.expires_at.milliseconds});
  }
  auto kept = std::make_shared<const Node>(std::move(node));
  // A code comes back at once. Most access tokens never do: keeping each would cost more memory traffic than
  // reading the few that are asked about.
  if (kept->kind == NodeKind::kCode) writing_->codes.put(kept->id.text(), kept);
  return kept;
}

SpentCode SqlTransaction::spend_code(const NodeId& id, std::string_view secret_hash, UnixTime now) {
  // What is remembered of a code never says whether it is spent: only the statement below decides that.
  std::shared_ptr<const Node> node;
  if (const auto* cached = writing_->codes.find(id.text())) node = *cached;
  writing_->codes.erase(id.text());
  constexpr Statement kSpend{
      "UPDATE nodes SET spent_at = $3 WHERE id = $1 AND secret_hash = $2 AND kind = 'authorization_code' "
      "AND spent_at IS NULL"};
  const bool is_first = database_.change(kSpend, {id.text(), secret_hash, now.milliseconds}) == 1;
  if (!is_first || node == nullptr) {
    node = nullptr;
    constexpr Statement kFind{
        "SELECT " NODE_COLUMNS
        " FROM nodes WHERE id = $1 AND secret_hash = $2 AND kind = 'authorization_code'"};
    database_.query(kFind, {id.text(), secret_hash},
                    [&](const Row& row) { node = std::make_shared<const Node>(read_node(row)); });
  }
  if (node == nullptr) return {};
  return {is_first ? SpentCode::Outcome::kSpent : SpentCode::Outcome::kAlreadySpent, std::move(node)};
}

RotatedRefresh SqlTransaction::rotate_refresh_token(const NodeId& id, std::string_view secret_hash,
                                                    const NodeId& successor, UnixTime now) {
  RotatedRefresh result;
  constexpr Statement kFind{"SELECT " NODE_COLUMNS
                            " FROM nodes WHERE id = $1 AND secret_hash = $2 AND kind = 'refresh_token'"};
  database_.query(kFind, {id.text(), secret_hash}, [&](const Row& row) {
    result = {RotatedRefresh::Outcome::kAlreadyRotated, read_node(row)};
  });
  if (!result.node) return result;
  constexpr Statement kRotate{
      "UPDATE nodes SET spent_at = $2, successor_id = $3 WHERE id = $1 AND spent_at IS NULL"};
  const size_t first = database_.change(kRotate, {id.text(), now.milliseconds, successor.text()});
  if (first == 1) result.outcome = RotatedRefresh::Outcome::kRotated;
  return result;
}

std::vector<Node> SqlTransaction::end_subtree(const NodeId& id, UnixTime now, std::string_view cause) {
  writing_->endings = true;
  std::vector<Node> ended;
  constexpr Statement kEnd{
      "WITH RECURSIVE " RUNS_OF_LINEAGE
      ", lineage (id, parent_id) AS MATERIALIZED (SELECT id, parent_id FROM runs, nodes WHERE " IN_LINEAGE
      "), below (id) AS ("
      "SELECT id FROM nodes WHERE id = $1"
      // All of a lineage, also when its root (a code, say) expired long ago and was purged.
      " UNION SELECT id FROM lineage WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE id = $1 AND parent_id IS "
      "NOT NULL)"
      " UNION SELECT lineage.id FROM lineage, below WHERE lineage.parent_id = below.id) "
      "UPDATE nodes SET ended_at = $2, ended_cause = $3 "
      "WHERE id IN (SELECT id FROM below) AND ended_at IS NULL RETURNING " NODE_COLUMNS};
  database_.query(kEnd, {id.text(), now.milliseconds, cause},
                  [&](const Row& row) { ended.push_back(read_node(row)); });
  forget(ended);
  note_node_ends(ended, now, cause);
  return ended;
}

std::vector<Node> SqlTransaction::end_grant_nodes(const GrantId& id, UnixTime now, std::string_view cause) {
  writing_->endings = true;
  std::vector<Node> ended;
  constexpr Statement kEnd{"WITH RECURSIVE " RUNS_OF_GRANT
                           "UPDATE nodes SET ended_at = $2, ended_cause = $3 WHERE id IN (SELECT id FROM "
                           "runs, nodes WHERE " IN_GRANT
                           ") AND ended_at IS NULL AND expires_at > $2 RETURNING " NODE_COLUMNS};
  database_.query(kEnd, {id.text(), now.milliseconds, cause},
                  [&](const Row& row) { ended.push_back(read_node(row)); });
  forget(ended);
  const auto grant = find_grant(id);
  // The item of an ended grant covers all that is under it.
  if (grant == nullptr || !grant->ended_at) note_node_ends(ended, now, cause);
  return ended;
}

void SqlTransaction::forget(std::vector<Node>& ended) {
  std::sort(ended.begin(), ended.end(), [](const Node& a, const Node& b) { return a.id < b.id; });
  for (const Node& node : ended) {
    writing_->nodes.erase(node.id.text());
    writing_->codes.erase(node.id.text());
  }
}

int64_t SqlTransaction::take_status_place() { return writing_->status_place++; }

bool SqlTransaction::remember_jti(std::string_view issuer, std::string_view jti, UnixTime expires_at) {
  constexpr Statement kRemember{
      "INSERT INTO assertions (issuer, jti, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"};
  return database_.change(kRemember, {issuer, jti, expires_at.milliseconds}) == 1;
}

// ---- Front channel ----

std::optional<AuthorizationRequest> SqlTransaction::find_request(const RequestId& id) {
  std::optional<AuthorizationRequest> request;
  constexpr Statement kFind{
      "SELECT id, browser_hash, expires_at, completed_at, document FROM requests WHERE id = $1"};
  database_.query(kFind, {id.text()}, [&](const Row& row) {
    request.emplace();
    request->id = RequestId(row.text(0));
    request->browser_hash = row.text(1);
    request->expires_at = {row.integer(2)};
    request->completed_at = optional_time(row, 3);
    read_document(row.text(4), *request);
  });
  return request;
}

std::optional<Session> SqlTransaction::find_session(const SessionId& id) {
  std::optional<Session> session;
  constexpr Statement kFind{
      "SELECT id, user_id, last_seen_at, expires_at, ended_at, document FROM sessions WHERE id = $1"};
  database_.query(kFind, {id.text()}, [&](const Row& row) {
    session.emplace();
    session->id = SessionId(row.text(0));
    session->user = UserId(row.text(1));
    session->last_seen_at = {row.integer(2)};
    session->expires_at = {row.integer(3)};
    session->ended_at = optional_time(row, 4);
    read_document(row.text(5), *session);
  });
  return session;
}

void SqlTransaction::insert_request(const AuthorizationRequest& request) {
  constexpr Statement kInsert{
      "INSERT INTO requests (id, browser_hash, expires_at, document) VALUES ($1, $2, $3, $4)"};
  const std::string document = write_document(request);
  database_.execute(kInsert,
                    {request.id.text(), request.browser_hash, request.expires_at.milliseconds, document});
}

bool SqlTransaction::bind_request(const RequestId& id, std::string_view browser_hash) {
  constexpr Statement kBind{
      "UPDATE requests SET browser_hash = $2 WHERE id = $1 AND (browser_hash = '' OR browser_hash = $2) "
      "AND completed_at IS NULL RETURNING id"};
  return database_.query(kBind, {id.text(), browser_hash}, [](const Row&) {}) == 1;
}

void SqlTransaction::extend_request(const RequestId& id, UnixTime expires_at) {
  constexpr Statement kExtend{"UPDATE requests SET expires_at = $2 WHERE id = $1"};
  database_.execute(kExtend, {id.text(), expires_at.milliseconds});
}

bool SqlTransaction::complete_request(const RequestId& id, UnixTime now) {
  constexpr Statement kComplete{
      "UPDATE requests SET completed_at = $2 WHERE id = $1 AND completed_at IS NULL RETURNING id"};
  return database_.query(kComplete, {id.text(), now.milliseconds}, [](const Row&) {}) == 1;
}

void SqlTransaction::insert_session(const Session& session) {
  constexpr Statement kInsert{
      "INSERT INTO sessions (id, user_id, last_seen_at, expires_at, document) VALUES ($1, $2, $3, $4, $5)"};
  const std::string document = write_document(session);
  database_.execute(kInsert, {session.id.text(), session.user.text(), session.last_seen_at.milliseconds,
                              session.expires_at.milliseconds, document});
}

void SqlTransaction::touch_session(const SessionId& id, UnixTime now) {
  constexpr Statement kTouch{"UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND ended_at IS NULL"};
  database_.execute(kTouch, {id.text(), now.milliseconds});
}

bool SqlTransaction::end_session(const SessionId& id, UnixTime now) {
  constexpr Statement kEnd{
      "UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL RETURNING id"};
  return database_.query(kEnd, {id.text(), now.milliseconds}, [](const Row&) {}) == 1;
}

size_t SqlTransaction::end_oldest_sessions(const UserId& user, uint32_t keep, UnixTime now) {
  // Their ids are in the order of time.
  constexpr Statement kEnd{
      "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL AND id NOT IN "
      "(SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL ORDER BY id DESC LIMIT $3) RETURNING "
      "id"};
  return database_.query(kEnd, {user.text(), now.milliseconds, static_cast<int64_t>(keep)},
                         [](const Row&) {});
}

size_t SqlTransaction::end_user_sessions(const UserId& user, UnixTime now) {
  constexpr Statement kEnd{
      "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL RETURNING id"};
  return database_.query(kEnd, {user.text(), now.milliseconds}, [](const Row&) {});
}

// ---- What is over ----

// Looks at `limit` rows from where the last call stopped, and deletes what is over: an index by the end would
// cost every issuance, and a search without one looks at all that lives. What is written last is at the end;
// where a row is too young to be over, those behind it are as well, and the next call begins anew.
size_t SqlTransaction::purge_part(const Part& part, std::string& at, UnixTime before, size_t limit) {
  size_t over = 0;
  bool is_young = false;
  std::string last;
  const size_t seen = database_.query(part.look, {at, static_cast<int64_t>(limit)}, [&](const Row& row) {
    last = row.text(0);
    const bool is_over = row.integer(1) < before.milliseconds;
    if (is_over) ++over;
    is_young = !is_over && row.integer(2) >= before.milliseconds;
  });
  if (over > 0) over = database_.change(part.remove, {at, last, before.milliseconds});
  at = seen < limit || is_young ? std::string{} : last;
  return over;
}

size_t SqlTransaction::purge(UnixTime before, size_t limit) {
  constexpr Statement kAssertions{
      "DELETE FROM assertions WHERE (issuer, jti) IN "
      "(SELECT issuer, jti FROM assertions WHERE expires_at < $1 LIMIT $2) RETURNING jti"};
  const size_t assertions =
      database_.query(kAssertions, {before.milliseconds, static_cast<int64_t>(limit)}, [](const Row&) {});
  constexpr Part kRequests{{"SELECT id, expires_at, 0 FROM requests WHERE id > $1 ORDER BY id LIMIT $2"},
                           {"DELETE FROM requests WHERE id > $1 AND id <= $2 AND expires_at < $3"}};
  constexpr Part kSessions{{"SELECT id, expires_at, 0 FROM sessions WHERE id > $1 ORDER BY id LIMIT $2"},
                           {"DELETE FROM sessions WHERE id > $1 AND id <= $2 AND expires_at < $3"}};
  constexpr Part kNodes{{"SELECT id, expires_at, issued_at FROM nodes WHERE id > $1 ORDER BY id LIMIT $2"},
                        {"DELETE FROM nodes WHERE id > $1 AND id <= $2 AND expires_at < $3"}};
  return assertions + purge_part(kRequests, writing_->purged.requests, before, limit) +
         purge_part(kSessions, writing_->purged.sessions, before, limit) +
         purge_part(kNodes, writing_->purged.nodes, before, limit);
}

}  // namespace behalf::store
