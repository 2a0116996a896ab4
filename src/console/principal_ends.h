// When, and why, the epochs of a principal ended: what names it and was issued before is dead since then
// (invariant I5), whether it has a record of its own or not.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "store/store.h"

namespace behalf::console {

struct PrincipalEnd {
  int64_t sequence = 0;  // in the audit log
  UnixTime at;
  std::string principal;
  std::string cause;  // "agent_suspended", "client_deleted", ...
};

// Reads the log once for each principal that is asked about, within bounds; lives as long as one report.
class PrincipalEnds {
 public:
  explicit PrincipalEnds(store::ReadTransaction& transaction) : transaction_(transaction) {}
  // The first end after that record, or, where it is 0, at or after that time. Null: none is known.
  const PrincipalEnd* first_after(const std::string& principal, int64_t sequence, UnixTime issued);
  bool is_cut() const { return is_cut_; }

 private:
  const std::vector<PrincipalEnd>& of(const std::string& principal);  // in the order of the log

  store::ReadTransaction& transaction_;
  std::map<std::string, std::vector<PrincipalEnd>> known_;
  bool is_cut_ = false;
};

}  // namespace behalf::console
