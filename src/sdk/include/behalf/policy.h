// Who may do what at an API: rules over method, path, tool, person, client and the chain of agents, read from
// a declarative file, deny by default (docs/policy.md).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "behalf/delegation.h"
#include "behalf/feed.h"

namespace behalf::sdk {

// One call of a JSON-RPC batch, as an MCP server will act on it.
struct RpcCall {
  std::string method;  // "tools/call"
  std::string tool;    // `params.name` of tools/call; empty otherwise
};

// What is asked for, in the bytes the API will act on.
struct Action {
  std::string method;  // HTTP, as sent: methods are case-sensitive
  std::string path;    // raw, without the query, percent-encoding as sent
  std::string host;    // from the configuration, never from the request
  // JSON-RPC calls in the body; nothing: the body was not looked at or is none. A rule that names methods or
  // tools denies then.
  std::optional<std::vector<RpcCall>> calls;
};

enum class Effect {
  kAllow,
  kTokenMissing,       // no token, and the matching rule needs one
  kActorMissing,       // an agent must act here, and none does
  kActorUnauthorized,  // another agent (or none) may act here
  kInsufficientScope,  // `scopes` says what is needed
  kStepUp,             // `acr`, `max_age`
  kTooMany,            // rate or budget; `retry_after` seconds
  kDenied,             // a rule says no, or none matches
};
std::string_view name_of(Effect effect);

struct Decision {
  Effect effect = Effect::kDenied;
  std::string rule;    // its name; empty: no rule matched
  std::string reason;  // a sentence for the caller, says no more than the caller may know
  std::string detail;  // for records and `explain`: which condition decided
  std::vector<std::string> scopes;
  std::string acr;
  std::optional<int64_t> max_age;
  int64_t retry_after = 0;
  std::string policy_version;  // SHA-256 of the file, first 12 hex digits
  std::vector<std::string> forbidden_members;  // of the chain: logged, deciding only where a rule forbids them
  bool allowed() const { return effect == Effect::kAllow; }
};

// Looks up what the registry says of an agent (Feed::agent); null where nothing is known.
using AgentLookup = std::function<std::shared_ptr<const AgentInfo>(std::string_view id)>;

class Policy {
 public:
  struct Fault {
    std::string text;  // "policy.toml:12: ..." one line
  };
  // Reads the file; null and the faults, all that were found, in order of lines.
  static std::shared_ptr<const Policy> load(const std::string& path, std::vector<Fault>& faults);
  static std::shared_ptr<const Policy> parse(std::string_view text, const std::string& name,
                                             std::vector<Fault>& faults);
  ~Policy();

  // Rules that can never decide because earlier ones take all they match, and the like.
  std::vector<Fault> warnings() const;
  // `delegation` null: no token. Pure but for rates and budgets, which `counters` keeps.
  class Counters;
  Decision decide(const Action& action, const Delegation* delegation, Milliseconds now,
                  const AgentLookup& agents, Counters* counters) const;
  // The same, told step by step: each rule, and the condition it failed on.
  std::string explain(const Action& action, const Delegation* delegation, Milliseconds now,
                      const AgentLookup& agents) const;
  // True if some rule for this path looks at the body: then the caller must parse it or deny.
  bool needs_body(std::string_view method, std::string_view path) const;
  const std::string& version() const;

 private:
  struct Impl;
  explicit Policy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// How often each actor, grant and person has been let through. Thread-safe, bounded memory; survives a reload
// of the policy.
class Policy::Counters {
 public:
  Counters();
  ~Counters();

 private:
  friend class Policy;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The calls in a JSON-RPC body (2.0, single or batch; MCP's tools/call names its tool). Nothing if it is not
// exactly that: wrong media type, compressed, doubled members, trailing bytes, an empty batch.
std::optional<std::vector<RpcCall>> parse_rpc(std::string_view content_type, std::string_view content_encoding,
                                              std::string_view body);

}  // namespace behalf::sdk
