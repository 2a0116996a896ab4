// The store's transaction over any Database, and what the committing thread keeps in memory beside it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "store/database.h"
#include "store/registry_view.h"
#include "store/store.h"

namespace behalf::store {

// A bounded cache of two generations: what was not touched while a generation filled goes with the next one.
template <class T>
class Cache {
 public:
  explicit Cache(size_t capacity) : half_(capacity / 2) {}
  const T* find(std::string_view key) {
    if (const auto young = young_.find(key); young != young_.end()) return &young->second;
    const auto old = old_.find(key);
    if (old == old_.end()) return nullptr;
    T value = std::move(old->second);
    std::string name = old->first;
    old_.erase(old);
    return put(std::move(name), std::move(value));
  }
  const T* put(std::string key, T value) {
    if (young_.size() >= half_) {
      old_ = std::move(young_);
      young_.clear();
    }
    old_.erase(key);
    return &young_.insert_or_assign(std::move(key), std::move(value)).first->second;
  }
  void erase(const std::string& key) {
    young_.erase(key);
    old_.erase(key);
  }
  void clear() {
    young_.clear();
    old_.clear();
  }

 private:
  using Generation = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;
  size_t half_;
  Generation young_;
  Generation old_;
};

// Belongs to the committing thread. Everything here may be dropped at any time and read again; it is dropped
// whenever a batch rolls back or another process changed the store.
struct WriterState {
  // hash of the log so far, record → hash with the record
  std::function<std::string(const std::string& previous_hex, std::string_view record)> chain;

  // The head row as this batch leaves it.
  int64_t sequence = 0;
  std::string head_hash;
  int64_t generation = 0;
  int64_t high_water = 0;
  bool registry_changed = false;
  bool endings = false;

  // What is issued now belongs to this part of the log (docs/decisions/0010-indexes-in-runs.md).
  int64_t run() const { return sequence / kRunLength; }
  static constexpr int64_t kRunLength = 512;
  // Of the log (docs/decisions/0012-the-log-by-grant-in-stretches.md).
  static constexpr int64_t kStretchRuns = 128;
  static constexpr int64_t kStretchLength = kStretchRuns * kRunLength;

  // How far the purge has come in each table. Where a batch is rolled back it comes by again.
  struct Purged {
    std::string requests;
    std::string sessions;
    std::string nodes;
    int64_t status_places = -1;
    bool operator==(const Purged&) const = default;
  };
  Purged purged;

  int64_t revocation = 0;      // the newest
  int64_t status_place = 0;    // the next
  RevocationList revocations;  // written by this batch

  RegistryTables staged;  // what this batch changed in the registry
  std::vector<std::string> removed_resources;

  Cache<std::shared_ptr<const User>> users{8192};
  Cache<std::shared_ptr<const Grant>> grants{16384};
  Cache<std::shared_ptr<const Node>> nodes{32768};
  Cache<std::shared_ptr<const Node>> codes{8192};  // as issued here; whether one is spent is not in it
  Cache<int64_t> stretches{16384};                 // the last one in which a grant is known to have records
};

class SqlTransaction final : public Transaction {
 public:
  // `writing` is null for a read-only transaction.
  SqlTransaction(Database& database, const RegistryView& registry, WriterState* writing)
      : database_(database), registry_(registry), writing_(writing) {}

  std::shared_ptr<const User> find_user(const UserId& id) override;
  std::shared_ptr<const User> find_user_by_username(std::string_view username) override;
  std::shared_ptr<const Agent> find_agent(const AgentId& id) override;
  std::shared_ptr<const Client> find_client(const ClientId& id) override;
  std::shared_ptr<const Resource> find_resource(const ResourceId& id) override;
  std::vector<std::shared_ptr<const User>> list_users() override;
  int64_t last_epoch(std::string_view principal_id) override;
  std::shared_ptr<const Grant> find_grant(const GrantId& id) override;
  std::vector<Grant> list_grants(const GrantFilter& filter) override;
  std::shared_ptr<const Node> find_node(const NodeId& id) override;
  std::vector<Node> list_lineage(const NodeId& root, size_t limit) override;
  std::vector<Node> list_grant_nodes(const GrantId& grant, size_t limit) override;
  std::optional<AuthorizationRequest> find_request(const RequestId& id) override;
  std::optional<Session> find_session(const SessionId& id) override;
  AuditPage read_audit(const AuditFilter& filter) override;
  RevocationList list_revocations(int64_t after, size_t limit) override;
  int64_t last_revocation() override;
  std::optional<SignalStream> find_stream(const StreamId& id) override;
  std::vector<SignalStream> list_streams(const ClientId& client) override;
  std::vector<std::shared_ptr<const Node>> list_status_places(int64_t from, int64_t to,
                                                              UnixTime now) override;
  std::optional<std::pair<int64_t, int64_t>> status_places() override;

  bool put_user(const User& user, UnixTime now) override;
  bool put_agent(const Agent& agent, UnixTime now) override;
  bool put_client(const Client& client, UnixTime now) override;
  void put_resource(const Resource& resource, UnixTime now) override;
  void remove_resource(const ResourceId& id, UnixTime now) override;
  void insert_grant(const Grant& grant) override;
  bool end_grant(const GrantId& id, UnixTime now, std::string_view cause) override;
  void touch_grant(const Grant& grant, UnixTime now) override;
  std::shared_ptr<const Node> insert_node(Node node) override;
  int64_t take_status_place() override;
  SpentCode spend_code(const NodeId& id, std::string_view secret_hash, UnixTime now) override;
  RotatedRefresh rotate_refresh_token(const NodeId& id, std::string_view secret_hash, const NodeId& successor,
                                      UnixTime now) override;
  std::vector<Node> end_subtree(const NodeId& id, UnixTime now, std::string_view cause) override;
  std::vector<Node> end_grant_nodes(const GrantId& id, UnixTime now, std::string_view cause) override;
  bool remember_jti(std::string_view issuer, std::string_view jti, UnixTime expires_at) override;
  void insert_request(const AuthorizationRequest& request) override;
  bool bind_request(const RequestId& id, std::string_view browser_hash) override;
  void extend_request(const RequestId& id, UnixTime expires_at) override;
  bool complete_request(const RequestId& id, UnixTime now) override;
  void insert_session(const Session& session) override;
  void touch_session(const SessionId& id, UnixTime now) override;
  bool end_session(const SessionId& id, UnixTime now) override;
  size_t end_oldest_sessions(const UserId& user, uint32_t keep, UnixTime now) override;
  size_t end_user_sessions(const UserId& user, UnixTime now) override;
  void append_audit(const AuditRecord& record, UnixTime now) override;
  void publish_keys(const std::vector<std::string>& ids, UnixTime now) override;
  void put_stream(const SignalStream& stream) override;
  void advance_stream(const StreamId& id, int64_t cursor, UnixTime seen_at) override;
  bool remove_stream(const StreamId& id) override;
  size_t purge(UnixTime before, size_t limit) override;
  size_t purge_revocations(UnixTime now, size_t limit) override;
  bool has_purged_all() const override { return writing_->purged == WriterState::Purged{}; }

 private:
  bool put_principal(std::string_view id, std::string_view kind, std::string_view username,
                     const json::Value& document);
  void cache(const std::shared_ptr<const Node>& node);
  void forget(std::vector<Node>& ended);

  // The log (sql_audit.cc)
  void note_stretch(const std::string& grant, int64_t stretch);
  struct Stretch {
    int64_t number;
    bool is_noted;  // false: it has records of run 0 only
  };
  struct Part {
    Database::Statement look;
    Database::Statement remove;
  };
  size_t purge_part(const Part& part, std::string& at, UnixTime before, size_t limit);
  int64_t last_record();
  std::optional<Stretch> next_stretch(std::string_view grant, int64_t at, bool backward);
  size_t read_grant_audit(std::string_view grant, int64_t& at, bool backward, int64_t most,
                          const std::function<void(const Row&)>& each);

  // Revocations (sql_revocations.cc)
  void revoke(Revocation item, UnixTime now);
  void revoke_token(const Node& node, UnixTime now, std::string_view cause);
  // For tokens that rest on `name` without showing it.
  void revoke_hidden(std::string_view name, const Revocation& as);
  template <class T>
  void note_change(SubjectKind kind, const std::shared_ptr<const T>& was, const T& is, UnixTime now);
  void note_change(const std::shared_ptr<const Resource>& was, const Resource& is, UnixTime now);
  void note_grant_end(const GrantId& id, const Row& row, UnixTime now, std::string_view cause);
  void note_node_ends(const std::vector<Node>& ended, UnixTime now, std::string_view cause);
  void remember_hidden(const Node& node);

  Database& database_;
  const RegistryView& registry_;
  WriterState* writing_;
  // Principals that this work has ended: what ends with them needs no item of its own.
  std::vector<std::string> ended_principals_;
};

inline Parameter nullable(std::string_view text) {
  if (text.empty()) return nullptr;
  return text;
}

RegistryTables load_registry(Database& database);
RevocationList load_revocations(Database& database, int64_t after, size_t limit);

}  // namespace behalf::store
