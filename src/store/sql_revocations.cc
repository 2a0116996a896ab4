// Revocations, and the streams that tell of them: the part of the store's transaction that is for verifiers
// who do not ask (docs/decisions/0008 §1, §2). The verbs of sql_store.cc that end something call in here.
#include <algorithm>

#include "store/documents.h"
#include "store/sql_store.h"

namespace behalf::store {
namespace {

using Statement = Database::Statement;

#define REVOCATION_COLUMNS "sequence, kind, id, revoked_at, kept_until, document"

std::shared_ptr<const Revocation> read_revocation(const Row& row) {
  Revocation item;
  item.sequence = row.integer(0);
  for (const RevokedKind kind : {RevokedKind::kPrincipal, RevokedKind::kGrant, RevokedKind::kToken,
                                 RevokedKind::kKey, RevokedKind::kResource}) {
    if (row.text(1) == name_of(kind)) item.kind = kind;
  }
  item.id = row.text(2);
  item.at = {row.integer(3)};
  item.until = {row.integer(4)};
  read_document(row.text(5), item);
  return std::make_shared<const Revocation>(std::move(item));
}

#define STREAM_COLUMNS "id, client_id, received, seen_at, document"

SignalStream read_stream(const Row& row) {
  SignalStream stream;
  stream.id = StreamId(row.text(0));
  stream.client = ClientId(row.text(1));
  stream.cursor = row.integer(2);
  stream.seen_at = {row.integer(3)};
  read_document(row.text(4), stream);
  return stream;
}

std::string_view name_of_kind(SubjectKind kind) {
  switch (kind) {
    case SubjectKind::kUser:
      return "user";
    case SubjectKind::kAgent:
      return "agent";
    case SubjectKind::kClient:
      return "client";
  }
  return "client";
}

std::string ceiling_of(const User& user) {
  return user.entitlements ? user.entitlements->text() : std::string{};
}
std::string ceiling_of(const Agent& agent) { return agent.scopes.text(); }
std::string ceiling_of(const Client& client) { return client.scopes.text(); }

}  // namespace

RevocationList load_revocations(Database& database, int64_t after, size_t limit) {
  RevocationList items;
  constexpr Statement kList{"SELECT " REVOCATION_COLUMNS
                            " FROM revocations WHERE sequence > $1 ORDER BY sequence LIMIT $2"};
  database.query(kList, {after, static_cast<int64_t>(limit)},
                 [&](const Row& row) { items.push_back(read_revocation(row)); });
  return items;
}

// ---- What the endings write ----

// The time is at least that of every decision so far: a token that was committed before this and whose call
// had read a later clock must not look as if it had been issued afterwards.
void SqlTransaction::revoke(Revocation item, UnixTime now) {
  WriterState& state = *writing_;
  item.sequence = ++state.revocation;
  item.at = std::max(now, UnixTime{state.high_water});
  if (item.until.milliseconds == 0) item.until = item.at + kLongestAccessToken + kVerifierLeeway;
  constexpr Statement kInsert{"INSERT INTO revocations (" REVOCATION_COLUMNS
                              ") VALUES ($1, $2, $3, $4, $5, $6)"};
  const std::string document = write_document(item);
  database_.execute(kInsert, {item.sequence, name_of(item.kind), item.id, item.at.milliseconds,
                              item.until.milliseconds, document});
  state.revocations.push_back(std::make_shared<const Revocation>(std::move(item)));
}

void SqlTransaction::revoke_token(const Node& node, UnixTime now, std::string_view cause) {
  Revocation item;
  item.kind = RevokedKind::kToken;
  item.id = node.id.text();
  item.until = node.expires_at + kVerifierLeeway;
  item.cause = cause;
  revoke(std::move(item), now);
}

void SqlTransaction::revoke_hidden(std::string_view name, const Revocation& as) {
  std::vector<Revocation> tokens;
  constexpr Statement kFind{
      "SELECT node_id, kept_until FROM hidden_names WHERE name = $1 AND kept_until > $2"};
  database_.query(kFind, {name, as.at.milliseconds}, [&](const Row& row) {
    Revocation item;
    item.kind = RevokedKind::kToken;
    item.id = row.text(0);
    item.until = {row.integer(1)};
    item.is_narrowing = as.is_narrowing;
    item.cause = as.cause;
    tokens.push_back(std::move(item));
  });
  for (Revocation& item : tokens) revoke(std::move(item), as.at);
}

template <class T>
void SqlTransaction::note_change(SubjectKind kind, const std::shared_ptr<const T>& was, const T& is,
                                 UnixTime now) {
  if (was == nullptr) return;  // new, or deleted before: what it had is over
  Revocation item;
  item.kind = RevokedKind::kPrincipal;
  item.id = is.id.text();
  item.principal = kind;
  const bool has_stopped = was->is_active() && !is.is_active();
  if (has_stopped || is.epoch != was->epoch) {
    item.cause = std::string(name_of_kind(kind)) +
                 (is.is_active() ? "_renewed" : "_" + std::string(behalf::name_of(is.status)));
    ended_principals_.push_back(item.id);
  } else {
    item.cause = narrowing_of(*was, is);
    if (item.cause.empty()) return;
    item.is_narrowing = true;
    item.scope = ceiling_of(is);
  }
  revoke(std::move(item), now);
  const auto written = writing_->revocations.back();
  revoke_hidden(written->id, *written);
}
template void SqlTransaction::note_change(SubjectKind, const std::shared_ptr<const User>&, const User&,
                                          UnixTime);
template void SqlTransaction::note_change(SubjectKind, const std::shared_ptr<const Agent>&, const Agent&,
                                          UnixTime);
template void SqlTransaction::note_change(SubjectKind, const std::shared_ptr<const Client>&, const Client&,
                                          UnixTime);

void SqlTransaction::note_change(const std::shared_ptr<const Resource>& was, const Resource& is,
                                 UnixTime now) {
  if (was == nullptr || was->id != is.id) return;
  Revocation item;
  item.cause = narrowing_of(*was, is);
  if (item.cause.empty()) return;
  item.kind = RevokedKind::kResource;
  item.id = is.id.text();
  item.is_narrowing = true;
  item.scope = is.scope_set().text();
  revoke(std::move(item), now);
}

void SqlTransaction::note_grant_end(const GrantId& id, const Row& row, UnixTime now, std::string_view cause) {
  Revocation item;
  item.kind = RevokedKind::kGrant;
  item.id = id.text();
  item.cause = cause;
  item.user = row.text(0);
  item.client = row.text(1);
  item.agent = row.text(2);
  const auto has_ended = [&](const std::string& principal) {
    return std::find(ended_principals_.begin(), ended_principals_.end(), principal) !=
           ended_principals_.end();
  };
  // A suspended agent with ten thousand consents is one item: each of their tokens shows its name, or is
  // remembered under it.
  if (has_ended(item.user) || has_ended(item.client) || has_ended(item.agent)) return;
  revoke(std::move(item), now);
}

void SqlTransaction::note_node_ends(const std::vector<Node>& ended, UnixTime now, std::string_view cause) {
  for (const Node& node : ended) {
    if (is_offline_token(node, now)) revoke_token(node, now, cause);
  }
}

void SqlTransaction::remember_hidden(const Node& node) {
  if (!is_offline_token(node, node.issued_at)) return;
  const auto resource = find_resource(node.resource);
  constexpr Statement kRemember{
      "INSERT INTO hidden_names (name, node_id, kept_until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"};
  const UnixTime until = node.expires_at + kVerifierLeeway;
  for (const std::string_view name : hidden_names(node, resource.get())) {
    database_.execute(kRemember, {name, node.id.text(), until.milliseconds});
  }
}

void SqlTransaction::publish_keys(const std::vector<std::string>& ids, UnixTime now) {
  std::vector<std::string> gone;
  std::vector<std::string> known;
  constexpr Statement kList{"SELECT id FROM published_keys ORDER BY id"};
  database_.query(kList, {}, [&](const Row& row) {
    const bool is_kept = std::find(ids.begin(), ids.end(), row.text(0)) != ids.end();
    (is_kept ? known : gone).emplace_back(row.text(0));
  });
  const auto record = [&](std::string_view event, const std::string& id) {
    AuditRecord change;
    change.event = event;
    change.outcome = AuditOutcome::kAllowed;
    change.details.set("key", id);
    append_audit(change, now);
  };
  for (const std::string& id : gone) {
    record("key.withdraw", id);
    Revocation item;
    item.kind = RevokedKind::kKey;
    item.id = id;
    item.cause = "key_withdrawn";
    revoke(std::move(item), now);
    constexpr Statement kForget{"DELETE FROM published_keys WHERE id = $1"};
    database_.execute(kForget, {id});
  }
  for (const std::string& id : ids) {
    if (std::find(known.begin(), known.end(), id) != known.end()) continue;
    constexpr Statement kAdd{"INSERT INTO published_keys (id) VALUES ($1) ON CONFLICT DO NOTHING"};
    if (database_.change(kAdd, {id}) == 1) record("key.publish", id);
  }
}

// ---- Reading ----

RevocationList SqlTransaction::list_revocations(int64_t after, size_t limit) {
  return load_revocations(database_, after, limit);
}

int64_t SqlTransaction::last_revocation() {
  if (writing_ != nullptr) return writing_->revocation;
  int64_t last = 0;
  constexpr Statement kLast{"SELECT revocations FROM head WHERE id = 1"};
  database_.query(kLast, {}, [&](const Row& row) { last = row.integer(0); });
  return last;
}

std::optional<std::pair<int64_t, int64_t>> SqlTransaction::status_places() {
  std::optional<std::pair<int64_t, int64_t>> places;
  constexpr Statement kEnds{"SELECT MIN(place), MAX(place) FROM status_places"};
  database_.query(kEnds, {}, [&](const Row& row) {
    if (!row.is_null(0)) places.emplace(row.integer(0), row.integer(1));
  });
  return places;
}

// ---- Streams ----

std::optional<SignalStream> SqlTransaction::find_stream(const StreamId& id) {
  std::optional<SignalStream> stream;
  constexpr Statement kFind{"SELECT " STREAM_COLUMNS " FROM streams WHERE id = $1"};
  database_.query(kFind, {id.text()}, [&](const Row& row) { stream = read_stream(row); });
  return stream;
}

std::vector<SignalStream> SqlTransaction::list_streams(const ClientId& client) {
  std::vector<SignalStream> streams;
  const auto take = [&](const Row& row) { streams.push_back(read_stream(row)); };
  constexpr Statement kOf{"SELECT " STREAM_COLUMNS " FROM streams WHERE client_id = $1 ORDER BY id"};
  constexpr Statement kAll{"SELECT " STREAM_COLUMNS " FROM streams ORDER BY id"};
  if (client.empty())
    database_.query(kAll, {}, take);
  else
    database_.query(kOf, {client.text()}, take);
  return streams;
}

void SqlTransaction::put_stream(const SignalStream& stream) {
  constexpr Statement kPut{
      "INSERT INTO streams (id, client_id, received, seen_at, document) VALUES ($1, $2, $3, $4, $5) "
      "ON CONFLICT (id) DO UPDATE SET document = excluded.document"};
  const std::string document = write_document(stream);
  database_.execute(
      kPut, {stream.id.text(), stream.client.text(), stream.cursor, stream.seen_at.milliseconds, document});
  advance_stream(stream.id, stream.cursor, stream.seen_at);
}

void SqlTransaction::advance_stream(const StreamId& id, int64_t cursor, UnixTime seen_at) {
  constexpr Statement kAdvance{
      "UPDATE streams SET received = CASE WHEN received > $2 THEN received ELSE $2 END, "
      "seen_at = CASE WHEN seen_at > $3 THEN seen_at ELSE $3 END WHERE id = $1"};
  database_.execute(kAdvance, {id.text(), cursor, seen_at.milliseconds});
}

bool SqlTransaction::remove_stream(const StreamId& id) {
  constexpr Statement kRemove{"DELETE FROM streams WHERE id = $1"};
  return database_.change(kRemove, {id.text()}) == 1;
}

size_t SqlTransaction::purge_revocations(UnixTime now, size_t limit) {
  const auto most = static_cast<int64_t>(limit);
  const auto count = [](const Row&) {};
  size_t gone = 0;
  constexpr Statement kItems{
      "DELETE FROM revocations WHERE sequence IN "
      "(SELECT sequence FROM revocations WHERE kept_until < $1 LIMIT $2) RETURNING sequence"};
  gone += database_.query(kItems, {now.milliseconds, most}, count);
  constexpr Statement kNames{
      "DELETE FROM hidden_names WHERE (name, node_id) IN "
      "(SELECT name, node_id FROM hidden_names WHERE kept_until < $1 LIMIT $2) RETURNING node_id"};
  gone += database_.query(kNames, {now.milliseconds, most}, count);
  // As the purge of what has an id (sql_store.cc): a part of them, from where the last call stopped.
  int64_t& at = writing_->purged.status_places;
  int64_t last = at;
  bool is_any_over = false;
  constexpr Statement kLook{
      "SELECT place, kept_until FROM status_places WHERE place > $1 ORDER BY place LIMIT $2"};
  const size_t seen = database_.query(kLook, {at, most}, [&](const Row& row) {
    last = row.integer(0);
    is_any_over = is_any_over || row.integer(1) < now.milliseconds;
  });
  constexpr Statement kRemove{
      "DELETE FROM status_places WHERE place > $1 AND place <= $2 AND kept_until < $3"};
  if (is_any_over) gone += database_.change(kRemove, {at, last, now.milliseconds});
  at = seen < limit ? -1 : last;
  return gone;
}

}  // namespace behalf::store
