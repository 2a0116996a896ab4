// One lineage as it was lived: every code and token under one consent (or under software's own first token),
// what was refused on the way, what each was used for, and why it ended. Made of the audit log, which forgets
// nothing, and of the ledger, which knows what still lives.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "console/principal_ends.h"
#include "store/store.h"

namespace behalf::console {

class LineageTree {
 public:
  // `key` is what the log files it under: a consent, or the first node of a lineage without one.
  LineageTree(store::ReadTransaction& transaction, PrincipalEnds& ends, std::string key, UnixTime now)
      : transaction_(transaction), ends_(ends), key_(std::move(key)), now_(now) {}

  // First what the ledger has, then the newest records of the log, at most `most`; how many there were.
  void read_ledger();
  size_t read_log(size_t most);

  bool is_empty() const { return branches_.empty() && consent_.is_null() && !has_records_; }
  // Leaves what is above and below the nodes that `is_meant`, and nothing else.
  void keep_only(const std::function<bool(const std::string& id, const json::Value& described)>& is_meant);
  // {"grant", "nodes": parents before children, each with "uses" and "refused", "elsewhere", "refused",
  // "events", "cut"}.
  json::Value write();

 private:
  // Calls of one kind, as resource servers reported them.
  struct Use {
    json::Value action;
    std::string label;
    std::string resource;
    std::string reporter;
    int64_t allowed = 0;
    int64_t denied = 0;
    int64_t shadowed = 0;
    int64_t disputed = 0;
    int64_t unverified = 0;
    int64_t longest_after_end = 0;  // milliseconds
    int64_t first = 0;
    int64_t last = 0;
    std::string last_reason;  // of a denial
  };
  // Decisions of one kind that issued nothing.
  struct Decided {
    std::string event;
    std::string reason;
    int64_t count = 0;
    int64_t last = 0;
  };
  using Uses = std::map<std::string, Use>;
  using Decisions = std::map<std::string, Decided>;
  struct Branch {
    json::Value described;  // as describe_node() has it, as far as it is known
    std::string parent;
    Uses uses;
    Decisions refused;
    int64_t asked = 0;  // introspections that said it lives
    int64_t asked_last = 0;
    bool is_in_ledger = false;
    int64_t sequence = 0;  // of the record of its issue; 0: not read
    UnixTime issued;
    std::optional<UnixTime> expires;
    std::optional<UnixTime> ended;  // by a record, or a mark in the ledger, of its own
    const PrincipalEnd* by_epoch = nullptr;
  };

  void take(const json::Value& record);
  void take_issue(const json::Value& record);
  void take_end(const json::Value& record);
  void take_use(Uses& uses, const json::Value& record);
  static void take_other(Decisions& decisions, const json::Value& record);
  Branch& branch(const std::string& id, std::string_view kind);
  void settle();
  const PrincipalEnd* find_epoch_end(const Branch& here);
  std::vector<std::string> in_order() const;
  static json::Value describe(const Uses& uses);
  static json::Value describe(const Decisions& decisions);

  store::ReadTransaction& transaction_;
  PrincipalEnds& ends_;
  const std::string key_;
  const UnixTime now_;
  bool has_records_ = false;
  json::Value consent_;                     // null: there is none
  std::map<std::string, Branch> branches_;  // by id, so by time
  Uses elsewhere_;                          // of tokens that are not here
  Decisions refused_;                       // of nothing in particular
  Decisions others_;                        // that were allowed: revocations, evaluations
  json::Value::Array cut_;
};

}  // namespace behalf::console
