// Token Status Lists (draft-ietf-oauth-status-list): whoever cannot follow the revocation feed fetches, now
// and then, one bit a token. For resources with `status_list`.
//
// One bit: 0 VALID, 1 INVALID. SUSPENDED is never said, because a suspension here ends what was issued for
// good (docs/decisions/0005); a verifier told that it may come back would wait in vain.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/task.h"
#include "http/message.h"
#include "oauth/services.h"

namespace behalf::oauth {

// A place nobody can tell the order of issue from: `number` is counted through all lists, and within one list
// they are dealt out by a permutation only this server knows. Each number has its own place.
int64_t scatter_status_place(const Keys& keys, int64_t number);

// {"status_list":{"idx":...,"uri":...}}, the claim `status` of a token in that place.
std::string status_claim(const std::string& issuer, int64_t place);

class StatusLists {
 public:
  static constexpr Seconds kTtl{60};

  explicit StatusLists(Services& services) : services_(services) {}

  // GET /statuslists?list=<n>: the list as a signed JWT; without `list`, where all of them are.
  Task<http::Response> serve(http::Request& request);

 private:
  struct Making;
  struct Waiting;
  struct Made {
    std::string token;
    int64_t newest = -1;             // revocation when it was made
    int64_t at = 0;                  // steady milliseconds
    std::shared_ptr<Making> making;  // the next one, where somebody is about it
  };
  Task<http::Response> aggregation();
  Task<http::Response> one(int64_t list);
  Task<std::string> make(int64_t list, UnixTime now);

  Services& services_;
  std::mutex mutex_;
  std::map<int64_t, Made> made_;  // guarded by mutex_
};

}  // namespace behalf::oauth
