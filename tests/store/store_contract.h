// What the tests of the store's verbs share: opening a Store on either database, and values to put into it.
//
// Values are filled in every member, with text that a careless layer would damage, so that a member that is
// not stored shows. Ids of nodes follow their order of making, as the server's own do.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "store/database_contract.h"
#include "store/store.h"

// A filter names what it filters by and nothing else.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace behalf::test {

using namespace std::string_literals;

inline constexpr UnixTime kNow{1'795'000'000'000};
inline constexpr int64_t kMost = INT64_MAX;
// Quotes of every kind, a backslash, a comment, a tab and new line, right-to-left text, an emoji with a
// joiner, U+10FFFF.
inline const std::string kHostile =
    "O'Brien \"q\" `b` \\ -- /* $1 ? %s ; DROP TABLE nodes;\t\n\r שלום 👩‍🚀 \xF4\x8F\xBF\xBF end";

inline std::unique_ptr<store::Store> open_store(std::unique_ptr<store::Connector> connector) {
  return std::make_unique<store::Store>(std::move(connector), [](std::string_view bytes) {
    return std::string(as_text(crypto::sha256(bytes)));
  });
}

// Takes back what schema 4 changed, and schema 3 before it; the version is the caller's to say.
#define BACK_TO_THIRD_SCHEMA                                                                   \
  "DROP TABLE audit_stretches; DROP INDEX audit_by_grant; ALTER TABLE audit DROP COLUMN run; " \
  "CREATE INDEX audit_by_grant ON audit (grant_id, sequence) WHERE grant_id IS NOT NULL; "
inline constexpr const char* kBackToThirdSchema = BACK_TO_THIRD_SCHEMA;
inline constexpr const char* kBackToSecondSchema = BACK_TO_THIRD_SCHEMA
    "DROP INDEX nodes_by_root; DROP INDEX nodes_by_grant; ALTER TABLE nodes DROP COLUMN run; "
    "ALTER TABLE grants DROP COLUMN run; "
    "CREATE INDEX nodes_by_root ON nodes (root_id, id) WHERE parent_id IS NOT NULL; "
    "CREATE INDEX nodes_by_grant ON nodes (grant_id, id) WHERE grant_id IS NOT NULL; ";

// A test with an empty store of its own.
class StoreContract : public OnBothDatabases {
 protected:
  void SetUp() override {
    OnBothDatabases::SetUp();
    if (!IsSkipped() && !HasFatalFailure()) store_ = open_store(connect());
  }
  store::Store& store() { return *store_; }
  // As after a restart: nothing is left but the database.
  void reopen() {
    store_.reset();
    store_ = open_store(connect());
  }
  void close() { store_.reset(); }
  // Another connection to the same database, as an operator's shell has it; SQLite allows it only while the
  // store is closed.
  void run_sql(const std::string& sql) {
    const auto connector = connect();
    const auto database = connector->open_writer();
    database->begin();
    database->run_script(sql);
    database->commit();
  }

  void run(store::Store::Work work) { store_->run(std::move(work)); }
  // What `ask` says in a transaction that may write, and what it says on a snapshot.
  template <class Ask>
  auto ask_writer(Ask ask) {
    decltype(ask(std::declval<store::ReadTransaction&>())) answer{};
    store_->run([&](store::Transaction& transaction) { answer = ask(transaction); });
    return answer;
  }
  template <class Ask>
  auto ask_reader(Ask ask) {
    decltype(ask(std::declval<store::ReadTransaction&>())) answer{};
    store_->run_read([&](store::ReadTransaction& transaction) { answer = ask(transaction); });
    return answer;
  }
  std::shared_ptr<const Node> node(const std::string& id) {
    return ask_reader([&](store::ReadTransaction& transaction) { return transaction.find_node(NodeId(id)); });
  }
  bool is_ended(const std::string& id) {
    const auto found = node(id);
    const auto decided_on =
        ask_writer([&](store::ReadTransaction& transaction) { return transaction.find_node(NodeId(id)); });
    EXPECT_NE(found, nullptr) << id;
    EXPECT_NE(decided_on, nullptr) << id;
    if (found == nullptr || decided_on == nullptr) return false;
    EXPECT_EQ(found->ended_at, decided_on->ended_at) << "what a snapshot and a decision see of " << id;
    return found->ended_at.has_value();
  }

 private:
  std::unique_ptr<store::Store> store_;
};

// ---- Values ----

inline User make_user(const std::string& id, const std::string& username) {
  User user;
  user.id = UserId(id);
  user.username = username;
  user.display_name = "Person " + id;
  return user;
}
inline Agent make_agent(const std::string& id) {
  Agent agent;
  agent.id = AgentId(id);
  agent.name = "Agent " + id;
  agent.publisher = "Publisher";
  return agent;
}
inline Client make_client(const std::string& id) {
  Client client;
  client.id = ClientId(id);
  client.name = "Client " + id;
  client.grant_types = {"client_credentials"};
  return client;
}
inline Resource make_resource(const std::string& id) {
  Resource resource;
  resource.id = ResourceId(id);
  resource.name = "Resource";
  resource.scopes = {{.name = "read", .title = "Read", .description = {}}};
  return resource;
}

inline Grant make_grant(const std::string& id, const std::string& user = "u", const std::string& client = "c",
                        const std::string& agent = "a") {
  Grant grant;
  grant.id = GrantId(id);
  grant.user = UserId(user);
  grant.client = ClientId(client);
  grant.agent = AgentId(agent);
  grant.created_at = kNow;
  grant.expires_at = kNow + Seconds{86400};
  return grant;
}

// A root, or a child of `parent` in the lineage of `root`.
inline Node make_node(const std::string& id, NodeKind kind = NodeKind::kAccessToken,
                      const std::string& root = {}, const std::string& parent = {},
                      const std::string& grant = {}) {
  Node node;
  node.id = NodeId(id);
  node.kind = kind;
  node.root = NodeId(root.empty() ? id : root);
  node.parent = NodeId(parent);
  node.grant = GrantId(grant);
  if (kind != NodeKind::kAccessToken) node.secret_hash = "hash-of-" + id;
  node.subject = {.kind = SubjectKind::kUser, .id = "u", .epoch = 1};
  node.client = ClientId("c"s);
  node.issued_at = kNow;
  node.expires_at = kNow + Seconds{600};
  return node;
}
inline Node make_code(const std::string& id) { return make_node(id, NodeKind::kCode); }
inline Node make_refresh(const std::string& id) { return make_node(id, NodeKind::kRefreshToken); }

inline AuthorizationRequest make_request(const std::string& id, const std::string& browser = {}) {
  AuthorizationRequest request;
  request.id = RequestId(id);
  request.browser_hash = browser;
  request.client = ClientId("c"s);
  request.redirect_uri = "https://app.example/cb";
  request.code_challenge = "challenge";
  request.created_at = kNow;
  request.expires_at = kNow + Seconds{600};
  return request;
}

inline Session make_session(const std::string& id, const std::string& user = "u") {
  Session session;
  session.id = SessionId(id);
  session.secret_hash = "hash-of-" + id;
  session.user = UserId(user);
  session.created_at = kNow;
  session.last_seen_at = kNow;
  session.expires_at = kNow + Seconds{3600};
  return session;
}

inline AuditRecord make_record(const std::string& event, const std::string& grant = {}) {
  AuditRecord record;
  record.event = event;
  record.outcome = AuditOutcome::kAllowed;
  record.grant = grant;
  return record;
}

// Computes the chain again, from the records alone; the number of records, or -1 at the first that does not
// fit.
inline int64_t verified_length(const std::vector<LoggedRecord>& records) {
  std::string previous(32, '\0');
  int64_t sequence = 0;
  for (const LoggedRecord& record : records) {
    const Digest digest = crypto::sha256(previous + record.json);
    const auto parsed = json::parse(record.json, {.bytes = 1024 * 1024, .depth = 32});
    ++sequence;
    if (record.sequence != sequence || hex(digest) != record.hash || !parsed ||
        parsed->find_integer("seq") != sequence) {
      return -1;
    }
    previous = as_text(digest);
  }
  return sequence;
}
inline std::vector<LoggedRecord> whole_log(store::Store& store) {
  std::vector<LoggedRecord> records;
  store.run_read(
      [&](store::ReadTransaction& transaction) { records = transaction.list_audit({.limit = 1'000'000}); });
  return records;
}

inline std::vector<std::string> ids_of(const std::vector<Node>& nodes) {
  std::vector<std::string> ids;
  for (const Node& node : nodes) ids.push_back(node.id.text());
  return ids;
}
using Ids = std::vector<std::string>;

}  // namespace behalf::test
