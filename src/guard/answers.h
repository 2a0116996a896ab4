// What the guard says: to a proxy that asked, to a client in front, and at its own addresses.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guard/asked.h"
#include "guard/config.h"
#include "guard/judge.h"
#include "http/message.h"

namespace behalf::guard {

using IdentityHeaders = std::vector<std::pair<std::string, std::string>>;

// To a proxy: yes with the identity headers, no in the words it can pass on. nginx understands 200, 401 and
// 403 alone: there, what it really is stands in `Behalf-Status` and `Behalf-Error`.
http::Response decided(Dialect dialect, const Ruling& ruling, const IdentityHeaders& identity);
// To a client: the challenge.
http::Response refusal(const Ruling& ruling);
// Says nothing about the policy.
http::Response not_asked(NotAsked reason);
// The ruling where no record could be kept: 503.
Ruling unkept();

// RFC 9728 §2.
std::string resource_metadata(const Settings& settings);
http::Response public_json(std::string body);
// A browser asks before it reads the metadata from another origin's page (Fetch §4.8).
http::Response metadata_preflight();

struct Readiness {
  bool keys_missing = false;
  bool revocations_stale = false;
  bool serves_stale = false;
  bool policy_fault = false;
  bool evidence_full = false;
  std::string policy;  // version in force
  std::string feed_trouble;
  uint64_t dropped = 0;
  size_t waiting = 0;               // bytes of evidence
  size_t revoked = 0;               // items known
  uint64_t without_credential = 0;  // questions of who did not show the proxy's secret
};
// 503 where nothing would be allowed; a faulty new policy alone is told, but the old one serves.
http::Response ready_page(const Readiness& state, bool with_details);

}  // namespace behalf::guard
