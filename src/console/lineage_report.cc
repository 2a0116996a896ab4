#include "console/lineage_report.h"

#include <algorithm>
#include <set>

#include "console/lineage_tree.h"
#include "console/principal_ends.h"
#include "oauth/endings.h"

namespace behalf::console {
namespace {

// Of one lineage. The newest are read: they say what happened last.
constexpr size_t kMostOfOne = 10'000;
// Where no index helps, so much of the log is looked at and no more.
constexpr size_t kMostSearched = 5'000;
// Between a token's id, made when the request came, and its record, written when it was decided.
constexpr Seconds kBetween{60};

class Search {
 public:
  explicit Search(store::ReadTransaction& transaction) : transaction_(transaction) {}

  // What the log files this code or token under; empty: it never was one.
  std::string lineage_of(const std::string& node_id) {
    if (!is_ordered_id(node_id)) return {};
    if (const auto node = transaction_.find_node(NodeId(node_id)))
      return node->grant.empty() ? node->root.text() : node->grant.text();
    // It was purged. Its id says when it was made, and the log is in the order of time.
    const UnixTime made = time_of_ordered_id(node_id);
    store::AuditFilter filter;
    filter.after = first_since(made - kBetween) - 1;
    filter.limit = kMostSearched;
    for (const LoggedRecord& record : transaction_.list_audit(filter)) {
      if (record.lineage.empty() || record.json.find(node_id) == std::string::npos) continue;
      const auto value = json::parse(record.json, kRecordLimits);
      if (!value) continue;
      const json::Value* details = value->find("details");
      const bool is_made = text_of(*value, "node") == node_id ||
                           (details != nullptr && text_of(*details, "refresh_token") == node_id);
      if (is_made) return record.lineage;
      if (value->find_integer("time").value_or(0) > (made + kBetween).milliseconds) break;
    }
    return {};
  }

  // Every lineage in the newest part of the log in which this agent acted or was asked for.
  std::set<std::string> lineages_with(const std::string& agent) {
    store::AuditFilter filter;
    filter.newest_first = true;
    filter.agent = agent;
    filter.limit = kMostSearched;
    filter.most_read = kMostSearched;
    std::set<std::string> found;
    for (const LoggedRecord& record : transaction_.list_audit(filter)) {
      if (!record.lineage.empty() && !oauth::is_filed_under_principal(record.lineage))
        found.insert(record.lineage);
    }
    return found;
  }

  int64_t newest() {
    store::AuditFilter filter;
    filter.newest_first = true;
    filter.limit = 1;
    const auto records = transaction_.list_audit(filter);
    return records.empty() ? 0 : records.front().sequence;
  }

 private:
  // The number of the first record of that time or later: found by halving, for records have numbers without
  // gaps.
  int64_t first_since(UnixTime time) {
    int64_t low = 1;
    int64_t high = newest() + 1;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      store::AuditFilter filter;
      filter.after = middle - 1;
      filter.limit = 1;
      const auto records = transaction_.list_audit(filter);
      const auto value = records.empty() ? std::nullopt : json::parse(records.front().json, kRecordLimits);
      if (value && value->find_integer("time").value_or(0) < time.milliseconds)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  store::ReadTransaction& transaction_;
};

bool has_in_chain(const json::Value& described, const std::string& agent) {
  if (text_of(described, "subject") == agent) return true;
  const json::Value* chain = described.find("chain");
  if (chain == nullptr || chain->array() == nullptr) return false;
  return std::any_of(chain->array()->begin(), chain->array()->end(), [&](const json::Value& hop) {
    return hop.string() != nullptr && *hop.string() == agent;
  });
}

class Report {
 public:
  Report(store::ReadTransaction& transaction, const LineageQuestion& question, UnixTime now)
      : transaction_(transaction), question_(question), now_(now), search_(transaction), ends_(transaction) {}

  std::optional<json::Value> write() {
    std::vector<std::string> keys = find();
    json::Value::Array lineages;
    if (keys.size() > question_.most_lineages) {
      cut_.emplace_back("only the newest " + std::to_string(question_.most_lineages) + " of at least " +
                        std::to_string(keys.size()) + " lineages are shown");
      keys.resize(question_.most_lineages);
    }
    size_t left = question_.most_records;
    for (const std::string& key : keys) {
      if (left == 0) {
        cut_.emplace_back("after " + std::to_string(question_.most_records) +
                          " records no further lineage was read");
        break;
      }
      LineageTree tree(transaction_, ends_, key, now_);
      tree.read_ledger();
      left -= tree.read_log(std::min(left, kMostOfOne));
      if (tree.is_empty()) continue;
      if (!question_.token.empty())
        tree.keep_only([&](const std::string& id, const json::Value&) { return id == question_.token; });
      if (!question_.agent.empty()) {
        tree.keep_only([&](const std::string&, const json::Value& described) {
          return has_in_chain(described, question_.agent);
        });
      }
      lineages.push_back(tree.write());
    }
    if (lineages.empty()) return std::nullopt;
    if (ends_.is_cut()) cut_.emplace_back("of some whom tokens name, not every suspension was read");
    json::Value out;
    out.set("lineages", std::move(lineages));
    if (!cut_.empty()) out.set("cut", std::move(cut_));
    return out;
  }

 private:
  // Newest first.
  std::vector<std::string> find() {
    if (oauth::is_filed_under_principal(question_.grant)) return {};
    if (!question_.grant.empty()) return {question_.grant};
    if (!question_.token.empty()) {
      std::string key = search_.lineage_of(question_.token);
      return key.empty() ? std::vector<std::string>{} : std::vector<std::string>{std::move(key)};
    }
    std::set<std::string> found;
    store::GrantFilter filter;
    filter.user = question_.user;
    filter.agent = question_.agent;
    filter.limit = question_.most_lineages + 1;
    for (const Grant& grant : transaction_.list_grants(filter)) found.insert(grant.id.text());
    if (!question_.agent.empty()) {
      found.merge(search_.lineages_with(question_.agent));
      if (search_.newest() > static_cast<int64_t>(kMostSearched)) {
        cut_.emplace_back("where others passed on to it, or it acted for itself, only the newest " +
                          std::to_string(kMostSearched) + " records were searched");
      }
    }
    return {found.rbegin(), found.rend()};
  }

  store::ReadTransaction& transaction_;
  const LineageQuestion& question_;
  const UnixTime now_;
  Search search_;
  PrincipalEnds ends_;
  json::Value::Array cut_;
};

}  // namespace

std::optional<json::Value> report_lineage_of(store::ReadTransaction& transaction,
                                             const LineageQuestion& question, UnixTime now) {
  return Report(transaction, question, now).write();
}

}  // namespace behalf::console
