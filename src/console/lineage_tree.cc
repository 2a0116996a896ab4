#include "console/lineage_tree.h"

#include <algorithm>

#include "base/ordered_id.h"
#include "console/describe.h"

namespace behalf::console {
namespace {

constexpr size_t kMostNodes = 2000;
constexpr size_t kMostKinds = 100;  // of uses of one token; what is more is counted together

std::string time_of(const json::Value& record) { return rfc3339({number_of(record, "time")}); }

// "tools/call search", "GET /mail/1": one line for calls that are alike.
std::string label_of(const json::Value& action) {
  if (const json::Value* calls = action.find("calls"); calls != nullptr && calls->array() != nullptr) {
    std::string label;
    for (const json::Value& call : *calls->array()) {
      if (call.string() != nullptr) label += (label.empty() ? "" : ", ") + *call.string();
    }
    if (!label.empty()) return label;
  }
  const std::string method = text_of(action, "rpc_method");
  const std::string tool = text_of(action, "tool");
  if (!method.empty() || !tool.empty()) return method + (method.empty() || tool.empty() ? "" : " ") + tool;
  const std::string verb = text_of(action, "method");
  const std::string path = text_of(action, "path");
  return verb + (verb.empty() || path.empty() ? "" : " ") + path;
}

void set_if(json::Value& out, std::string_view name, const std::string& text) {
  if (!text.empty()) out.set(name, text);
}

}  // namespace

size_t LineageTree::read_log(size_t most) {
  store::AuditFilter filter;
  filter.grant = key_;
  filter.newest_first = true;
  filter.limit = most;
  const auto records = transaction_.list_audit(filter);
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (const auto value = json::parse(record->json, kRecordLimits)) take(*value);
  }
  has_records_ = !records.empty();
  if (records.size() >= most && records.back().sequence > 1) {
    cut_.emplace_back("records before number " + std::to_string(records.back().sequence) + " were not read");
  }
  return records.size();
}

void LineageTree::read_ledger() {
  if (const auto grant = transaction_.find_grant(GrantId(key_)))
    consent_ = describe_grant(transaction_, *grant, now_);
  const auto nodes = consent_.is_null() ? transaction_.list_lineage(NodeId(key_), kMostNodes)
                                        : transaction_.list_grant_nodes(GrantId(key_), kMostNodes);
  if (nodes.size() == kMostNodes)
    cut_.emplace_back("of the codes and tokens that are still kept, only the oldest " +
                      std::to_string(kMostNodes) + " were read");
  for (const Node& node : nodes) {
    Branch& here = branch(node.id.text(), name_of(node.kind));
    here.described = describe_node(transaction_, node, now_);
    if (node.ended_at) here.described.set("ended_at", rfc3339(*node.ended_at));
    here.ended = node.ended_at;
    here.issued = node.issued_at;
    here.expires = node.expires_at;
    here.parent = node.parent.text();
    here.is_in_ledger = true;
  }
}

LineageTree::Branch& LineageTree::branch(const std::string& id, std::string_view kind) {
  Branch& here = branches_[id];
  if (here.described.is_null()) {
    here.described.set("id", id);
    // Until the ledger or a record says it better: ids begin with when they were made.
    if (is_ordered_id(id)) here.issued = time_of_ordered_id(id);
  }
  if (!kind.empty()) here.described.set("kind", kind);
  return here;
}

void LineageTree::take(const json::Value& record) {
  const std::string event = text_of(record, "event");
  const std::string node = text_of(record, "node");
  const bool allowed = text_of(record, "outcome") == "allowed";
  if (event.starts_with("resource.")) {
    const auto at = branches_.find(node);
    return take_use(at == branches_.end() ? elsewhere_ : at->second.uses, record);
  }
  if (event.ends_with(".end")) return take_end(record);
  if (event == "introspect" && allowed) {
    const auto at = branches_.find(node);
    if (at == branches_.end()) return;
    ++at->second.asked;
    at->second.asked_last = number_of(record, "time");
    return;
  }
  const bool issues =
      event.starts_with("token.") || event == "consent.allow" || event == "authorize.stored_consent";
  if (allowed && issues && !node.empty()) return take_issue(record);
  if (!allowed) {
    // Where it happened: at the token presented, else at the one it came from.
    auto at = branches_.find(node);
    if (at == branches_.end()) at = branches_.find(text_of(record, "parent"));
    return take_other(at == branches_.end() ? refused_ : at->second.refused, record);
  }
  take_other(others_, record);
}

void LineageTree::take_issue(const json::Value& record) {
  const std::string event = text_of(record, "event");
  const std::string parent = text_of(record, "parent");
  const bool is_code = !event.starts_with("token.");
  Branch& here = branch(text_of(record, "node"), is_code ? "authorization_code" : "access_token");
  here.parent = parent;
  set_if(here.described, "parent", parent);
  set_if(here.described, "subject",
         text_of(record, "user").empty() ? text_of(record, "agent") : text_of(record, "user"));
  for (const std::string_view name : {"client", "scope", "resource"})
    set_if(here.described, name, text_of(record, name));
  if (const json::Value* chain = record.find("chain")) here.described.set("chain", *chain);
  here.described.set("issued_at", time_of(record));
  here.described.set("by", event);
  here.sequence = number_of(record, "seq");
  here.issued = {number_of(record, "time")};
  // A code that something came of was used, also when the ledger has forgotten it; so was a refresh token.
  if (event == "token.authorization_code" || event == "token.refresh_token") {
    if (const auto above = branches_.find(parent);
        above != branches_.end() && text_of(above->second.described, "status").empty())
      above->second.described.set("status", "spent");
  }
  const json::Value* details = record.find("details");
  if (details == nullptr) return;
  if (const auto expires = details->find_integer("expires_at")) {
    here.expires = UnixTime::from_seconds(*expires);
    here.described.set("expires_at", rfc3339(*here.expires));
  }
  const std::string refresh = text_of(*details, "refresh_token");
  if (refresh.empty()) return;
  Branch& beside = branch(refresh, "refresh_token");
  // A hop's refresh token hangs below its access token, any other beside it.
  const bool is_hop = event == "token.token-exchange" || event == "token.jwt-bearer";
  beside.parent = is_hop ? text_of(record, "node") : parent;
  set_if(beside.described, "parent", beside.parent);
  for (const std::string_view name : {"client", "scope"})
    set_if(beside.described, name, text_of(record, name));
  if (const json::Value* chain = record.find("chain")) beside.described.set("chain", *chain);
  beside.described.set("issued_at", time_of(record));
  beside.sequence = here.sequence;
  beside.issued = here.issued;
}

void LineageTree::take_end(const json::Value& record) {
  const std::string event = text_of(record, "event");
  const std::string id = text_of(record, "node");
  if (id.empty()) return;  // of the consent itself: the ledger keeps that for ever
  const std::string kind = event.substr(0, event.size() - std::string_view(".end").size());
  Branch& here = branch(id, kind);
  if (here.parent.empty()) here.parent = text_of(record, "parent");
  set_if(here.described, "client", text_of(record, "client"));
  if (const json::Value* chain = record.find("chain")) here.described.set("chain", *chain);
  here.described.set("status", "ended");
  here.described.set("cause", text_of(record, "reason"));
  here.described.set("ended_at", time_of(record));
  here.ended = UnixTime{number_of(record, "time")};
}

void LineageTree::take_use(Uses& uses, const json::Value& record) {
  const json::Value* found = record.find("details");
  const json::Value details = found == nullptr ? json::Value{} : *found;
  const json::Value* action = details.find("action");
  std::string label = action == nullptr ? std::string{} : label_of(*action);
  const std::string reporter = text_of(details, "reporter");
  std::string key = reporter + '\n' + label;
  if (uses.size() >= kMostKinds && !uses.contains(key)) {
    label = "other calls";
    key = '\n' + label;
  }
  Use& use = uses[key];
  const int64_t time = details.find_integer("time").value_or(number_of(record, "time"));
  if (use.first == 0) {
    use.label = label;
    use.resource = text_of(record, "resource");
    use.reporter = reporter;
    if (action != nullptr) use.action = *action;
    use.first = time;
  }
  use.first = std::min(use.first, time);
  use.last = std::max(use.last, time);
  if (text_of(record, "outcome") == "allowed") {
    ++use.allowed;
  } else {
    ++use.denied;
    use.last_reason = text_of(record, "reason");
  }
  if (flag_of(details, "shadow")) ++use.shadowed;
  if (flag_of(details, "disputed")) ++use.disputed;
  if (!flag_of(details, "verified")) ++use.unverified;
  use.longest_after_end = std::max(use.longest_after_end, number_of(details, "after_end_ms"));
}

void LineageTree::take_other(Decisions& decisions, const json::Value& record) {
  const std::string event = text_of(record, "event");
  const std::string reason = text_of(record, "reason");
  std::string key = event + '\n' + reason;
  if (decisions.size() >= kMostKinds && !decisions.contains(key)) key = "\n";
  Decided& decided = decisions[key];
  if (decided.count++ == 0 && key != "\n") {
    decided.event = event;
    decided.reason = reason;
  }
  decided.last = number_of(record, "time");
}

void LineageTree::keep_only(
    const std::function<bool(const std::string& id, const json::Value& described)>& is_meant) {
  std::set<std::string> below;
  std::set<std::string> above;
  for (const std::string& id : in_order()) {  // parents first
    const Branch& here = branches_.at(id);
    if (!below.contains(here.parent) && !is_meant(id, here.described)) continue;
    below.insert(id);
    for (std::string up = here.parent; branches_.contains(up) && above.insert(up).second;)
      up = branches_.at(up).parent;
  }
  elsewhere_.clear();
  refused_.clear();
  others_.clear();
  std::erase_if(branches_, [&](const auto& entry) {
    return !below.contains(entry.first) && !above.contains(entry.first);
  });
}

// Parents before children; each once, whatever the parents say.
std::vector<std::string> LineageTree::in_order() const {
  std::map<std::string, std::vector<std::string>> below;
  std::vector<std::string> waiting;
  for (const auto& [id, here] : branches_) {
    if (here.parent.empty() || here.parent == id || !branches_.contains(here.parent))
      waiting.push_back(id);
    else
      below[here.parent].push_back(id);
  }
  std::vector<std::string> order;
  std::reverse(waiting.begin(), waiting.end());
  while (!waiting.empty()) {
    std::string id = std::move(waiting.back());
    waiting.pop_back();
    if (const auto children = below.find(id); children != below.end())
      waiting.insert(waiting.end(), children->second.rbegin(), children->second.rend());
    order.push_back(std::move(id));
  }
  return order;
}

// The first new epoch of anybody whom it names, or its parent does, since it was issued.
const PrincipalEnd* LineageTree::find_epoch_end(const Branch& here) {
  const PrincipalEnd* first = nullptr;
  const auto take = [&](const PrincipalEnd* end) {
    if (end != nullptr && (first == nullptr || end->sequence < first->sequence)) first = end;
  };
  for (const std::string_view name : {"subject", "client"}) {
    if (const std::string id = text_of(here.described, name); !id.empty())
      take(ends_.first_after(id, here.sequence, here.issued));
  }
  if (const json::Value* chain = here.described.find("chain");
      chain != nullptr && chain->array() != nullptr) {
    for (const json::Value& hop : *chain->array()) {
      if (hop.string() != nullptr) take(ends_.first_after(*hop.string(), here.sequence, here.issued));
    }
  }
  if (const auto above = branches_.find(here.parent); above != branches_.end()) take(above->second.by_epoch);
  return first;
}

// Why, and when, it ended, where no record of its own says so, or says a later time: with an epoch of
// somebody it names. What else the ledger has forgotten has expired.
void LineageTree::settle() {
  for (const std::string& id : in_order()) {  // parents first
    Branch& here = branches_.at(id);
    const std::string status = text_of(here.described, "status");
    if (status == "spent" || (here.is_in_ledger && status != "ended")) continue;  // it was used up, or lives
    if (const PrincipalEnd* end = find_epoch_end(here); end != nullptr &&
                                                        (!here.expires || end->at < *here.expires) &&
                                                        (!here.ended || end->at < *here.ended)) {
      here.by_epoch = end;
      here.described.set("status", "ended");
      here.described.set("cause", end->cause);
      here.described.set("ended_at", rfc3339(end->at));
      here.described.set("ended_with", end->principal);
    } else if (status.empty()) {
      here.described.set("status", "ended");
      here.described.set("cause", "expired");
    }
  }
}

json::Value LineageTree::describe(const Uses& uses) {
  json::Value::Array list;
  for (const auto& [key, use] : uses) {
    json::Value item;
    item.set("what", use.label);
    if (!use.action.is_null()) item.set("action", use.action);
    set_if(item, "resource", use.resource);
    set_if(item, "reporter", use.reporter);
    item.set("count", use.allowed + use.denied);
    item.set("denied", use.denied);
    set_if(item, "last_denied_for", use.last_reason);
    for (const auto& [name, count] : {std::pair{"shadow", use.shadowed},
                                      {"disputed", use.disputed},
                                      {"unverified", use.unverified},
                                      {"after_end_ms", use.longest_after_end}}) {
      if (count > 0) item.set(name, count);
    }
    item.set("first", rfc3339({use.first}));
    item.set("last", rfc3339({use.last}));
    list.push_back(std::move(item));
  }
  return list;
}

json::Value LineageTree::describe(const Decisions& decisions) {
  json::Value::Array list;
  for (const auto& [key, decided] : decisions) {
    json::Value item;
    item.set("event", decided.event.empty() ? std::string("others") : decided.event);
    set_if(item, "reason", decided.reason);
    item.set("count", decided.count);
    item.set("last", rfc3339({decided.last}));
    list.push_back(std::move(item));
  }
  return list;
}

json::Value LineageTree::write() {
  settle();
  json::Value out;
  if (consent_.is_null())
    out.set("root", key_);
  else
    out.set("grant", consent_);
  json::Value::Array nodes;
  for (const std::string& id : in_order()) {
    const Branch& here = branches_.at(id);
    json::Value item = here.described;
    if (here.asked > 0) {
      json::Value asked;
      asked.set("count", here.asked);
      asked.set("last", rfc3339({here.asked_last}));
      item.set("introspected", std::move(asked));
    }
    if (!here.uses.empty()) item.set("uses", describe(here.uses));
    if (!here.refused.empty()) item.set("refused", describe(here.refused));
    nodes.push_back(std::move(item));
  }
  out.set("nodes", std::move(nodes));
  if (!elsewhere_.empty()) out.set("elsewhere", describe(elsewhere_));
  if (!refused_.empty()) out.set("refused", describe(refused_));
  if (!others_.empty()) out.set("events", describe(others_));
  if (!cut_.empty()) out.set("cut", cut_);
  return out;
}

}  // namespace behalf::console
