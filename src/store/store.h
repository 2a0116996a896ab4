// What the server remembers, as verbs of the domain.
//
// One interface, two databases (SQLite embedded, PostgreSQL when one machine is not enough), one text of SQL.
// Every verb on a single-use thing is one conditional statement whose result says who was first. Expected
// absence is a value; a database that cannot serve throws StoreUnavailable.
//
// Writing: `submit` runs `work` on the committing thread inside a transaction shared with other works (group
// commit). `work` must be repeatable and may not wait, draw randomness, read the clock or use the network.
// When it throws, nothing it did happened; when it returns, everything it did is committed together with the
// audit records it appended. Reading: `read` runs on a snapshot in another thread; it must not decide
// anything that a write depends on.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "base/time.h"
#include "model/audit.h"
#include "model/authorization.h"
#include "model/lineage.h"
#include "model/registry.h"
#include "model/revocation.h"
#include "model/signal_stream.h"
#include "store/committer.h"
#include "store/registry_view.h"
#include "store/revocation_log.h"

namespace behalf::store {

struct SpentCode {
  enum class Outcome { kSpent, kAlreadySpent, kUnknown };
  Outcome outcome = Outcome::kUnknown;
  // Null if unknown. Its spent_at says nothing; `outcome` does.
  std::shared_ptr<const Node> node;
};

struct RotatedRefresh {
  enum class Outcome { kRotated, kAlreadyRotated, kUnknown };
  Outcome outcome = Outcome::kUnknown;
  std::optional<Node> node;  // as it was before this call
};

struct GrantFilter {
  std::string user;
  std::string client;
  std::string agent;
  // Only those that live then, or only those that no longer do: what was ended, or whose time was over.
  std::optional<UnixTime> live_at = {};
  std::optional<UnixTime> over_at = {};
  size_t limit = 200;
};

struct AuditFilter {
  int64_t after = 0;           // sequence
  bool newest_first = false;   // then `before` counts and `after` is ignored
  int64_t before = INT64_MAX;  // sequence
  std::string grant;           // or the first node of a lineage that has none; served by an index
  std::string user;
  std::string agent;
  std::string client;
  std::string event;  // prefix
  size_t limit = 200;
  size_t most_read = SIZE_MAX;   // gives up after so many records, whether they passed or not
  size_t most_bytes = SIZE_MAX;  // of records' texts; one is handed out however long it is
};

struct AuditPage {
  std::vector<LoggedRecord> records;
  size_t seen = 0;      // records that were read, whether they passed or not
  bool is_end = false;  // there are no more
  int64_t read_to = 0;  // where to go on: `after`, or `before` where the newest come first
  int64_t newest = 0;   // the last of the log when it was read
};

// How many tokens share one status list (draft-ietf-oauth-status-list).
inline constexpr int64_t kStatusListSize = 65'536;

class ReadTransaction {
 public:
  virtual ~ReadTransaction() = default;

  // Registry
  virtual std::shared_ptr<const User> find_user(const UserId& id) = 0;
  virtual std::shared_ptr<const User> find_user_by_username(std::string_view username) = 0;
  virtual std::shared_ptr<const Agent> find_agent(const AgentId& id) = 0;
  virtual std::shared_ptr<const Client> find_client(const ClientId& id) = 0;
  virtual std::shared_ptr<const Resource> find_resource(const ResourceId& id) = 0;
  virtual std::vector<std::shared_ptr<const User>> list_users() = 0;
  // The last epoch that id had as any principal, deleted ones included; 0 if it never was one. (What has been
  // deleted is not found by the verbs above.)
  virtual int64_t last_epoch(std::string_view principal_id) = 0;

  // Grants and lineage
  virtual std::shared_ptr<const Grant> find_grant(const GrantId& id) = 0;
  virtual std::vector<Grant> list_grants(const GrantFilter& filter) = 0;
  virtual std::shared_ptr<const Node> find_node(const NodeId& id) = 0;
  // Every node of one lineage, parents before children, at most `limit`.
  virtual std::vector<Node> list_lineage(const NodeId& root, size_t limit) = 0;
  virtual std::vector<Node> list_grant_nodes(const GrantId& grant, size_t limit) = 0;

  // Front channel
  virtual std::optional<AuthorizationRequest> find_request(const RequestId& id) = 0;
  virtual std::optional<Session> find_session(const SessionId& id) = 0;

  // Audit
  virtual AuditPage read_audit(const AuditFilter& filter) = 0;
  std::vector<LoggedRecord> list_audit(const AuditFilter& filter) { return read_audit(filter).records; }

  // Revocations after that sequence, oldest first, at most `limit`.
  virtual RevocationList list_revocations(int64_t after, size_t limit) = 0;
  // The sequence of the newest there ever was, also when it is no longer kept.
  virtual int64_t last_revocation() = 0;
  virtual std::optional<SignalStream> find_stream(const StreamId& id) = 0;
  // All of them where no client is named.
  virtual std::vector<SignalStream> list_streams(const ClientId& client) = 0;
  // The tokens that have not expired and whose place in the status lists is from there until before that.
  virtual std::vector<std::shared_ptr<const Node>> list_status_places(int64_t from, int64_t to,
                                                                      UnixTime now) = 0;
  // The first and the last place that is taken.
  virtual std::optional<std::pair<int64_t, int64_t>> status_places() = 0;
};

class Transaction : public ReadTransaction {
 public:
  // Registry. `put_*` stores the value as given, with its status, epoch and version; an id that another kind
  // of principal uses is refused (false): users, agents and clients share one namespace (D-03). Where an
  // epoch or a life ends, or less is allowed than before, a revocation is written beside it; so do the
  // endings below.
  [[nodiscard]] virtual bool put_user(const User& user, UnixTime now) = 0;
  [[nodiscard]] virtual bool put_agent(const Agent& agent, UnixTime now) = 0;
  [[nodiscard]] virtual bool put_client(const Client& client, UnixTime now) = 0;
  virtual void put_resource(const Resource& resource, UnixTime now) = 0;
  virtual void remove_resource(const ResourceId& id, UnixTime now) = 0;

  // Grants
  virtual void insert_grant(const Grant& grant) = 0;
  // True if it was live until now.
  [[nodiscard]] virtual bool end_grant(const GrantId& id, UnixTime now, std::string_view cause) = 0;
  // Notes the use, at most once a minute per grant.
  virtual void touch_grant(const Grant& grant, UnixTime now) = 0;

  // Lineage. A node with a place in a status list takes it. Returns what was recorded.
  virtual std::shared_ptr<const Node> insert_node(Node node) = 0;
  // The next place in the status lists, counted through all of them; never given twice.
  virtual int64_t take_status_place() = 0;
  // kSpent exactly once per code, whoever asks and however many at the same time.
  [[nodiscard]] virtual SpentCode spend_code(const NodeId& id, std::string_view secret_hash,
                                             UnixTime now) = 0;
  // kRotated exactly once per refresh token; the successor's id is kept for an honest retry.
  [[nodiscard]] virtual RotatedRefresh rotate_refresh_token(const NodeId& id, std::string_view secret_hash,
                                                            const NodeId& successor, UnixTime now) = 0;
  // Ends the node and everything below it that has not ended; returns what it ended, the node first.
  virtual std::vector<Node> end_subtree(const NodeId& id, UnixTime now, std::string_view cause) = 0;
  // Ends every live node of the grant; returns them.
  virtual std::vector<Node> end_grant_nodes(const GrantId& id, UnixTime now, std::string_view cause) = 0;

  // True exactly once per (issuer, jti) until `expires_at` has passed.
  [[nodiscard]] virtual bool remember_jti(std::string_view issuer, std::string_view jti,
                                          UnixTime expires_at) = 0;

  // Front channel
  virtual void insert_request(const AuthorizationRequest& request) = 0;
  // Binds a pushed request to the first browser that opens it; true if it is bound to this one now.
  [[nodiscard]] virtual bool bind_request(const RequestId& id, std::string_view browser_hash) = 0;
  virtual void extend_request(const RequestId& id, UnixTime expires_at) = 0;
  // True exactly once per request.
  [[nodiscard]] virtual bool complete_request(const RequestId& id, UnixTime now) = 0;
  virtual void insert_session(const Session& session) = 0;
  virtual void touch_session(const SessionId& id, UnixTime now) = 0;
  [[nodiscard]] virtual bool end_session(const SessionId& id, UnixTime now) = 0;
  // Ends all but the `keep` newest of those that are open; how many.
  virtual size_t end_oldest_sessions(const UserId& user, uint32_t keep, UnixTime now) = 0;
  virtual size_t end_user_sessions(const UserId& user, UnixTime now) = 0;

  // Numbers, chains and stores the record; what looks like a secret in it is not stored.
  virtual void append_audit(const AuditRecord& record, UnixTime now) = 0;

  // Revocations. The ids of the keys that are published from now on; one that was and is not any more is
  // revoked. A record each that came or went.
  virtual void publish_keys(const std::vector<std::string>& ids, UnixTime now) = 0;

  // Streams of security events. `put_stream` stores it as given, new or known, but for how far it has come
  // where that is already further.
  virtual void put_stream(const SignalStream& stream) = 0;
  virtual void advance_stream(const StreamId& id, int64_t cursor, UnixTime seen_at) = 0;
  [[nodiscard]] virtual bool remove_stream(const StreamId& id) = 0;

  // Looks at `limit` rows of each kind from where the last call stopped, round and round, and deletes those
  // that expired before `before`; returns how many went.
  virtual size_t purge(UnixTime before, size_t limit) = 0;
  // The same for revocations and what goes with them, which are of no use from `now` on.
  virtual size_t purge_revocations(UnixTime now, size_t limit) = 0;
  // Both have come to the end, and the next calls begin anew.
  virtual bool has_purged_all() const = 0;
};

class Store {
 public:
  // SHA-256 of the bytes; handed in because this layer has no cryptography of its own.
  using Hash = std::function<std::string(std::string_view bytes)>;

  // Opens and, if needed, creates or migrates the schema. Throws StoreUnavailable with a plain message.
  Store(std::unique_ptr<Connector> connector, Hash sha256);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  using Work = std::function<void(Transaction&)>;
  using Reading = std::function<void(ReadTransaction&)>;

  // Starts `work`; see Committer::Pending for the two moments a caller can await. `work` and what it refers
  // to must live until then.
  Committer::Pending submit(Work work);
  // submit and await durability.
  Task<void> transact(Work work);
  Task<void> read(Reading work);
  // The blocking forms, for start-up, jobs, tools and tests; never on a loop thread.
  void run(Work work);
  void run_read(Reading work);

  // Agents, clients and resources as last committed, for use on any thread. A decision made from it must be
  // confirmed inside the transaction (compare `version`).
  const RegistryView& registry() const;
  // The newest revocations as last committed, here or by another server, and how to wait for more.
  RevocationLog& revocations() const;
  // The newest commit failed: the store may be full, locked or away.
  bool is_failing() const;
  // The latest time any committed decision was made at: what a clock that stepped back is noticed by.
  UnixTime high_water() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace behalf::store
