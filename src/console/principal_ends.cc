#include "console/principal_ends.h"

#include <algorithm>

#include "base/json.h"
#include "oauth/endings.h"

namespace behalf::console {
namespace {

constexpr size_t kMostPrincipals = 500;
constexpr size_t kMostEnds = 200;  // of one; the newest

}  // namespace

const std::vector<PrincipalEnd>& PrincipalEnds::of(const std::string& principal) {
  static const std::vector<PrincipalEnd> kUnknown;
  if (const auto at = known_.find(principal); at != known_.end()) return at->second;
  if (known_.size() >= kMostPrincipals) {
    is_cut_ = true;
    return kUnknown;
  }
  store::AuditFilter filter;
  filter.grant = oauth::filed_under(principal);
  filter.newest_first = true;
  filter.limit = kMostEnds;
  const auto records = transaction_.list_audit(filter);
  if (records.size() >= kMostEnds) is_cut_ = true;
  std::vector<PrincipalEnd>& ends = known_[principal];
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    const auto value = json::parse(record->json, kRecordLimits);
    const std::string* cause = value ? value->find_string("reason") : nullptr;
    if (cause == nullptr) continue;
    ends.push_back({record->sequence, UnixTime{value->find_integer("time").value_or(0)}, principal, *cause});
  }
  return ends;
}

const PrincipalEnd* PrincipalEnds::first_after(const std::string& principal, int64_t sequence,
                                               UnixTime issued) {
  const std::vector<PrincipalEnd>& ends = of(principal);
  const auto found = std::find_if(ends.begin(), ends.end(), [&](const PrincipalEnd& end) {
    return sequence > 0 ? end.sequence > sequence : end.at >= issued;
  });
  return found == ends.end() ? nullptr : &*found;
}

}  // namespace behalf::console
