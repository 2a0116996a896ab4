// What one caller may cost everybody else: failed attempts, sign-ins, prompts, and requests that wait for a
// person.
//
// Token buckets in a table of fixed size, found by a keyed hash of who is counted; the steady clock fills
// them, so that no change of the wall clock frees or locks anybody. What is counted is chosen so that a
// stranger cannot lock out the one he pretends to be: what is not yet proved is counted together with the
// address it came from. Kept in memory: a restart forgets it, and two servers over one store count apart.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.h"
#include "base/time.h"
#include "crypto/hash.h"

namespace behalf::oauth {

// 0 turns a limit off.
struct LimitSettings {
  uint32_t failures = 100;             // refusals in a row that a client may have at the token endpoint ...
  uint32_t failures_per_minute = 300;  // ... and how fast that is forgiven
  uint32_t sign_in_failures = 10;      // the same for wrong passwords of one account from one address
  uint32_t sign_in_failures_per_minute = 6;
  uint32_t prompts_per_hour = 50;     // consent pages for one person, client and agent that were not allowed
  uint32_t pushed_requests = 20'000;  // of one client, in the time that one lives
  uint32_t open_requests = 10'000;    // authorization requests from one address without a sign-in, likewise
  uint32_t sessions_per_user = 100;   // the oldest goes
};

class Limits {
 public:
  enum class Kind : uint8_t {
    kClient,         // refusals after the client proved itself: client (and address, if public)
    kStranger,       // refusals before: client named, and address
    kAccount,        // wrong passwords: user name and address
    kAddress,        // wrong passwords: address
    kPrompt,         // user, client, agent
    kPushedRequest,  // client
    kOpenRequest,    // address
  };
  using Who = std::initializer_list<std::string_view>;

  Limits(const LimitSettings& settings, Seconds pushed_request_life, Seconds interaction_life, Clock& clock,
         Random& random);

  // How long to wait before the next; nothing if there is room.
  std::optional<Seconds> wait(Kind kind, Who who);
  // Counts one.
  void charge(Kind kind, Who who);
  // Takes one back.
  void refund(Kind kind, Who who);

  // Refusals by limit are written to the log at most ten times a second, for the log itself must not be the
  // way to fill the disk: how many went unwritten before this one, or nothing if this one does, too.
  std::optional<uint64_t> admit_record();

 private:
  // A bucket as the moment at which it is empty again (the generic cell rate algorithm): one number says it
  // all.
  struct Bucket {
    uint64_t who = 0;
    int64_t empty_at = 0;  // microseconds of the steady clock
  };
  struct Rate {
    int64_t interval = 0;  // microseconds until one is forgiven; 0: no limit
    int64_t room = 0;      // microseconds of debt that are allowed
  };
  static constexpr size_t kWays = 4;
  static constexpr size_t kSets = 8192;  // 512 KiB in all, touched as it is used

  static Rate rate_of(uint32_t burst, uint32_t count, Seconds per);
  uint64_t name(Kind kind, Who who) const;
  Bucket* find(uint64_t who);
  Bucket& find_or_replace(uint64_t who);

  Clock& clock_;
  std::array<Rate, 7> rates_;
  crypto::Fingerprint fingerprint_;
  std::atomic<bool> is_empty_{true};  // nothing was ever counted: the honest case costs one load
  std::mutex mutex_;
  std::vector<Bucket> buckets_;   // guarded by mutex_
  int64_t records_empty_at_ = 0;  // guarded by mutex_
  uint64_t unrecorded_ = 0;       // guarded by mutex_
};

// What is taken for one caller: an IPv4 address, or the /64 network of an IPv6 address.
std::string network_of(std::string_view peer);

}  // namespace behalf::oauth
