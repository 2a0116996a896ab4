#include "console/admin_api.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/bytes.h"
#include "console/describe.h"
#include "console/lineage_report.h"
#include "console/state.h"
#include "model/registry_json.h"
#include "oauth/endings.h"
#include "oauth/liveness.h"

namespace behalf::console {

using oauth::Call;

namespace {

constexpr json::Limits kStateLimits{.bytes = 16 * 1024 * 1024, .depth = 16};
constexpr size_t kMaxList = 10'000;
constexpr Seconds kSecretOverlap{86400};
// Of the audit log: what one reading looks at, what one request does, and how long its answer becomes.
constexpr size_t kAuditPiece = 2000;
constexpr size_t kAuditSeen = 20'000;
constexpr size_t kAuditBytes = 4 * 1024 * 1024;

http::Response admin_error(int status, std::string_view message) {
  std::string body;
  json::ObjectWriter writer(body);
  writer.add("error", message).end();
  return http::json_response(status, std::move(body));
}

http::Response admin_answer(const json::Value& value) {
  http::Response response = http::json_response(200, json::write(value));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

size_t limit_of(const http::Form& query, size_t fallback) {
  const std::string_view text = query.get("limit");
  size_t limit = fallback;
  std::from_chars(text.data(), text.data() + text.size(), limit);
  return std::min(limit, kMaxList);
}

// What `apply` does inside the transaction: compares, and unless it is a dry run writes, one record a change.
class Applying {
 public:
  Applying(Call& call, store::Transaction& transaction, const DesiredState& state,
           const std::vector<std::string>& password_hashes, const std::vector<std::string>& made_secrets)
      : call_(call),
        transaction_(transaction),
        state_(state),
        password_hashes_(password_hashes),
        made_secrets_(made_secrets) {}

  std::string run() {
    for (const Resource& resource : state_.resources) put(resource);
    for (const Agent& agent : state_.agents) put(agent);
    for (size_t i = 0; i < state_.clients.size(); ++i) put(state_.clients[i], made_secrets_[i]);
    for (size_t i = 0; i < state_.users.size(); ++i) put(state_.users[i], password_hashes_[i]);
    if (state_.prune) prune();
    return complaint_;
  }
  const std::vector<Change>& changes() const { return changes_; }
  const std::vector<std::pair<std::string, std::string>>& secrets() const { return secrets_; }

 private:
  // Where the change gave the principal one: what it was issued before is dead.
  struct NewEpoch {
    int64_t epoch = 0;
    std::string_view cause;
    std::optional<size_t> grants;  // how many ended; of a dry run it is not known
  };
  void note(std::string action, std::string kind, std::string id, std::vector<std::string> members = {},
            std::optional<NewEpoch> ended = {}) {
    if (!state_.dry_run) {
      AuditRecord record;
      record.event = "registry." + kind + "." + action;
      record.outcome = AuditOutcome::kAllowed;
      record.request_id = call_.audit.request_id;
      record.peer = call_.audit.peer;
      if (kind == "user") record.user = id;
      if (kind == "agent") record.agent = id;
      if (kind == "client") record.client = id;
      if (kind == "resource") record.resource = id;
      json::Value::Array list;
      for (const std::string& member : members) list.emplace_back(member);
      if (!list.empty()) record.details.set("members", std::move(list));
      if (ended) oauth::record_new_epoch(record, id, ended->epoch, ended->cause);
      transaction_.append_audit(record, call_.now);
    }
    changes_.push_back({std::move(action), std::move(kind), std::move(id), std::move(members),
                        ended ? ended->grants : std::nullopt});
  }
  void refuse(const std::string& id) {
    if (complaint_.empty()) complaint_ = "\"" + id + "\" is already the id or user name of something else";
  }
  // Anew, or on from what is there: a principal that was deleted comes back in a new epoch.
  template <class T>
  void take_over(T& next, const std::shared_ptr<const T>& current) {
    if (current != nullptr) {
      next.status = current->status;
      next.epoch = current->epoch;
      next.version = current->version + 1;
    } else {
      next.epoch = transaction_.last_epoch(next.id.text()) + 1;
    }
  }

  void put(const Resource& desired) {
    const auto current = transaction_.find_resource(desired.id);
    Resource next = desired;
    if (current != nullptr && current->id == desired.id) {
      auto members = differing_members(to_json(*current, Detail::kState), to_json(desired, Detail::kState));
      if (members.empty()) return;
      next.version = current->version + 1;
      if (!state_.dry_run) transaction_.put_resource(next, call_.now);
      return note("update", "resource", next.id.text(), std::move(members));
    }
    if (!state_.dry_run) transaction_.put_resource(next, call_.now);
    note("create", "resource", next.id.text());
  }

  void put(const Agent& desired) {
    const auto current = transaction_.find_agent(desired.id);
    Agent next = desired;
    take_over(next, current);
    std::vector<std::string> members;
    if (current != nullptr) {
      members = differing_members(to_json(*current, Detail::kState), to_json(desired, Detail::kState));
      if (members.empty()) return;
    }
    if (!state_.dry_run && !transaction_.put_agent(next, call_.now)) return refuse(next.id.text());
    note(current == nullptr ? "create" : "update", "agent", next.id.text(), std::move(members));
  }

  void put(const DesiredClient& desired, const std::string& made_secret) {
    const auto current = transaction_.find_client(desired.client.id);
    Client next = desired.client;
    take_over(next, current);
    std::vector<std::string> members;
    if (current != nullptr) {
      next.secret_hash = current->secret_hash;
      next.previous_secret_hash = current->previous_secret_hash;
      next.previous_secret_until = current->previous_secret_until;
      members = differing_members(to_json(*current, Detail::kState), to_json(next, Detail::kState));
    }
    const bool uses_secret = next.auth_method == ClientAuthMethod::kClientSecretBasic ||
                             next.auth_method == ClientAuthMethod::kClientSecretPost;
    std::string new_hash;
    bool was_made = false;
    if (uses_secret && !desired.secret.empty()) {
      new_hash = call_.services.keys.lookup_hash(desired.secret.reveal());
    } else if (uses_secret && next.secret_hash.empty()) {
      new_hash = call_.services.keys.lookup_hash(made_secret);
      was_made = true;
    }
    if (!uses_secret) {
      next.secret_hash.clear();
      next.previous_secret_hash.clear();
    } else if (!new_hash.empty() && new_hash != next.secret_hash) {
      // Rotation without an outage: the old secret works for a day beside the new one.
      next.previous_secret_hash = next.secret_hash;
      next.previous_secret_until = call_.now + kSecretOverlap;
      next.secret_hash = new_hash;
      members.emplace_back("secret");
    }
    if (current != nullptr && members.empty()) return;
    if (!state_.dry_run && !transaction_.put_client(next, call_.now)) return refuse(next.id.text());
    if (was_made && !state_.dry_run) secrets_.emplace_back(next.id.text(), made_secret);
    if (current == nullptr) members.clear();
    note(current == nullptr ? "create" : "update", "client", next.id.text(), std::move(members));
  }

  void put(const DesiredUser& desired, const std::string& password_hash) {
    const auto current = transaction_.find_user(desired.user.id);
    User next = desired.user;
    take_over(next, current);
    std::vector<std::string> members;
    if (current != nullptr) {
      next.password_hash = current->password_hash;
      members = differing_members(to_json(*current, Detail::kState), to_json(next, Detail::kState));
    }
    const bool new_password = !password_hash.empty() && password_hash != next.password_hash;
    if (new_password) {
      next.password_hash = password_hash;
      members.emplace_back("password");
    }
    if (current != nullptr && members.empty()) return;
    // A new password ends what was given under the old one: whoever knew that may have given it.
    if (current != nullptr && new_password) ++next.epoch;
    if (!state_.dry_run && !transaction_.put_user(next, call_.now)) return refuse(next.id.text());
    std::optional<size_t> grants;
    if (current != nullptr && new_password && !state_.dry_run) {
      transaction_.end_user_sessions(next.id, call_.now);
      grants = oauth::end_grants(call_, transaction_, {.user = next.id.text(), .client = {}, .agent = {}},
                                 "password_changed");
    }
    if (current == nullptr) return note("create", "user", next.id.text());
    std::optional<NewEpoch> ended;
    if (new_password) ended = NewEpoch{next.epoch, "password_changed", grants};
    note("update", "user", next.id.text(), std::move(members), ended);
  }

  template <class T>
  bool is_named(const std::vector<T>& list, const std::string& id) {
    return std::any_of(list.begin(), list.end(), [&](const T& item) {
      if constexpr (requires { item.id; })
        return item.id.text() == id;
      else if constexpr (requires { item.user; })
        return item.user.id.text() == id;
      else
        return item.client.id.text() == id;
    });
  }
  template <class T>
  static T deleted(const T& current) {
    T gone = current;
    gone.status = Status::kDeleted;
    ++gone.epoch;
    ++gone.version;
    return gone;
  }

  void prune() {
    for (const auto& user : transaction_.list_users()) {
      if (is_named(state_.users, user->id.text())) continue;
      std::optional<size_t> grants;
      if (!state_.dry_run) {
        if (!transaction_.put_user(deleted(*user), call_.now)) return refuse(user->id.text());
        transaction_.end_user_sessions(user->id, call_.now);
        grants = oauth::end_grants(call_, transaction_, {.user = user->id.text(), .client = {}, .agent = {}},
                                   "user_deleted");
      }
      note("delete", "user", user->id.text(), {}, NewEpoch{user->epoch + 1, "user_deleted", grants});
    }
    for (const auto& client : call_.services.store.registry().clients()) {
      if (is_named(state_.clients, client->id.text())) continue;
      std::optional<size_t> grants;
      if (!state_.dry_run) {
        if (!transaction_.put_client(deleted(*client), call_.now)) return refuse(client->id.text());
        grants = oauth::end_grants(call_, transaction_,
                                   {.user = {}, .client = client->id.text(), .agent = {}}, "client_deleted");
      }
      note("delete", "client", client->id.text(), {}, NewEpoch{client->epoch + 1, "client_deleted", grants});
    }
    for (const auto& agent : call_.services.store.registry().agents()) {
      if (is_named(state_.agents, agent->id.text())) continue;
      std::optional<size_t> grants;
      if (!state_.dry_run) {
        if (!transaction_.put_agent(deleted(*agent), call_.now)) return refuse(agent->id.text());
        grants = oauth::end_grants(call_, transaction_, {.user = {}, .client = {}, .agent = agent->id.text()},
                                   "agent_deleted");
      }
      note("delete", "agent", agent->id.text(), {}, NewEpoch{agent->epoch + 1, "agent_deleted", grants});
    }
    for (const auto& resource : call_.services.store.registry().resources()) {
      if (is_named(state_.resources, resource->id.text())) continue;
      if (!state_.dry_run) transaction_.remove_resource(resource->id, call_.now);
      note("delete", "resource", resource->id.text());
    }
  }

  Call& call_;
  store::Transaction& transaction_;
  const DesiredState& state_;
  const std::vector<std::string>& password_hashes_;
  const std::vector<std::string>& made_secrets_;
  std::vector<Change> changes_;
  std::vector<std::pair<std::string, std::string>> secrets_;
  std::string complaint_;
};

json::Value describe_changes(const std::vector<Change>& changes) {
  json::Value::Array list;
  for (const Change& change : changes) {
    json::Value item;
    item.set("action", change.action);
    item.set("kind", change.kind);
    item.set("id", change.id);
    if (!change.members.empty()) {
      json::Value::Array members;
      for (const std::string& member : change.members) members.emplace_back(member);
      item.set("members", std::move(members));
    }
    if (change.grants_ended) item.set("grants_ended", static_cast<int64_t>(*change.grants_ended));
    list.push_back(std::move(item));
  }
  return list;
}

// What the operator asked for and did not get is in the log as well.
Task<void> record_refusal(Call& call, std::string_view reason) {
  call.deny({oauth::ErrorCode::kInvalidRequest, "", std::string(reason), {}});
  co_await oauth::record(call);
}

// Thrown inside the work to take everything back: an apply is all or nothing.
struct TakenBack : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace

Task<http::Response> AdminApi::handle(http::Request& request) {
  const bool is_post = request.method == "POST";
  const bool is_get = request.method == "GET";
  if (is_post && request.path == "/apply") return apply(request);
  if (is_post && request.path == "/grants/revoke") return revoke_grant(request);
  for (const std::string_view kind : {"user", "agent", "client"}) {
    const std::string prefix = "/" + std::string(kind) + "s/";
    if (is_post && request.path == prefix + "suspend") return set_status(request, kind, Status::kSuspended);
    if (is_post && request.path == prefix + "resume") return set_status(request, kind, Status::kActive);
  }
  auto query = http::Form::parse(request.query);
  if (is_get && query) {
    if (request.path == "/grants") return list_grants(std::move(*query));
    if (request.path == "/lineage") return show_lineage(std::move(*query));
    if (request.path == "/audit") return list_audit(std::move(*query));
    if (request.path == "/audit/lineage") return report_lineage(std::move(*query));
    if (request.path == "/state") return export_state();
  }
  const auto nothing = []() -> Task<http::Response> {
    co_return admin_error(404, "there is nothing at this address");
  };
  return nothing();
}

Task<http::Response> AdminApi::apply(http::Request& http_request) {
  return oauth::answer(services_, http_request, "registry.apply", [this](Call& call) -> Task<http::Response> {
    const auto value = json::parse(call.request.body, kStateLimits);
    auto state =
        value ? parse_state(*value)
              : Result<DesiredState, std::string>(Refused<std::string>{"the state is not well-formed JSON"});
    if (!state) {
      co_await record_refusal(call, "state_malformed");
      co_return admin_error(value ? 422 : 400, state.reason());
    }
    std::string contradiction;
    std::vector<std::string> current_hashes(state->users.size());
    co_await services_.store.read([&](store::ReadTransaction& transaction) {
      contradiction = find_contradiction(*state, transaction, services_.store.registry());
      for (size_t i = 0; i < state->users.size(); ++i) {
        const auto user = transaction.find_user(state->users[i].user.id);
        current_hashes[i] = user == nullptr ? std::string{} : user->password_hash;
      }
    });
    if (!contradiction.empty()) {
      co_await record_refusal(call, "state_contradicts_itself");
      co_return admin_error(422, contradiction);
    }
    // A password that is right already stays as it is, so that applying twice changes nothing.
    std::vector<std::string> password_hashes(state->users.size());
    for (size_t i = 0; i < state->users.size(); ++i) {
      const Secret password = state->users[i].password;
      if (password.empty()) continue;
      if (!current_hashes[i].empty()) {
        const auto verdict = co_await services_.passwords.verify(current_hashes[i], password);
        if (verdict == oauth::PasswordPool::Verdict::kRight) {
          password_hashes[i] = current_hashes[i];
          continue;
        }
      }
      const auto hashed = co_await services_.passwords.hash(password);
      if (hashed.busy) co_return oauth::unavailable_response();
      password_hashes[i] = hashed.phc;
    }
    std::vector<std::string> made_secrets;
    for (size_t i = 0; i < state->clients.size(); ++i)
      made_secrets.push_back("cs_" + make_secret_text(services_.random));

    json::Value out;
    std::string complaint;
    auto pending = call.commit([&](store::Transaction& transaction) {
      Applying applying(call, transaction, *state, password_hashes, made_secrets);
      complaint = applying.run();
      if (!complaint.empty()) throw TakenBack(complaint);
      out = {};
      out.set("changes", describe_changes(applying.changes()));
      json::Value secrets{json::Value::Object{}};
      for (const auto& [id, secret] : applying.secrets()) secrets.set(id, secret);
      out.set("secrets", std::move(secrets));
      call.audit.details.set("changes", static_cast<int64_t>(applying.changes().size()));
      call.audit.details.set("dry_run", state->dry_run);
      call.allow();
    });
    bool taken_back = false;
    try {
      co_await pending.durable();
    } catch (const TakenBack&) {
      taken_back = true;
    }
    if (taken_back) {
      co_await record_refusal(call, "id_taken");
      co_return admin_error(409, complaint);
    }
    co_return admin_answer(out);
  });
}

Task<http::Response> AdminApi::set_status(http::Request& http_request, std::string_view kind, Status status) {
  const std::string event = std::string(kind) + (status == Status::kActive ? ".resume" : ".suspend");
  return oauth::answer(services_, http_request, event, [kind, status](Call& call) -> Task<http::Response> {
    const auto value = json::parse(call.request.body);
    const std::string* id = value ? value->find_string("id") : nullptr;
    if (id == nullptr) co_return admin_error(400, "id is required");
    const std::string name = *id;
    bool found = false;
    bool changed = false;
    bool stored = true;
    size_t ended = 0;
    int64_t epoch = 0;
    // A stop starts a new epoch: what was issued before is dead, also after a return (I5).
    const auto turn = [&](auto principal) {
      found = true;
      changed = principal.status != status;
      if (status == Status::kSuspended && changed) ++principal.epoch;
      principal.status = status;
      ++principal.version;
      epoch = principal.epoch;
      return principal;
    };
    auto pending = call.commit([&](store::Transaction& transaction) {
      found = changed = false;
      ended = 0;
      stored = true;
      store::GrantFilter filter;
      if (kind == "user") {
        call.audit.user = name;
        filter.user = name;
        if (const auto user = transaction.find_user(UserId(name))) {
          const User next = turn(*user);
          if (changed) stored = transaction.put_user(next, call.now);
          if (changed && status == Status::kSuspended) transaction.end_user_sessions(next.id, call.now);
        }
      } else if (kind == "agent") {
        call.audit.agent = name;
        filter.agent = name;
        if (const auto agent = transaction.find_agent(AgentId(name))) {
          const Agent next = turn(*agent);
          if (changed) stored = transaction.put_agent(next, call.now);
        }
      } else {
        call.audit.client = name;
        filter.client = name;
        if (const auto client = transaction.find_client(ClientId(name))) {
          const Client next = turn(*client);
          if (changed) stored = transaction.put_client(next, call.now);
        }
      }
      if (!found || !stored) {
        const std::string reason = (found ? "not_stored_" : "unknown_") + std::string(kind);
        return call.deny({oauth::ErrorCode::kInvalidRequest, "", reason, {}});
      }
      if (changed && status == Status::kSuspended) {
        ended = oauth::end_grants(call, transaction, filter, std::string(kind) + "_suspended");
      }
      call.audit.details.set("changed", changed);
      call.audit.details.set("grants_ended", static_cast<int64_t>(ended));
      call.allow();
      if (changed && status == Status::kSuspended)
        oauth::record_new_epoch(call.audit, name, epoch, std::string(kind) + "_suspended");
    });
    co_await pending.durable();
    if (!found) co_return admin_error(404, "there is no " + std::string(kind) + " \"" + name + "\"");
    if (!stored) co_return admin_error(409, "\"" + name + "\" could not be changed; nothing has been");
    json::Value out;
    out.set("id", name);
    out.set("status", name_of(status));
    out.set("changed", changed);
    out.set("grants_ended", static_cast<int64_t>(ended));
    co_return admin_answer(out);
  });
}

Task<http::Response> AdminApi::revoke_grant(http::Request& http_request) {
  return oauth::answer(services_, http_request, "grant.revoke", [](Call& call) -> Task<http::Response> {
    const auto value = json::parse(call.request.body);
    const std::string* id = value ? value->find_string("id") : nullptr;
    if (id == nullptr) co_return admin_error(400, "id is required");
    const GrantId grant_id(*id);
    bool found = false;
    bool ended = false;
    auto pending = call.commit([&](store::Transaction& transaction) {
      const auto grant = transaction.find_grant(grant_id);
      found = grant != nullptr;
      if (!found) return call.deny({oauth::ErrorCode::kInvalidRequest, "", "unknown_grant", {}});
      call.audit.grant = grant->id.text();
      call.audit.user = grant->user.text();
      call.audit.client = grant->client.text();
      call.audit.agent = grant->agent.text();
      ended = oauth::end_grant(call, transaction, *grant, "revoked_by_operator");
      call.audit.details.set("changed", ended);
      call.allow();
    });
    co_await pending.durable();
    if (!found) co_return admin_error(404, "there is no grant \"" + grant_id.text() + "\"");
    json::Value out;
    out.set("id", grant_id.text());
    out.set("changed", ended);
    co_return admin_answer(out);
  });
}

Task<http::Response> AdminApi::list_grants(http::Form query) {
  store::GrantFilter filter{.user = std::string(query.get("user")),
                            .client = std::string(query.get("client")),
                            .agent = std::string(query.get("agent")),
                            .limit = limit_of(query, 200)};
  json::Value::Array list;
  const UnixTime now = services_.clock.now();
  if (query.get("live") == "1") filter.live_at = now;
  co_await services_.store.read([&](store::ReadTransaction& transaction) {
    for (const Grant& grant : transaction.list_grants(filter))
      list.push_back(describe_grant(transaction, grant, now));
  });
  json::Value out;
  out.set("grants", std::move(list));
  co_return admin_answer(out);
}

Task<http::Response> AdminApi::show_lineage(http::Form query) {
  const std::string grant_id(query.get("grant"));
  const std::string node_id(query.get("node"));
  const size_t limit = limit_of(query, 1000);
  const UnixTime now = services_.clock.now();
  json::Value out;
  bool found = false;
  co_await services_.store.read([&](store::ReadTransaction& transaction) {
    std::vector<Node> nodes;
    std::shared_ptr<const Grant> grant;
    if (!node_id.empty()) {
      if (const auto node = transaction.find_node(NodeId(node_id))) {
        nodes = transaction.list_lineage(node->root, limit);
        if (!node->grant.empty()) grant = transaction.find_grant(node->grant);
        found = true;
      }
    } else {
      grant = transaction.find_grant(GrantId(grant_id));
      if (grant) nodes = transaction.list_grant_nodes(grant->id, limit);
      found = grant != nullptr;
    }
    if (grant) out.set("grant", describe_grant(transaction, *grant, now));
    json::Value::Array list;
    for (const Node& node : nodes) list.push_back(describe_node(transaction, node, now));
    out.set("nodes", std::move(list));
  });
  if (!found) co_return admin_error(404, "there is no such grant or token");
  co_return admin_answer(out);
}

Task<http::Response> AdminApi::list_audit(http::Form query) {
  store::AuditFilter filter;
  const std::string_view after = query.get("after");
  std::from_chars(after.data(), after.data() + after.size(), filter.after);
  filter.newest_first = query.get("newest") == "1";
  const std::string_view before = query.get("before");
  std::from_chars(before.data(), before.data() + before.size(), filter.before);
  filter.grant = query.get("grant");
  filter.user = query.get("user");
  filter.agent = query.get("agent");
  filter.client = query.get("client");
  filter.event = query.get("event");
  filter.limit = limit_of(query, 200);
  std::string body = "{\"records\":[";
  // In pieces, so that others who read are not kept waiting; and not to the end of a long log: whoever asks
  // goes on from where this stopped.
  filter.most_read = kAuditPiece;
  store::AuditPage page;
  size_t seen = 0;
  bool is_first = true;
  do {
    filter.most_bytes = kAuditBytes - body.size();
    co_await services_.store.read(
        [&](store::ReadTransaction& transaction) { page = transaction.read_audit(filter); });
    for (const LoggedRecord& record : page.records) {
      if (!is_first) body.push_back(',');
      is_first = false;
      json::ObjectWriter writer(body);
      writer.add("sequence", record.sequence).add("record", record.json).add("hash", record.hash).end();
    }
    seen += page.seen;
    filter.limit -= page.records.size();
    (filter.newest_first ? filter.before : filter.after) = page.read_to;
  } while (!page.is_end && filter.limit > 0 && seen < kAuditSeen && body.size() < kAuditBytes);
  body += "],\"read_to\":" + std::to_string(page.read_to) + ",\"newest\":" + std::to_string(page.newest) +
          ",\"is_end\":" + (page.is_end ? "true" : "false") + "}";
  http::Response response = http::json_response(200, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  co_return response;
}

Task<http::Response> AdminApi::report_lineage(http::Form query) {
  LineageQuestion question;
  question.grant = query.get("grant");
  question.token = query.get("token");
  question.user = query.get("user");
  question.agent = query.get("agent");
  if (!question.is_one()) co_return admin_error(400, "ask for one of grant, token, user or agent");
  const UnixTime now = services_.clock.now();
  std::optional<json::Value> report;
  co_await services_.store.read(
      [&](store::ReadTransaction& transaction) { report = report_lineage_of(transaction, question, now); });
  if (!report) co_return admin_error(404, "nothing is known of it");
  co_return admin_answer(*report);
}

Task<http::Response> AdminApi::export_state() {
  json::Value out;
  co_await services_.store.read([&](store::ReadTransaction& transaction) {
    json::Value::Array users;
    json::Value::Array agents;
    json::Value::Array clients;
    json::Value::Array resources;
    const auto with_status = [](json::Value item, const Principal& principal) {
      item.set("status", name_of(principal.status));
      return item;
    };
    for (const auto& user : transaction.list_users())
      users.push_back(with_status(to_json(*user, Detail::kState), *user));
    for (const auto& agent : services_.store.registry().agents())
      agents.push_back(with_status(to_json(*agent, Detail::kState), *agent));
    for (const auto& client : services_.store.registry().clients())
      clients.push_back(with_status(to_json(*client, Detail::kState), *client));
    for (const auto& resource : services_.store.registry().resources())
      resources.push_back(to_json(*resource, Detail::kState));
    out.set("users", std::move(users));
    out.set("agents", std::move(agents));
    out.set("clients", std::move(clients));
    out.set("resources", std::move(resources));
  });
  co_return admin_answer(out);
}

}  // namespace behalf::console
