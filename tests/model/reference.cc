#include "model/reference.h"

#include <algorithm>
#include <sstream>

namespace behalf::reference {
namespace {

bool has(unsigned set, int bit) { return bit >= 0 && ((set >> bit) & 1U) != 0; }
bool within(unsigned part, unsigned whole) { return (part & ~whole) == 0; }

// Numbers one after the other; zero where there are no more.
class Knobs {
 public:
  explicit Knobs(const std::vector<int>& values) : values_(values) {}
  unsigned next() { return at_ < values_.size() ? static_cast<unsigned>(values_[at_++]) : 0U; }
  // Everything, or in one case of eight everything but some.
  unsigned all_but(unsigned everything) {
    const unsigned value = next();
    return value < 224 ? everything : everything & ~(value & 31U);
  }
  // Nothing, or in one case of four some of it.
  unsigned some(unsigned everything) {
    const unsigned value = next();
    return value < 192 ? 0U : everything & value;
  }
  std::optional<Clock> time(std::initializer_list<Clock> choices) {
    const unsigned value = next();
    if (value < 192) return std::nullopt;
    return *(choices.begin() + (value & 63U) % choices.size());
  }

 private:
  const std::vector<int>& values_;
  size_t at_ = 0;
};

constexpr Scopes kAllScopes = (1U << kScopes) - 1;
constexpr Clock kGrantLifetime = 30 * 86400;
constexpr Clock kCodeLifetime = 60;     // D-29
constexpr Clock kRetryWindow = 60;      // of a refresh
constexpr Clock kLongestAccess = 3600;  // D-29

}  // namespace

World world_from(const std::vector<int>& numbers) {
  Knobs knobs(numbers);
  World world;
  for (Person& person : world.users) {
    const Scopes scopes = knobs.all_but(kAllScopes);
    if (scopes != kAllScopes) person.entitlements = scopes;
  }
  for (int i = 0; i < kAgents; ++i) {
    AgentEntry& agent = world.agents[static_cast<size_t>(i)];
    agent.scopes = knobs.all_but(kAllScopes);
    agent.clients = knobs.all_but((1U << kClients) - 1);
    agent.users = knobs.all_but((1U << kUsers) - 1);
    agent.resources = knobs.all_but((1U << kResources) - 1);
    agent.to_agents = knobs.all_but((1U << kAgents) - 1) & ~(1U << i);
    agent.to_services = knobs.all_but((1U << kMiddle) | (1U << kServer0) | (1U << kServer1));
    const unsigned depth = knobs.next();
    agent.depth = depth < 192 ? 3 : static_cast<int>(depth % 4);
    agent.onward_lifetime = knobs.time({60, 120, 500});
    agent.reenter_after = knobs.some((1U << kAgents) - 1) & ~(1U << i);
    agent.lifetime = knobs.time({90, 600, 3600}).value_or(300);
    const auto refresh = knobs.time({600, 30, 7 * 86400});
    agent.refresh_lifetime = refresh ? refresh : std::optional<Clock>(8 * 3600);
    if (knobs.next() >= 232) agent.refresh_lifetime.reset();
  }
  for (int i = 0; i < kClients; ++i) {
    ClientEntry& client = world.clients[static_cast<size_t>(i)];
    client.scopes = knobs.all_but(kAllScopes);
    if (client.scopes == 0) client.scopes = kAllScopes;
    client.introduces = knobs.some((1U << kAgents) - 1);
    client.acts_as_service = (knobs.next() & 0x80U) != 0;
    client.lifetime = knobs.time({60, 3600}).value_or(600);
    const unsigned named = knobs.next();
    if (i <= kOtherApp && named >= 224U) {
      client.may_act =
          (named & 1U) != 0 ? Hop{true, static_cast<int>((named >> 1) % kAgents)} : Hop{false, kServer0};
    }
    const unsigned agent = knobs.next();
    if (i == kMiddle && agent >= 160U) client.agent = 3;
    if (i == kRuntime) client.agent = 0;
    const auto refresh = knobs.time({3600, 90});
    if (i <= kOtherApp) client.refresh_lifetime = refresh ? refresh : std::optional<Clock>(30 * 86400);
    client.may_redeem = i <= kOtherApp;
    client.may_exchange = true;
    client.may_act_alone = i == kApp || i == kMiddle || i == kRuntime;
    client.may_call_on_behalf = i == kMiddle || i == kServer0;
  }
  world.clients[kMiddle].resource = 2;
  world.clients[kServer0].resource = 0;
  world.clients[kServer1].resource = 1;
  world.resources[0].scopes = 0b0111;
  world.resources[1].scopes = 0b1110;
  world.resources[2].scopes = 0b0101;
  for (ResourceEntry& resource : world.resources) resource.lifetime = knobs.time({45, 400});
  if ((knobs.next() & 0x80U) != 0) {
    world.resources[2].mapped_from = 0b0001;
    world.resources[2].mapped_to = 0b1010;
  }
  return world;
}

std::string describe_scopes(Scopes scopes) {
  std::string text;
  for (int i = 0; i < kScopes; ++i) {
    if (has(scopes, i)) text += (text.empty() ? "s" : " s") + std::to_string(i);
  }
  return text;
}

std::string describe(const std::vector<Hop>& chain) {
  std::string text = "[";
  for (const Hop& hop : chain)
    text += (text.size() > 1 ? " " : "") + std::string(hop.is_agent ? "agent" : "service") +
            std::to_string(hop.index);
  return text + "]";
}

std::string describe(const World& world) {
  std::ostringstream out;
  const auto bits = [](unsigned set) {
    std::string text = "{";
    for (int i = 0; i < 8; ++i) {
      if (has(set, i)) text += (text.size() > 1 ? "," : "") + std::to_string(i);
    }
    return text + "}";
  };
  const auto time = [](const std::optional<Clock>& value) {
    return value ? std::to_string(*value) + "s" : std::string("-");
  };
  for (int i = 0; i < kUsers; ++i) {
    const auto& user = world.users[static_cast<size_t>(i)];
    out << "user" << i << " entitled to "
        << (user.entitlements ? "[" + describe_scopes(*user.entitlements) + "]" : "everything") << "\n";
  }
  for (int i = 0; i < kAgents; ++i) {
    const auto& agent = world.agents[static_cast<size_t>(i)];
    out << "agent" << i << " scopes [" << describe_scopes(agent.scopes) << "] clients " << bits(agent.clients)
        << " users " << bits(agent.users) << " resources " << bits(agent.resources) << " to agents "
        << bits(agent.to_agents) << " services " << bits(agent.to_services) << " depth " << agent.depth
        << " onward " << time(agent.onward_lifetime) << " reenters after " << bits(agent.reenter_after)
        << " life " << agent.lifetime << "s refresh " << time(agent.refresh_lifetime) << "\n";
  }
  for (int i = 0; i < kClients; ++i) {
    const auto& client = world.clients[static_cast<size_t>(i)];
    out << "client" << i << " scopes [" << describe_scopes(client.scopes) << "]";
    if (client.resource != kNobody) out << " is resource" << client.resource;
    if (client.agent != kNobody) out << " is agent" << client.agent;
    if (client.acts_as_service) out << " acts as service";
    if (client.may_act) out << " may_act " << describe({*client.may_act});
    out << " introduces " << bits(client.introduces) << " life " << client.lifetime << "s refresh "
        << time(client.refresh_lifetime) << "\n";
  }
  for (int i = 0; i < kResources; ++i) {
    const auto& resource = world.resources[static_cast<size_t>(i)];
    out << "resource" << i << " scopes [" << describe_scopes(resource.scopes) << "] life "
        << time(resource.lifetime);
    if (resource.mapped_from != 0)
      out << " maps [" << describe_scopes(resource.mapped_from) << "] to ["
          << describe_scopes(resource.mapped_to) << "]";
    out << "\n";
  }
  return out.str();
}

// ---- What is still alive (I5) ----

bool Model::stands(const Hop& hop, int64_t since) const {
  const auto index = static_cast<size_t>(hop.index);
  return stands(hop.is_agent ? agents_[index] : clients_[index], since);
}

bool Model::consent_alive(const Consent& consent) const {
  return !consent.revoked && now < consent.ends &&
         stands(users_[static_cast<size_t>(consent.user)], consent.given) &&
         stands(clients_[static_cast<size_t>(consent.client)], consent.given) &&
         (consent.agent == kNobody || stands(agents_[static_cast<size_t>(consent.agent)], consent.given));
}

// Nobody who had a part in it was stopped since, at any step of its history, and nothing above was ended.
bool Model::lineage_alive(int credential) const {
  for (int at = credential; at != kNobody; at = credentials[static_cast<size_t>(at)].parent) {
    const Credential& step = credentials[static_cast<size_t>(at)];
    if (step.ended) return false;
    if (!stands(clients_[static_cast<size_t>(step.client)], step.issued)) return false;
    if (step.subject_user != kNobody && !stands(users_[static_cast<size_t>(step.subject_user)], step.issued))
      return false;
    if (step.subject_agent != kNobody &&
        !stands(agents_[static_cast<size_t>(step.subject_agent)], step.issued))
      return false;
    if (step.subject_client != kNobody &&
        !stands(clients_[static_cast<size_t>(step.subject_client)], step.issued))
      return false;
    for (const Hop& hop : step.chain) {
      if (!stands(hop, step.issued)) return false;
    }
  }
  const int consent = credentials[static_cast<size_t>(credential)].consent;
  return consent == kNobody || consent_alive(consents[static_cast<size_t>(consent)]);
}

bool Model::alive(int credential) const {
  return now < credentials[static_cast<size_t>(credential)].ends && lineage_alive(credential);
}

bool Model::is_active(int credential) const {
  const Credential& it = credentials[static_cast<size_t>(credential)];
  return alive(credential) && !it.spent && (it.scopes == 0 || told_scopes(credential) != 0);
}

Scopes Model::told_scopes(int credential) const {
  const Credential& it = credentials[static_cast<size_t>(credential)];
  if (it.what != What::kAccess || it.scopes == 0) return it.scopes;
  if (!still_passed_on(it)) return 0;
  if (!it.chain.empty() && it.chain.front().is_agent &&
      !agent_accepts(it.chain.front().index, it.client, it.subject_user, it.resource))
    return 0;
  // No more than what is left of the token that it was passed on from (I3).
  Scopes most = it.scopes;
  int hop = credential;
  while (hop != kNobody && !credentials[static_cast<size_t>(hop)].is_hop)
    hop = credentials[static_cast<size_t>(hop)].parent;
  if (hop != kNobody) {
    const int above = credentials[static_cast<size_t>(hop)].parent;
    const Scopes held = told_scopes(above);
    Scopes reach = held;
    const ResourceEntry& at =
        world.resources[static_cast<size_t>(credentials[static_cast<size_t>(above)].resource)];
    if (at.mapped_from != 0 && within(at.mapped_from, held)) reach |= at.mapped_to;
    most &= reach;
    if (held == 0 || most == 0) return 0;
  }
  return grantable(std::nullopt, most, it, it.client, it.resource, it.chain).value_or(0);
}

bool Model::still_passed_on(const Credential& credential) const {
  for (size_t hops = 1; hops <= credential.chain.size(); ++hops) {
    const Hop& next = credential.chain[hops - 1];
    int from = credential.subject_agent;
    if (hops < credential.chain.size())
      from = credential.chain[hops].is_agent ? credential.chain[hops].index : kNobody;
    if (from == kNobody) continue;
    const AgentEntry& policy = world.agents[static_cast<size_t>(from)];
    if (!has(next.is_agent ? policy.to_agents : policy.to_services, next.index)) return false;
    if (static_cast<int>(hops) > policy.depth) return false;
  }
  return true;
}

int Model::root_of(int credential) const {
  while (credentials[static_cast<size_t>(credential)].parent != kNobody)
    credential = credentials[static_cast<size_t>(credential)].parent;
  return credential;
}

int Model::add(Credential credential) {
  credential.issued = ++event_;
  credentials.push_back(std::move(credential));
  return static_cast<int>(credentials.size()) - 1;
}

// ---- Consent (D-18, D-23, D-36) ----

bool Model::agent_accepts(int agent, int client, int user, int resource) const {
  const AgentEntry& entry = world.agents[static_cast<size_t>(agent)];
  return is_up_agent(agent) &&
         (has(entry.clients, client) || world.clients[static_cast<size_t>(client)].agent == agent) &&
         (user == kNobody || has(entry.users, user)) &&
         (resource == kNobody || has(entry.resources, resource));
}

Scopes Model::offered(const Wish& wish) const {
  Scopes most = wish.scopes & world.clients[static_cast<size_t>(wish.client)].scopes;
  if (wish.agent != kNobody) most &= world.agents[static_cast<size_t>(wish.agent)].scopes;
  if (const auto& limit = world.users[static_cast<size_t>(wish.user)].entitlements) most &= *limit;
  return most;
}

bool Model::may_refresh(const Wish& wish) const {
  return wish.offline &&
         (wish.agent == kNobody ? world.clients[static_cast<size_t>(wish.client)].refresh_lifetime.has_value()
                                : world.agents[static_cast<size_t>(wish.agent)].refresh_lifetime.has_value());
}

std::vector<int> Model::covering(const Wish& wish) const {
  std::vector<int> found;
  if (wish.asks_anew || offered(wish) != wish.scopes) return found;
  for (size_t i = 0; i < consents.size(); ++i) {
    const Consent& consent = consents[i];
    if (consent.user == wish.user && consent.client == wish.client && consent.agent == wish.agent &&
        within(wish.scopes, consent.scopes) && within(wish.resources, consent.resources) &&
        (consent.offline || !may_refresh(wish)) && consent_alive(consent)) {
      found.push_back(static_cast<int>(i));
    }
  }
  return found;
}

bool Model::gives_code(const Wish& wish) const {
  if (!is_up_client(wish.client) || !is_up_user(wish.user) || wish.scopes == 0 || wish.resources == 0)
    return false;
  Scopes known = 0;
  for (int i = 0; i < kResources; ++i) {
    if (has(wish.resources, i)) known |= world.resources[static_cast<size_t>(i)].scopes;
  }
  if (!within(wish.scopes, known) ||
      !within(wish.scopes, world.clients[static_cast<size_t>(wish.client)].scopes))
    return false;
  if (wish.agent != kNobody) {
    const AgentEntry& agent = world.agents[static_cast<size_t>(wish.agent)];
    if (!agent_accepts(wish.agent, wish.client, wish.user, kNobody) || !within(wish.scopes, agent.scopes) ||
        !within(wish.resources, agent.resources))
      return false;
  }
  if (offered(wish) == 0) return false;
  return !covering(wish).empty() || (offered(wish) & wish.ticked) != 0;
}

int Model::give_code(const Wish& wish, int earlier_consent) {
  Scopes given = wish.scopes;
  int consent = earlier_consent;
  if (consent == kNobody) {
    given = offered(wish) & wish.ticked;
    int onward = kDeepest;
    if (wish.agent != kNobody) onward = wish.onward ? world.agents[static_cast<size_t>(wish.agent)].depth : 0;
    consents.push_back({.user = wish.user,
                        .client = wish.client,
                        .agent = wish.agent,
                        .scopes = given,
                        .resources = wish.resources,
                        .offline = may_refresh(wish),
                        .onward = onward,
                        .ends = now + kGrantLifetime,
                        .given = ++event_});
    consent = static_cast<int>(consents.size()) - 1;
  }
  const Consent& basis = consents[static_cast<size_t>(consent)];
  Credential code;
  code.what = What::kCode;
  code.consent = consent;
  code.subject_user = wish.user;
  code.client = wish.client;
  if (wish.agent != kNobody) code.chain.push_back({true, wish.agent});
  code.hops_left = basis.onward;
  code.scopes = given;
  code.offline = may_refresh(wish);
  code.ends = std::min(now + kCodeLifetime, basis.ends);
  code.reach = wish.resources;
  return add(std::move(code));
}

// ---- Issuing ----

std::optional<Scopes> Model::grantable(const std::optional<Scopes>& asked, Scopes from, const Credential& of,
                                       int client, int resource, const std::vector<Hop>& chain) const {
  Scopes ceiling = world.resources[static_cast<size_t>(resource)].scopes &
                   world.clients[static_cast<size_t>(client)].scopes;
  for (const Hop& hop : chain) {
    if (hop.is_agent) ceiling &= world.agents[static_cast<size_t>(hop.index)].scopes;
  }
  if (of.subject_user != kNobody) {
    if (const auto& limit = world.users[static_cast<size_t>(of.subject_user)].entitlements) ceiling &= *limit;
  }
  if (asked) return *asked != 0 && within(*asked, from & ceiling) ? asked : std::nullopt;
  return (from & ceiling) != 0 ? std::optional<Scopes>(from & ceiling) : std::nullopt;
}

Clock Model::lifetime(int client, const std::vector<Hop>& chain, int resource) const {
  Clock shortest = std::min(kLongestAccess, world.clients[static_cast<size_t>(client)].lifetime);
  for (const Hop& hop : chain) {
    if (hop.is_agent) shortest = std::min(shortest, world.agents[static_cast<size_t>(hop.index)].lifetime);
  }
  if (const auto& limit = world.resources[static_cast<size_t>(resource)].lifetime)
    shortest = std::min(shortest, *limit);
  return shortest;
}

bool Model::proof_fits(const Credential& of, const Ask& ask, bool& swapped) const {
  swapped = false;
  if (of.chain.empty()) return ask.proof.agent == kNobody;  // X16
  if (ask.proof.agent == kNobody) return false;             // X13
  if (ask.proof.is_replay || !is_up_agent(ask.proof.agent)) return false;
  swapped = ask.proof.agent != of.chain.front().index;
  return !swapped;
}

std::optional<Model::Issued> Model::issue_from(int source, const Ask& ask) {
  const Credential from = credentials[static_cast<size_t>(source)];
  const Consent& consent = consents[static_cast<size_t>(from.consent)];
  const unsigned reach = from.reach;
  int resource = ask.resource;
  if (resource == kNobody) {
    for (int i = 0; i < kResources; ++i) {
      if (reach == 1U << i) resource = i;
    }
  }
  if (!has(reach, resource)) return std::nullopt;
  for (const Hop& hop : from.chain) {
    if (hop.is_agent && !agent_accepts(hop.index, ask.client, from.subject_user, resource))
      return std::nullopt;
  }
  const auto scopes = grantable(ask.scopes, from.scopes, from, ask.client, resource, from.chain);
  if (!scopes) return std::nullopt;
  Credential token = from;
  token.what = What::kAccess;
  token.parent = source;
  token.scopes = *scopes;
  token.resource = resource;
  token.may_act = world.clients[static_cast<size_t>(ask.client)].may_act;
  token.ends = std::min(now + lifetime(ask.client, from.chain, resource), consent.ends);
  if (from.what == What::kRefresh) token.ends = std::min(token.ends, from.ends);  // I3
  token.spent.reset();
  token.successor = kNobody;
  if (token.ends <= now) return std::nullopt;
  return Issued{add(std::move(token)), kNobody};
}

std::optional<Model::Issued> Model::redeem(int code, const Ask& ask, bool right_verifier,
                                           bool right_redirect) {
  if (!is_up_client(ask.client))
    return std::nullopt;  // D-11: only a failed client authentication leaves the code
  const bool is_own = credentials[static_cast<size_t>(code)].client == ask.client;
  if (credentials[static_cast<size_t>(code)].spent) {
    if (is_own && right_verifier) credentials[static_cast<size_t>(code)].ended = true;  // D-49
    return std::nullopt;
  }
  credentials[static_cast<size_t>(code)].spent = now;
  bool swapped = false;
  const Credential from = credentials[static_cast<size_t>(code)];
  if (!is_own || !alive(code) || !right_verifier || !right_redirect || !proof_fits(from, ask, swapped))
    return std::nullopt;
  auto issued = issue_from(code, ask);
  if (!issued) return issued;
  const ClientEntry& client = world.clients[static_cast<size_t>(ask.client)];
  std::optional<Clock> life = client.refresh_lifetime;
  if (!from.chain.empty()) {  // D-31
    life = world.agents[static_cast<size_t>(from.chain.front().index)].refresh_lifetime;
    if (life && client.refresh_lifetime) life = std::min(*life, *client.refresh_lifetime);
  }
  if (from.offline && life) {
    Credential token = from;
    token.what = What::kRefresh;
    token.parent = code;
    token.spent.reset();
    token.ends = std::min(now + *life, consents[static_cast<size_t>(from.consent)].ends);
    issued->refresh = add(std::move(token));
  }
  return issued;
}

std::optional<Model::Issued> Model::refresh(int token, const Ask& ask) {
  const Credential from = credentials[static_cast<size_t>(token)];
  if (!is_up_client(ask.client) || from.client != ask.client || !alive(token)) return std::nullopt;
  const auto end_family = [&] { credentials[static_cast<size_t>(root_of(token))].ended = true; };
  const bool is_retry = from.spent && now < *from.spent + kRetryWindow;
  if (from.spent && !is_retry) {
    end_family();
    return std::nullopt;
  }
  bool swapped = false;
  if (!proof_fits(from, ask, swapped)) {
    if (swapped) end_family();  // D-31
    return std::nullopt;
  }
  // D-31: the policy that allowed it must allow it still.
  const ClientEntry& client = world.clients[static_cast<size_t>(ask.client)];
  if (from.chain.empty() ? !client.refresh_lifetime
                         : !world.agents[static_cast<size_t>(from.chain.front().index)].refresh_lifetime)
    return std::nullopt;
  if (is_retry) {
    if (!is_active(from.successor)) {
      // An honest mistake in the rest of the request costs nothing; that is judged first.
      const size_t before = credentials.size();
      if (!issue_from(token, ask)) return std::nullopt;
      credentials.resize(before);
      end_family();
      return std::nullopt;
    }
    auto issued = issue_from(token, ask);
    if (issued) issued->refresh = from.successor;
    return issued;
  }
  auto issued = issue_from(token, ask);
  if (!issued) return issued;
  Credential successor = from;
  successor.parent = token;
  issued->refresh = add(std::move(successor));
  credentials[static_cast<size_t>(token)].spent = now;
  credentials[static_cast<size_t>(token)].successor = issued->refresh;
  return issued;
}

std::optional<Model::Issued> Model::alone(const Ask& ask) {
  const ClientEntry& client = world.clients[static_cast<size_t>(ask.client)];
  if (!is_up_client(ask.client) || !client.may_act_alone || ask.resource == kNobody) return std::nullopt;
  Credential token;
  token.client = ask.client;
  token.resource = ask.resource;
  Scopes own = client.scopes;
  Clock life = lifetime(ask.client, {}, ask.resource);
  if (client.agent != kNobody) {
    const AgentEntry& agent = world.agents[static_cast<size_t>(client.agent)];
    if (!is_up_agent(client.agent) || !has(agent.resources, ask.resource)) return std::nullopt;
    own &= agent.scopes;
    life = std::min(life, agent.lifetime);
    token.subject_agent = client.agent;
    token.hops_left = agent.depth;
  } else {
    token.subject_client = ask.client;
    token.hops_left = kDeepest;
  }
  const auto scopes = grantable(ask.scopes, own, token, ask.client, ask.resource, {});
  if (!scopes) return std::nullopt;
  token.scopes = *scopes;
  token.ends = now + life;
  return Issued{add(std::move(token)), kNobody};
}

// ---- Passing on (RFC 8693; D-61 to D-74) ----

std::optional<Model::Issued> Model::pass_on(int subject, const Ask& ask, bool as_audience) {
  const Credential from = credentials[static_cast<size_t>(subject)];
  const ClientEntry& client = world.clients[static_cast<size_t>(ask.client)];
  if (from.what != What::kAccess || !alive(subject)) return std::nullopt;  // D-63
  const bool is_holder = from.client == ask.client;
  const bool is_audience = client.resource != kNobody && client.resource == from.resource;
  if (!is_audience && (as_audience || !is_holder)) return std::nullopt;  // D-61, D-81
  const int target = ask.resource == kNobody ? from.resource : ask.resource;
  if (target != from.resource && !is_audience) return std::nullopt;  // I3
  const bool is_narrowing =
      is_holder && !as_audience && ask.proof.agent == kNobody && target == from.resource;

  // Who acts next. Nobody new: the holder narrows what it has (D-66).
  std::optional<Hop> next;
  if (ask.proof.agent != kNobody) {
    if (ask.proof.is_replay || !is_up_agent(ask.proof.agent)) return std::nullopt;
    next = Hop{true, ask.proof.agent};
  } else if (!is_narrowing) {
    const Hop service{false, ask.client};
    if (client.agent != kNobody)
      next = Hop{true, client.agent};
    else if (as_audience || client.acts_as_service || from.may_act == service)
      next = service;
    else
      return std::nullopt;  // never impersonation
  }
  const std::optional<Hop> current =
      from.chain.empty() ? std::nullopt : std::optional<Hop>(from.chain.front());
  const std::optional<Hop> asked_again = next ? next : current;
  if (asked_again && asked_again->is_agent &&
      !agent_accepts(asked_again->index, ask.client, from.subject_user, target))
    return std::nullopt;

  std::vector<Hop> chain = from.chain;
  int hops_left = from.hops_left;
  Clock life = kLongestAccess;
  if (next) {
    const bool is_named = from.may_act == next;
    if (from.may_act && !is_named) return std::nullopt;  // D-73
    const bool is_same = current == next;
    if (is_same && !is_holder && hops_left == 0) return std::nullopt;  // at another client
    // The agent that passes on: the outermost one, or the one that acts alone.
    const std::optional<int> passing =
        current ? (current->is_agent ? std::optional<int>(current->index) : std::nullopt)
                : (from.subject_agent != kNobody ? std::optional<int>(from.subject_agent) : std::nullopt);
    const bool is_own = next->is_agent ? next->index == client.agent : next->index == ask.client;
    const bool is_introduced = next->is_agent && has(client.introduces, next->index);
    if (!passing && !is_same && !is_named && !is_introduced && !(is_own && is_audience)) return std::nullopt;
    const bool is_itself_alone = !current && next->is_agent && next->index == from.subject_agent;
    if (!is_same && !is_itself_alone) {
      const bool was_here = std::find(chain.begin(), chain.end(), *next) != chain.end();
      // The exception names whom it may follow (D-68); a service is named by no agent's entry here.
      const bool may_return =
          next->is_agent && current && current->is_agent &&
          has(world.agents[static_cast<size_t>(next->index)].reenter_after, current->index);
      if (was_here && !may_return) return std::nullopt;
      if (static_cast<int>(chain.size()) >= kDeepest) return std::nullopt;  // D-69
      if (hops_left == 0) return std::nullopt;
      if (passing) {
        const AgentEntry& policy = world.agents[static_cast<size_t>(*passing)];
        if (!has(next->is_agent ? policy.to_agents : policy.to_services, next->index)) return std::nullopt;
        if (policy.onward_lifetime) life = std::min(life, *policy.onward_lifetime);
      }
      chain.insert(chain.begin(), *next);
      --hops_left;
      if (next->is_agent)
        hops_left = std::min(hops_left, world.agents[static_cast<size_t>(next->index)].depth);
    }
  }

  const Scopes held = told_scopes(subject);  // what was taken away since is not passed on either
  if (held == 0 && from.scopes != 0) return std::nullopt;
  Scopes reach = held;
  const ResourceEntry& at = world.resources[static_cast<size_t>(from.resource)];
  if (is_audience && !is_narrowing && at.mapped_from != 0 && within(at.mapped_from, held))
    reach |= at.mapped_to;
  const auto scopes = grantable(ask.scopes, reach, from, ask.client, target, chain);
  if (!scopes) return std::nullopt;

  Credential token = from;
  token.parent = subject;
  token.is_hop = next.has_value();
  token.client = ask.client;
  token.chain = chain;
  token.hops_left = hops_left;
  token.scopes = *scopes;
  token.resource = target;
  if (next) token.may_act.reset();
  token.ends = std::min({now + life, now + lifetime(ask.client, chain, target), from.ends});  // D-64
  return Issued{add(std::move(token)), kNobody};
}

std::optional<Model::Issued> Model::exchange(int subject, const Ask& ask) {
  if (!is_up_client(ask.client) || !world.clients[static_cast<size_t>(ask.client)].may_exchange)
    return std::nullopt;
  return pass_on(subject, ask, false);
}

std::optional<Model::Issued> Model::on_behalf_of(int subject, const Ask& ask) {
  if (!is_up_client(ask.client) || !world.clients[static_cast<size_t>(ask.client)].may_call_on_behalf)
    return std::nullopt;
  if (credentials[static_cast<size_t>(subject)].subject_user == kNobody) return std::nullopt;  // D-84
  return pass_on(subject, ask, true);
}

void Model::revoke(int credential, int client) {
  const Credential& token = credentials[static_cast<size_t>(credential)];
  if (!is_up_client(client) || token.client != client) return;
  credentials[static_cast<size_t>(token.what == What::kRefresh ? root_of(credential) : credential)].ended =
      true;
}

}  // namespace behalf::reference
