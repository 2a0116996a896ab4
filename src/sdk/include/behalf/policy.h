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

#include "behalf/authzen.h"
#include "behalf/delegation.h"
#include "behalf/export.h"
#include "behalf/feed.h"

namespace behalf::sdk {

// One call in a JSON-RPC body, as an MCP server will act on it.
struct RpcCall {
  std::string method;  // "tools/call"; "<response>" for an answer to a call of the server's
  std::string tool;    // `params.name` of tools/call; empty otherwise
};

// What is asked for, in the bytes the API will act on.
struct Action {
  std::string method;  // HTTP, as sent: methods are case-sensitive
  std::string path;    // raw, without the query, percent-encoding as sent
  std::string host{};  // from the configuration, never from the request
  // JSON-RPC calls in the body (parse_rpc); nothing: the body was not looked at or is none. A rule that names
  // methods or tools denies then. A batch is allowed if each of its calls would be.
  std::optional<std::vector<RpcCall>> calls{};
};

enum class Effect {
  kAllow,
  kTokenMissing,       // no token, and it would not do without; `scopes`: what would be needed, if known
  kActorMissing,       // an agent must act here, and none does
  kActorUnauthorized,  // another agent (or none) may act here
  kInsufficientScope,  // `scopes` says all that is needed
  kStepUp,             // `acr`, `max_age`
  kTooMany,            // rate or budget; `retry_after` seconds, 0: waiting does not help
  kDenied,             // a rule says no, or none matches
};
// "allow", "token_missing", "actor_missing", "actor_unauthorized", "insufficient_scope", "step_up",
// "too_many", "denied".
BEHALF_PUBLIC std::string_view name_of(Effect effect);

struct Decision {
  Effect effect = Effect::kDenied;
  std::string rule;    // the name of the rule that decided; empty: none did
  std::string reason;  // a sentence for the caller, says no more than the caller may know
  std::string detail;  // for records and `explain`: which condition decided
  std::vector<std::string> scopes;
  std::string acr;  // acceptable values, separated by spaces
  std::optional<int64_t> max_age;
  int64_t retry_after = 0;
  std::string policy_version;  // SHA-256 of the file, first 12 hex digits
  std::vector<std::string>
      forbidden_members;  // of the chain: logged, deciding only where a rule forbids them
  // Allowed so far, and the policy wants the external decision point to agree (authzen.h).
  bool needs_external = false;
  // To these of the action's calls, by their place; empty: to all there is.
  std::vector<size_t> external_calls{};
  // What rates and budgets have counted for it; null: nothing. For Counters::give_back().
  struct Taken;
  std::shared_ptr<const Taken> taken{};
  bool allowed() const { return effect == Effect::kAllow; }
};

// Looks up what the registry says of an agent (Feed::agent); null where nothing is known.
using AgentLookup = std::function<std::shared_ptr<const AgentInfo>(std::string_view id)>;

// Immutable once read; share it between threads, swap the pointer to reload.
class BEHALF_PUBLIC Policy {
 public:
  struct Fault {
    std::string text;  // "policy.toml:12: ..." one line
    size_t line = 0;
  };
  // Reads the file; null and the faults, all that were found, in order of lines.
  static std::shared_ptr<const Policy> load(const std::string& path, std::vector<Fault>& faults);
  static std::shared_ptr<const Policy> parse(std::string_view text, const std::string& name,
                                             std::vector<Fault>& faults);
  ~Policy();

  // Rules that can never decide because earlier ones take all they match, and the like.
  std::vector<Fault> warnings() const;

  // What each rule said on the way to the decision; for people (`explain`) and scripts.
  struct Step {
    std::string rule;
    size_t line = 0;      // in the file
    std::string outcome;  // "allows", "denies", "refuses", "not for this", "no match"
    std::string why;
    std::string call;  // which one of a batch; empty: the request
  };
  class Counters;
  // `delegation` null: no token. Pure but for rates and budgets, which `counters` keeps; null: a rule that
  // has them denies.
  Decision decide(const Action& action, const Delegation* delegation, Milliseconds now,
                  const AgentLookup& agents, Counters* counters) const;
  // The same decision with its steps; counts nothing, takes rates and budgets as not used up. A token that is
  // bound to a key is denied: no Verifier would let it come so far.
  Decision trace(const Action& action, const Delegation* delegation, Milliseconds now,
                 const AgentLookup& agents, std::vector<Step>& steps) const;
  // The same as text: each rule, and the condition it failed on.
  std::string explain(const Action& action, const Delegation* delegation, Milliseconds now,
                      const AgentLookup& agents) const;
  // True if some rule for this path looks at the body: then the caller must parse it or leave `calls` empty.
  bool needs_body(std::string_view method, std::string_view path) const;
  // True if some rule looks at the calls sent to this path, whatever the HTTP method. Nothing may be
  // tunnelled there (`Upgrade`): nobody would look at what it carries.
  bool looks_at_calls(std::string_view path) const;
  // The external decision point that must agree to what rules allow; null: none.
  const Authzen* authzen() const;
  const std::string& version() const;
  size_t rule_count() const;

 private:
  struct Impl;
  explicit Policy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// How often each actor, grant and person has been let through. Thread-safe, bounded memory; survives a reload
// of the policy (it remembers by the names of rules), and a restart if it is saved. When it is full, what has
// no counter yet is refused: forgetting would give budgets back.
class BEHALF_PUBLIC Policy::Counters {
 public:
  explicit Counters(size_t max_entries = 262'144);  // about 64 bytes each
  ~Counters();
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  // For a call that was allowed and then refused for another reason: it counts no more.
  void give_back(const Decision& decision, Milliseconds now);

  size_t size() const;
  // All that still means something, as opaque bytes; `restore` adds it to what is there. False: not such
  // bytes.
  std::string save(Milliseconds now) const;
  bool restore(std::string_view saved);

 private:
  friend class Policy;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The calls in a JSON-RPC body (2.0, single or batch; MCP's tools/call names its tool). Nothing if it is not
// exactly that: wrong media type, compressed, doubled members, trailing bytes, an empty batch. `content_type`
// and `content_encoding` are the header fields' values; a caller that saw such a field twice must not ask.
BEHALF_PUBLIC std::optional<std::vector<RpcCall>> parse_rpc(std::string_view content_type,
                                                            std::string_view content_encoding,
                                                            std::string_view body);

}  // namespace behalf::sdk
