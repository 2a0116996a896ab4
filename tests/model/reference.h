// What should happen, decided a second time: a small model of delegation, written from the specification and
// not from the server. It shares no code with src/. Where the server copies what it needs from node to node,
// the model keeps only what was done and walks the history: who stopped when, what came from what.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace behalf::reference {

using Scopes = unsigned;  // one bit a scope
using Clock = int64_t;    // whole seconds

inline constexpr int kScopes = 4;
inline constexpr int kNobody = -1;
inline constexpr int kUsers = 2;
inline constexpr int kAgents = 4;
inline constexpr int kResources = 3;
inline constexpr int kDeepest = 4;  // D-69

// The clients: two apps, the middle tier (which is resource 2), the servers of resources 0 and 1, and agent
// 0's own client.
enum : int { kApp, kOtherApp, kMiddle, kServer0, kServer1, kRuntime, kClients };

// Who acts: an agent, or a service under its client's name.
struct Hop {
  bool is_agent = true;
  int index = 0;
  bool operator==(const Hop&) const = default;
};

struct Person {
  std::optional<Scopes> entitlements;
};

struct AgentEntry {
  Scopes scopes = 0;
  unsigned clients = 0;  // one bit each
  unsigned users = 0;
  unsigned resources = 0;
  unsigned to_agents = 0;
  unsigned to_services = 0;  // one bit a client
  int depth = 0;
  std::optional<Clock> onward_lifetime;
  unsigned reenter_after = 0;  // agents
  Clock lifetime = 300;
  std::optional<Clock> refresh_lifetime;
};

struct ClientEntry {
  Scopes scopes = 0;
  int resource = kNobody;
  int agent = kNobody;
  bool acts_as_service = false;
  unsigned introduces = 0;  // agents
  std::optional<Hop> may_act;
  bool may_redeem = false, may_exchange = false, may_call_on_behalf = false, may_act_alone = false;
  Clock lifetime = 600;
  std::optional<Clock> refresh_lifetime;
};

struct ResourceEntry {
  Scopes scopes = 0;
  std::optional<Clock> lifetime;
  Scopes mapped_from = 0, mapped_to = 0;  // who holds `from` here may have `to` elsewhere (D-65)
};

struct World {
  std::array<Person, kUsers> users;
  std::array<AgentEntry, kAgents> agents;
  std::array<ClientEntry, kClients> clients;
  std::array<ResourceEntry, kResources> resources;
};

// A world from numbers; zeros make the most permissive one, so that shrinking leaves what matters.
World world_from(const std::vector<int>& knobs);
std::string describe(const World& world);
std::string describe_scopes(Scopes scopes);
std::string describe(const std::vector<Hop>& chain);

struct Consent {
  int user = 0, client = 0, agent = kNobody;
  Scopes scopes = 0;
  unsigned resources = 0;
  bool offline = false;
  int onward = 0;
  Clock ends = 0;
  int64_t given = 0;  // the event
  bool revoked = false;
};

enum class What { kCode, kAccess, kRefresh };

struct Credential {
  What what = What::kAccess;
  int consent = kNobody;
  int parent = kNobody;  // a credential
  bool is_hop = false;   // somebody acts on with what the parent stands for
  int subject_user = kNobody, subject_agent = kNobody, subject_client = kNobody;
  int client = 0;
  std::vector<Hop> chain;  // newest first
  int hops_left = 0;
  Scopes scopes = 0;
  int resource = kNobody;  // of an access token
  unsigned reach = 0;      // of a code or refresh token: the resources it may be turned into tokens for
  bool offline = false;    // of a code
  std::optional<Hop> may_act;
  Clock ends = 0;
  int64_t issued = 0;
  bool ended = false;
  std::optional<Clock> spent;
  int successor = kNobody;
};

// How the agent proves itself in a request.
struct Proof {
  int agent = kNobody;     // nobody: no actor_token
  bool is_replay = false;  // an assertion that was used before
};

struct Ask {
  int client = 0;
  std::optional<Scopes> scopes;
  int resource = kNobody;
  Proof proof;
};

class Model {
 public:
  explicit Model(World the_world) : world(std::move(the_world)) {}

  World world;  // the operator may change entries; what was issued before is judged by what they say now
  Clock now = 0;
  std::vector<Consent> consents;
  std::vector<Credential> credentials;

  bool is_active(int credential) const;  // what introspection must say
  // Of these what nobody has lost since: what introspection tells of an access token.
  Scopes told_scopes(int credential) const;
  // Whether each agent of the chain still passes on to the next, and so far.
  bool still_passed_on(const Credential& credential) const;
  bool is_up_user(int i) const { return users_[static_cast<size_t>(i)].up; }
  bool is_up_agent(int i) const { return agents_[static_cast<size_t>(i)].up; }
  bool is_up_client(int i) const { return clients_[static_cast<size_t>(i)].up; }

  void stop_user(int i) { stop(users_[static_cast<size_t>(i)]); }
  void stop_agent(int i) { stop(agents_[static_cast<size_t>(i)]); }
  void stop_client(int i) { stop(clients_[static_cast<size_t>(i)]); }
  void start_user(int i) { users_[static_cast<size_t>(i)].up = true; }
  void start_agent(int i) { agents_[static_cast<size_t>(i)].up = true; }
  void start_client(int i) { clients_[static_cast<size_t>(i)].up = true; }

  // ---- Consent ----
  struct Wish {
    int user = 0, client = 0, agent = kNobody;
    Scopes scopes = 0;
    unsigned resources = 0;
    bool offline = false;
    bool asks_anew = false;  // prompt=consent
    Scopes ticked = 0;       // what stays ticked, of what is offered
    bool onward = true;
  };
  // Whether the person is asked for use while away, and there could be any (D-31).
  bool may_refresh(const Wish& wish) const;
  // The consents that answer without a page (D-18); empty: the person is asked.
  std::vector<int> covering(const Wish& wish) const;
  // Whether a code comes of it at all.
  bool gives_code(const Wish& wish) const;
  // The code, under an earlier consent or under a new one.
  int give_code(const Wish& wish, int earlier_consent);

  // ---- Token endpoint: the credentials issued; nothing if refused. What a refusal does is done too. ----
  struct Issued {
    int access = kNobody;
    int refresh = kNobody;  // possibly one that was given before (an honest retry)
  };
  std::optional<Issued> redeem(int code, const Ask& ask, bool right_verifier, bool right_redirect);
  std::optional<Issued> refresh(int token, const Ask& ask);
  std::optional<Issued> alone(const Ask& ask);
  std::optional<Issued> exchange(int subject, const Ask& ask);
  std::optional<Issued> on_behalf_of(int subject, const Ask& ask);

  void revoke(int credential, int client);
  void revoke_consent(int consent) { consents[static_cast<size_t>(consent)].revoked = true; }

 private:
  struct Standing {
    bool up = true;
    int64_t stopped = -1;  // the last event at which it was stopped
  };
  void stop(Standing& standing) {
    if (!standing.up) return;
    standing.up = false;
    standing.stopped = ++event_;
  }
  static bool stands(const Standing& standing, int64_t since) {
    return standing.up && standing.stopped < since;
  }
  bool stands(const Hop& hop, int64_t since) const;
  bool consent_alive(const Consent& consent) const;
  bool alive(int credential) const;
  bool lineage_alive(int credential) const;
  int root_of(int credential) const;
  Scopes offered(const Wish& wish) const;
  bool agent_accepts(int agent, int client, int user, int resource) const;
  // Nothing if what is asked may not be given, or nothing is left.
  std::optional<Scopes> grantable(const std::optional<Scopes>& asked, Scopes from, const Credential& of,
                                  int client, int resource, const std::vector<Hop>& chain) const;
  Clock lifetime(int client, const std::vector<Hop>& chain, int resource) const;
  std::optional<Issued> issue_from(int source, const Ask& ask);
  // Whether the agent's proof is what the chain asks for; `swapped`: it proved another agent.
  bool proof_fits(const Credential& of, const Ask& ask, bool& swapped) const;
  std::optional<Issued> pass_on(int subject, const Ask& ask, bool as_audience);
  int add(Credential credential);

  std::array<Standing, kUsers> users_;
  std::array<Standing, kAgents> agents_;
  std::array<Standing, kClients> clients_;
  int64_t event_ = 0;
};

}  // namespace behalf::reference
