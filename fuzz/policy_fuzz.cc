// A policy, a path and a body of JSON-RPC, cut from one input at NUL bytes: reading is total, faults are
// single lines, a path with two readings is denied, explanations agree with decisions, and a deny rule in
// front allows nothing.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "behalf/authzen.h"
#include "behalf/policy.h"

namespace {

using namespace behalf::sdk;

std::string_view cut(std::string_view& rest) {
  const size_t end = rest.find('\0');
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

void require(bool holds) {
  if (!holds) std::abort();
}

bool has_two_readings(std::string_view path) {
  if (path.empty() || path[0] != '/') return true;
  for (const char* sign :
       {"//", "/./", "/../", "\\", ";", "%2f", "%2F", "%5c", "%2e", "%2E", "%00", "%25", " ", "?", "#"}) {
    if (path.find(sign) != std::string_view::npos) return true;
  }
  for (const char c : path) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F) return true;
  }
  return path.ends_with("/.") || path.ends_with("/..");
}

Delegation somebody() {
  Delegation token;
  token.issuer = "https://i";
  token.subject = "alice";
  token.client = "app";
  token.grant = "g";
  token.scopes = {"read"};
  token.chain = {{"https://i", "a", "", ""}, {"https://i", "b", "", ""}};
  return token;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(bytes), size);
  const std::string_view text = cut(rest);
  const std::string_view path = cut(rest);
  const std::string_view body = rest;

  std::vector<Policy::Fault> faults;
  const auto policy = Policy::parse(text, "policy.toml", faults);
  require((policy == nullptr) == !faults.empty());
  for (const auto& fault : faults)
    require(fault.text.find('\n') == std::string::npos && fault.text.starts_with("policy.toml:"));

  const auto calls = parse_rpc("application/json", {}, body);
  require(!calls || !calls->empty());
  require(!parse_rpc("text/plain", {}, body) && !parse_rpc("application/json", "gzip", body));
  (void)read_authzen_answer(200, "application/json", body);
  if (!policy) return 0;

  for (const auto& warning : policy->warnings()) require(warning.text.find('\n') == std::string::npos);
  const Delegation token = somebody();
  const Delegation* askers[] = {&token, nullptr};
  for (const char* method : {"GET", "POST"}) {
    const Action action{method, std::string(path), "h", calls};
    (void)authzen_requests(action, &token, 0);
    for (const Delegation* asker : askers) {
      Policy::Counters counters(64);
      const Decision decision = policy->decide(action, asker, 1'000'000, {}, &counters);
      if (has_two_readings(path)) require(!decision.allowed());
      require(!decision.allowed() || !decision.rule.empty());
      std::vector<Policy::Step> steps;
      const Decision traced = policy->trace(action, asker, 1'000'000, {}, steps);
      // One call more than a budget has is refused when it is counted.
      require(decision.effect == traced.effect || decision.effect == Effect::kTooMany);
      (void)policy->explain(action, asker, 1'000'000, {});
    }
  }
  std::vector<Policy::Fault> none;
  const auto closed = Policy::parse(
      "[[rule]]\nname = \"front of all\"\neffect = \"deny\"\n" + std::string(text), "policy.toml", none);
  if (closed)
    require(
        !closed->decide({"GET", std::string(path), "h", calls}, &token, 1'000'000, {}, nullptr).allowed());
  return 0;
}
