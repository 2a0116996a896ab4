// The server against the reference model: random people, agents, clients and resources, and random sequences
// of what all of them can do, over HTTP. After every step both must have said the same, and agree on every
// token there is: active or not, scope, audience, expiry, chain. What was issued is held to the invariants a
// second time, token against parent: authority never grows on any axis, the chain is complete with the newest
// outermost, nothing outlives or survives its parent.
//
// A failure is shrunk and printed as the world and the steps it needs, with the seed that makes it again:
//   RC_PARAMS="reproduce=..." model_tests        exactly that case
//   RC_PARAMS="max_success=2000" model_tests     longer
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>

#include "model/reference.h"
#include "model/stage.h"
#include "support/test_server.h"

namespace behalf::test {
namespace {

using reference::Ask;
using reference::Credential;
using reference::Hop;
using reference::kNobody;
using reference::Model;
using reference::Proof;
using reference::Scopes;
using reference::What;

enum Kind : int {
  kFlow,
  kAuthorize,
  kRedeem,
  kAlone,
  kExchanging,
  kOnBehalfOf,
  kRefreshing,
  kTime,
  kStopOrStart,
  kRevokeConsent,
  kRevokeToken,
  kChangeEntry,
  kRestart,
  kKinds
};
constexpr const char* kKindNames[] = {
    "flow", "authorize",  "redeem",         "alone",        "exchange",     "on-behalf-of", "refresh",
    "time", "stop/start", "revoke consent", "revoke token", "change entry", "restart"};

// What to do, as numbers that are read against whatever exists by then; towards zero is towards the usual.
struct Step {
  Step(int the_kind, std::vector<int> the_choices) : kind(the_kind), choices(std::move(the_choices)) {}
  int kind;
  std::vector<int> choices;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  out << kKindNames[step.kind];
  for (const int choice : step.choices) out << ' ' << choice;
  return out;
}

// How often what came about, over all cases; a run in which nothing was issued proves nothing.
struct Tally {
  std::map<std::string, int> issued;
  std::map<std::string, int> refused;
  size_t deepest = 0;
  int compared = 0;
} tally;

int cases = 0;

class Sequence : Stage {
 public:
  Sequence(TestServer& server, reference::World world)
      : Stage("c" + std::to_string(++cases)),
        server_(server),
        model_(std::move(world)),
        browsers_{Browser(server), Browser(server)} {
    model_.now = server_.clock.now().seconds();
    server_.apply(state(model_.world));
  }

  void execute(const Step& step) {
    choices_ = step.choices;
    at_ = 0;
    constexpr void (Sequence::*kActions[])() = {
        &Sequence::flow,          &Sequence::authorize_only, &Sequence::redeem_any,   &Sequence::alone,
        &Sequence::exchange,      &Sequence::on_behalf_of,   &Sequence::refresh,      &Sequence::pass_time,
        &Sequence::stop_or_start, &Sequence::revoke_consent, &Sequence::revoke_token, &Sequence::change_entry,
        &Sequence::restart};
    static_assert(std::size(kActions) == kKinds);
    (this->*kActions[step.kind])();
    compare_all();
  }

 private:
  // ---- Choices ----
  int next() { return at_ < choices_.size() ? choices_[at_++] : 0; }
  int next(int below) { return next() % below; }
  bool seldom() { return next() >= 224; }  // one in eight
  // What to ask for: mostly everything there is, sometimes a part, seldom anything.
  std::optional<Scopes> some_scopes(Scopes had) {
    const int value = next();
    if (value < 160) return std::nullopt;
    const Scopes scopes = static_cast<Scopes>(value) & (value < 232 ? had : 15U);
    return scopes == 0 ? std::nullopt : std::optional<Scopes>(scopes);
  }
  int some_resource() {
    const int value = next();
    return value < 208 ? kNobody : value % reference::kResources;
  }
  // One of that kind, the newest first; mostly one that is still good.
  int pick(What what) {
    const int choice = next();
    const bool only_good = next() < 200;
    std::vector<int> found;
    for (int i = static_cast<int>(model_.credentials.size()) - 1; i >= 0; --i) {
      if (model_.credentials[static_cast<size_t>(i)].what == what && (!only_good || model_.is_active(i)))
        found.push_back(i);
    }
    return found.empty() ? kNobody : found[static_cast<size_t>(choice) % found.size()];
  }
  const Credential& of(int credential) const { return model_.credentials[static_cast<size_t>(credential)]; }

  // ---- Requests ----
  Reply token(int i, Fields fields, const Ask& ask) {
    if (ask.scopes) fields.emplace_back("scope", scope_text(*ask.scopes));
    if (ask.resource != kNobody) fields.emplace_back("resource", resource(ask.resource));
    std::string assertion;
    if (ask.proof.agent != kNobody) {
      // Agent 0 has a client of its own and may prove itself with a token of ours as well (D-04 a).
      const bool wants_issued = ask.proof.agent == 0 && !ask.proof.is_replay && ++issued_proofs_ % 3 == 0;
      std::string issued;
      if (wants_issued)
        issued = server_
                     .post("/token", {{"grant_type", "client_credentials"}, {"resource", kIssuer}},
                           basic(reference::kRuntime))
                     .text("access_token");
      if (issued.empty())
        assertion =
            ask.proof.is_replay ? used_.at(ask.proof.agent) : prove(ask.proof.agent, server_.clock.now());
      fields.emplace_back("actor_token", issued.empty() ? assertion : issued);
      fields.emplace_back("actor_token_type", issued.empty() ? kJwtType : kAccessTokenType);
    }
    Reply reply = server_.post("/token", fields, basic(i));
    if (reply.status == 200 && !assertion.empty()) used_[ask.proof.agent] = assertion;
    return reply;
  }
  // A proof of that agent (or none), seldom of another one, seldom used before.
  Proof some_proof(int right) {
    Proof proof{.agent = right, .is_replay = false};
    const int value = next();
    if (value >= 240)
      proof.agent = value % reference::kAgents;
    else if (value >= 232)
      proof.agent = kNobody;
    else if (value >= 224 && used_.contains(right))
      proof.is_replay = true;
    return proof;
  }

  // ---- The steps ----
  void say(const std::string& line) { trace_ += line + "\n"; }
  [[noreturn]] void disagree(const std::string& what) {
    RC_FAIL("\n" + reference::describe(model_.world) + "\n" + trace_ + "==> " + what);
  }
  std::string name_of(int credential) const {
    const Credential& it = of(credential);
    const char* kind = it.what == What::kCode ? "code" : it.what == What::kAccess ? "token" : "refresh";
    return kind + std::to_string(credential);
  }
  static std::string describe(const Ask& ask) {
    std::string text = " by client" + std::to_string(ask.client);
    if (ask.scopes) text += " for [" + scope_text(*ask.scopes) + "]";
    if (ask.resource != kNobody) text += " at resource" + std::to_string(ask.resource);
    if (ask.proof.agent != kNobody)
      text += " proving agent" + std::to_string(ask.proof.agent) +
              (ask.proof.is_replay ? " with a used proof" : "");
    return text;
  }

  void flow() {
    const int code = authorize();
    if (code != kNobody)
      redeem(code,
             {.client = of(code).client,
              .scopes = std::nullopt,
              .resource = first_of(of(code).reach),
              .proof = {chain_agent(code), false}},
             true, true);
  }
  void authorize_only() { (void)authorize(); }
  void restart() {
    if (next() < 192) return;  // it takes a while
    say("restart");
    server_.restart();
  }
  static int first_of(unsigned set) {
    for (int i = 0; i < reference::kResources; ++i) {
      if (((set >> i) & 1U) != 0) return i;
    }
    return kNobody;
  }
  int chain_agent(int credential) const {
    const auto& chain = of(credential).chain;
    return chain.empty() || !chain.front().is_agent ? kNobody : chain.front().index;
  }

  int authorize() {
    Model::Wish wish;
    wish.user = next(reference::kUsers);
    wish.client = next(256) >= 192 ? reference::kOtherApp : reference::kApp;
    const int agent_choice = next();
    wish.agent = agent_choice >= 216 ? kNobody : agent_choice % reference::kAgents;
    constexpr unsigned kSets[] = {0b001, 0b100, 0b101, 0b010, 0b011, 0b111};
    wish.resources = kSets[next(6)];
    const int scope_choice = next();
    Scopes all = 0;
    for (int i = 0; i < reference::kResources; ++i) {
      if (((wish.resources >> i) & 1U) != 0) all |= model_.world.resources[static_cast<size_t>(i)].scopes;
    }
    // Mostly what is allowed, sometimes anything.
    Scopes allowed = all & model_.world.clients[static_cast<size_t>(wish.client)].scopes;
    if (wish.agent != kNobody) allowed &= model_.world.agents[static_cast<size_t>(wish.agent)].scopes;
    wish.scopes = scope_choice < 160 ? allowed
                                     : (scope_choice < 224 ? allowed & static_cast<Scopes>(scope_choice)
                                                           : static_cast<Scopes>(scope_choice) & 15U);
    wish.offline = next() < 160;
    wish.asks_anew = next() >= 128;
    wish.ticked = next() < 200 ? 15U : static_cast<Scopes>(next()) & 15U;
    wish.onward = !seldom();
    if (wish.scopes == 0) return kNobody;

    const Pkce pkce = make_pkce();
    Fields fields{{"response_type", "code"},
                  {"client_id", client(wish.client)},
                  {"redirect_uri", kRedirect},
                  {"state", "x"},
                  {"scope", scope_text(wish.scopes) + (wish.offline ? " offline_access" : "")},
                  {"code_challenge", pkce.challenge},
                  {"code_challenge_method", "S256"}};
    for (int i = 0; i < reference::kResources; ++i) {
      if (((wish.resources >> i) & 1U) != 0) fields.emplace_back("resource", resource(i));
    }
    if (wish.agent != kNobody) fields.emplace_back("requested_actor", agent(wish.agent));
    if (wish.asks_anew) fields.emplace_back("prompt", "consent");
    std::vector<std::string> ticked;
    for (int i = 0; i < reference::kScopes; ++i) {
      if (((wish.ticked >> i) & 1U) != 0) ticked.push_back("s" + std::to_string(i));
    }
    say("authorize user" + std::to_string(wish.user) + " client" + std::to_string(wish.client) +
        (wish.agent == kNobody ? " no agent" : " agent" + std::to_string(wish.agent)) + " [" +
        scope_text(wish.scopes) + "] resources " + std::to_string(wish.resources) +
        (wish.offline ? " offline" : "") + (wish.asks_anew ? " anew" : "") + " ticked [" +
        scope_text(wish.ticked) + "]" + (wish.onward ? "" : " not onward"));
    const Reply reply =
        server_.authorize(browsers_[static_cast<size_t>(wish.user)], fields,
                          {.user = user(wish.user), .allow = true, .scopes = ticked, .onward = wish.onward});
    const std::string wire = reply.location_parameter("code");
    const bool expected = model_.gives_code(wish);
    count("authorize", !wire.empty());
    if (reply.status >= 500) disagree("status " + std::to_string(reply.status));
    if (expected == wire.empty()) {
      disagree(std::string("the model ") + (expected ? "gives a code" : "refuses") + ", the server says " +
               std::to_string(reply.status) + " " + reply.header("Location"));
    }
    if (wire.empty()) return kNobody;
    // Which consent answered is the server's to say; that it covers the wish is checked.
    const std::string grant = text_at(server_.last_audit(), "grant");
    const std::vector<int> covering = model_.covering(wish);
    const auto known = std::find(grants_.begin(), grants_.end(), grant);
    const int earlier = known == grants_.end() ? kNobody : static_cast<int>(known - grants_.begin());
    if (covering.empty() != (earlier == kNobody))
      disagree(covering.empty() ? "an earlier consent answered that does not cover this"
                                : "the person was asked again");
    if (earlier != kNobody && std::find(covering.begin(), covering.end(), earlier) == covering.end())
      disagree("the wrong earlier consent answered");
    const int code = model_.give_code(wish, earlier);
    if (earlier == kNobody) grants_.push_back(grant);
    wires_.resize(model_.credentials.size());
    wires_[static_cast<size_t>(code)] = wire;
    verifiers_[code] = pkce.verifier;
    say("  -> " + name_of(code));
    return code;
  }

  void redeem_any() {
    const int code = pick_code();
    if (code == kNobody) return;
    const int other = next();
    Ask ask{.client = other >= 224 ? 1 - of(code).client : of(code).client,
            .scopes = some_scopes(of(code).scopes),
            .resource = some_resource(),
            .proof = {}};
    if (ask.resource == kNobody && next() < 200) ask.resource = first_of(of(code).reach);
    ask.proof = some_proof(chain_agent(code));
    const bool right_verifier = !seldom();
    const bool right_redirect = !seldom();
    redeem(code, ask, right_verifier, right_redirect);
  }
  int pick_code() {
    const int choice = next();
    std::vector<int> found;
    for (int i = static_cast<int>(model_.credentials.size()) - 1; i >= 0; --i) {
      if (of(i).what == What::kCode && (choice >= 192 || !of(i).spent)) found.push_back(i);
    }
    return found.empty() ? kNobody : found[static_cast<size_t>(choice) % found.size()];
  }
  void redeem(int code, const Ask& ask, bool right_verifier, bool right_redirect) {
    say("redeem " + name_of(code) + describe(ask) + (right_verifier ? "" : " wrong verifier") +
        (right_redirect ? "" : " wrong redirect"));
    const Reply reply =
        token(ask.client,
              {{"grant_type", "authorization_code"},
               {"code", wires_[static_cast<size_t>(code)]},
               {"code_verifier", right_verifier ? verifiers_[code] : make_pkce().verifier},
               {"redirect_uri", right_redirect ? kRedirect : "https://app.example/elsewhere"}},
              ask);
    settle("redeem", reply, model_.redeem(code, ask, right_verifier, right_redirect), code);
  }

  void alone() {
    constexpr int kWho[] = {reference::kRuntime, reference::kApp, reference::kMiddle, reference::kOtherApp};
    Ask ask{.client = kWho[next(4)],
            .scopes = some_scopes(15U),
            .resource = next(reference::kResources),
            .proof = {}};
    say("alone" + describe(ask));
    const Reply reply = token(ask.client, {{"grant_type", "client_credentials"}}, ask);
    settle("alone", reply, model_.alone(ask), kNobody);
  }

  // The holder, or the audience, or seldom anyone.
  int presenter(int subject) {
    const int choice = next();
    if (choice >= 232) return choice % reference::kClients;
    return choice < 116 ? of(subject).client : audience(subject);
  }
  int audience(int subject) const {
    constexpr int kServers[] = {reference::kServer0, reference::kServer1, reference::kMiddle};
    return kServers[of(subject).resource];
  }

  void exchange() {
    const int subject = pick(What::kAccess);
    if (subject == kNobody) return;
    Ask ask{.client = presenter(subject),
            .scopes = some_scopes(of(subject).scopes),
            .resource = some_resource(),
            .proof = {}};
    const int actor = next();
    if (actor >= 64) ask.proof.agent = likely_actor(subject, actor);
    if (seldom() && used_.contains(ask.proof.agent)) ask.proof.is_replay = true;
    say("exchange " + name_of(subject) + describe(ask));
    const Reply reply = token(ask.client,
                              {{"grant_type", kExchange},
                               {"subject_token", wires_[static_cast<size_t>(subject)]},
                               {"subject_token_type", kAccessTokenType}},
                              ask);
    settle("exchange", reply, model_.exchange(subject, ask), subject);
  }

  // Mostly one to whom the acting agent may pass on.
  int likely_actor(int subject, int choice) const {
    const Credential& from = of(subject);
    const int current = !from.chain.empty() ? chain_agent(subject) : from.subject_agent;
    for (int i = 0; i < reference::kAgents && choice < 224; ++i) {
      const int agent = (choice + i) % reference::kAgents;
      const bool was_here =
          std::find(from.chain.begin(), from.chain.end(), Hop{true, agent}) != from.chain.end();
      if (current != kNobody && !was_here &&
          ((model_.world.agents[static_cast<size_t>(current)].to_agents >> agent) & 1U) != 0)
        return agent;
    }
    return choice % reference::kAgents;
  }

  void on_behalf_of() {
    const int subject = pick(What::kAccess);
    if (subject == kNobody) return;
    const int choice = next();
    Ask ask{.client = choice >= 224 ? choice % reference::kClients : audience(subject),
            .scopes = some_scopes(of(subject).scopes),
            .resource = next(reference::kResources),
            .proof = {}};
    // Mostly the tier itself; sometimes one of its agents, which proves itself.
    const int actor = next();
    if (actor >= 176) ask.proof.agent = likely_actor(subject, actor);
    say("on behalf of " + name_of(subject) + describe(ask));
    Fields fields{{"grant_type", kJwtBearer},
                  {"assertion", wires_[static_cast<size_t>(subject)]},
                  {"requested_token_use", "on_behalf_of"}};
    if (!ask.scopes) fields.emplace_back("scope", resource(ask.resource) + "/.default");
    const Reply reply = token(ask.client, fields, ask);
    settle("on-behalf-of", reply, model_.on_behalf_of(subject, ask), subject);
  }

  void refresh() {
    const int subject = pick(What::kRefresh);
    if (subject == kNobody) return;
    const int other = next();
    Ask ask{.client = other >= 232 ? 1 - of(subject).client : of(subject).client,
            .scopes = some_scopes(of(subject).scopes),
            .resource = some_resource(),
            .proof = {}};
    if (ask.resource == kNobody && next() < 200) ask.resource = first_of(of(subject).reach);
    ask.proof = some_proof(chain_agent(subject));
    say("refresh " + name_of(subject) + describe(ask));
    const Reply reply = token(
        ask.client,
        {{"grant_type", "refresh_token"}, {"refresh_token", wires_[static_cast<size_t>(subject)]}}, ask);
    settle("refresh", reply, model_.refresh(subject, ask), subject);
  }

  void pass_time() {
    constexpr int64_t kSpans[] = {1,  10,  29,  30,  44,   45,   59,       60,    61,
                                  89, 120, 300, 600, 3599, 3600, 8 * 3600, 86400, 30 * 86400};
    const int choice = next();  // mostly a short while
    const int64_t span = kSpans[choice * choice * static_cast<int>(std::size(kSpans)) / (256 * 256)];
    say("time +" + std::to_string(span) + " s");
    server_.clock.advance(Seconds{span});
    model_.now += span;
  }

  void stop_or_start() {
    int kind = next(256);
    int choice = next();
    // What stands still is mostly started again, or soon nothing goes.
    if (next() < 192) {
      for (int i = 0; i < reference::kAgents; ++i) {
        if (!model_.is_up_agent(i)) kind = 0, choice = i;
      }
      for (int i = 0; i < reference::kClients; ++i) {
        if (!model_.is_up_client(i)) kind = 120, choice = i;
      }
      for (int i = 0; i < reference::kUsers; ++i) {
        if (!model_.is_up_user(i)) kind = 200, choice = i;
      }
    }
    const auto turn = [&](const char* what, const std::string& id, bool is_up) {
      say(std::string(is_up ? "stop " : "start ") + what + " " + id);
      if (is_up)
        server_.suspend(what, id);
      else
        server_.resume(what, id);
    };
    if (kind < 120) {
      const int i = choice % reference::kAgents;
      turn("agent", agent(i), model_.is_up_agent(i));
      model_.is_up_agent(i) ? model_.stop_agent(i) : model_.start_agent(i);
    } else if (kind < 200) {
      const int i = choice % reference::kClients;
      turn("client", client(i), model_.is_up_client(i));
      model_.is_up_client(i) ? model_.stop_client(i) : model_.start_client(i);
    } else {
      const int i = choice % reference::kUsers;
      turn("user", user(i), model_.is_up_user(i));
      model_.is_up_user(i) ? model_.stop_user(i) : model_.start_user(i);
    }
  }

  // The operator narrows or widens what an agent may do; asked again at every step from now on (D-23).
  void change_entry() {
    const int i = next(reference::kAgents);
    auto& entry = model_.world.agents[static_cast<size_t>(i)];
    const int what = next(6);
    const auto some = static_cast<unsigned>(next());
    if (what == 0) entry.scopes = some & 15U;
    if (what == 1) entry.clients = some & 63U;
    if (what == 2) entry.users = some & 3U;
    if (what == 3) entry.resources = some & 7U;
    if (what == 4) entry.depth = static_cast<int>(some % 4U);
    if (what == 5) entry.to_agents = some & 15U & ~(1U << i);
    say("change agent" + std::to_string(i) + ": " + json::write(agent_state(model_.world, i)));
    server_.apply(agent_state(model_.world, i));
  }

  void revoke_consent() {
    if (grants_.empty()) return;
    const int i = static_cast<int>(grants_.size()) - 1 - next(static_cast<int>(grants_.size()));
    say("revoke consent " + std::to_string(i));
    json::Value body;
    body.set("id", grants_[static_cast<size_t>(i)]);
    const Reply reply = server_.admin("POST", "/grants/revoke", body);
    if (reply.status != 200) disagree("the operator could not end the consent: " + reply.body);
    model_.revoke_consent(i);
  }

  void revoke_token() {
    const int subject = pick(seldom() ? What::kRefresh : What::kAccess);
    if (subject == kNobody) return;
    const int choice = next();
    const int by = choice >= 192 ? choice % reference::kClients : of(subject).client;
    say("revoke " + name_of(subject) + " by client" + std::to_string(by));
    const Reply reply = server_.post("/revoke", {{"token", wires_[static_cast<size_t>(subject)]}}, basic(by));
    const int expected = model_.is_up_client(by) ? 200 : 401;
    if (reply.status != expected) disagree("revocation answered " + std::to_string(reply.status));
    model_.revoke(subject, by);
  }

  // ---- What both say ----
  static void count(const char* what, bool issued) { ++(issued ? tally.issued : tally.refused)[what]; }

  void settle(const char* what, const Reply& reply, const std::optional<Model::Issued>& expected,
              int source) {
    count(what, reply.status == 200);
    const std::string answer = std::to_string(reply.status) + " " + reply.body.substr(0, 300);
    if (reply.status >= 500) disagree(answer);
    if (expected.has_value() != (reply.status == 200)) {
      disagree(std::string("the model ") + (expected ? "issues" : "refuses") + ", the server says " + answer);
    }
    if (!expected) {
      if (!reply.text("access_token").empty() || !reply.text("refresh_token").empty() ||
          reply.error().empty())
        disagree("a refusal with a token: " + answer);
      say("  -> refused");
      return;
    }
    wires_.resize(model_.credentials.size());
    const std::string access = reply.text("access_token");
    wires_[static_cast<size_t>(expected->access)] = access;
    say("  -> " + name_of(expected->access) + " [" + scope_text(of(expected->access).scopes) + "] resource" +
        std::to_string(of(expected->access).resource) + " " +
        reference::describe(of(expected->access).chain) + " until +" +
        std::to_string(of(expected->access).ends - model_.now) + " s");
    tally.deepest = std::max(tally.deepest, of(expected->access).chain.size());
    const json::Value claims = claims_of(access);
    compare(expected->access, claims, "the token");
    if (scopes_of(reply.text("scope")) != of(expected->access).scopes)
      disagree("the answer names the scope " + reply.text("scope"));
    hold_to_invariants(claims, access, source);

    const std::string refresh = reply.text("refresh_token");
    if ((expected->refresh != kNobody) == refresh.empty())
      disagree(refresh.empty() ? "the refresh token is missing" : "a refresh token nobody expected");
    if (expected->refresh == kNobody) return;
    std::string& known = wires_[static_cast<size_t>(expected->refresh)];
    if (!known.empty() && known != refresh) disagree("an honest retry got another successor");
    known = refresh;
    say("  -> " + name_of(expected->refresh) + " until +" +
        std::to_string(of(expected->refresh).ends - model_.now) + " s");
  }

  // One set of claims, from a token or from introspection, against the model's credential.
  void compare(int credential, const json::Value& claims, const std::string& where) {
    const Credential& it = of(credential);
    const auto expect = [&](const std::string& name, const std::string& is, const std::string& should) {
      if (is != should)
        disagree(where + " of " + name_of(credential) + " says " + name + " \"" + is + "\", the model \"" +
                 should + "\"");
    };
    expect("scope", scope_text(scopes_of(text_at(claims, "scope"))),
           scope_text(model_.told_scopes(credential)));
    if (it.what == What::kAccess) expect("aud", text_at(claims, "aud"), resource(it.resource));
    expect("exp", std::to_string(claims.find_integer("exp").value_or(0)), std::to_string(it.ends));
    expect("client_id", text_at(claims, "client_id"), client(it.client));
    expect("sub", text_at(claims, "sub"),
           it.subject_user != kNobody    ? user(it.subject_user)
           : it.subject_agent != kNobody ? agent(it.subject_agent)
                                         : client(it.subject_client));
    std::string chain;
    for (const json::Value* act = claims.find("act"); act != nullptr; act = act->find("act"))
      chain += text_at(*act, "sub") + " ";
    std::string should;
    for (const Hop& hop : it.chain) should += id_of(hop) + " ";
    expect("act", chain, should);
  }

  // What must hold between a token and the one it came from, whatever the model thinks (I3, I4).
  void hold_to_invariants(const json::Value& claims, const std::string& access, int source) {
    if (source == kNobody) return;
    const auto demand = [&](bool holds, const char* what) {
      if (!holds) disagree(what);
    };
    const std::vector<std::string> chain = chain_of(access);
    demand(chain.size() <= static_cast<size_t>(reference::kDeepest), "the chain is too deep");
    const Credential& from = of(source);
    if (from.what != What::kAccess) return;
    const std::string& parent = wires_[static_cast<size_t>(source)];
    const json::Value above = claims_of(parent);
    const std::vector<std::string> before = chain_of(parent);
    demand(chain.size() == before.size() || chain.size() == before.size() + 1,
           "the chain grew by more than one, or shrank");
    demand(std::equal(before.rbegin(), before.rend(), chain.rbegin()), "an inner hop changed");
    demand(claims.find_integer("exp").value_or(0) <= above.find_integer("exp").value_or(0),
           "the token outlives its parent");
    demand(text_at(claims, "sub") == text_at(above, "sub"), "the subject changed");
    demand(text_at(claims, "grant_id") == text_at(above, "grant_id"), "the grant changed");
    const auto& table = model_.world.resources[static_cast<size_t>(from.resource)];
    const Scopes most = scopes_of(text_at(above, "scope")) | table.mapped_to;
    demand((scopes_of(text_at(claims, "scope")) & ~most) == 0, "the scope grew");
  }

  void compare_all() {
    for (int i = 0; i < static_cast<int>(model_.credentials.size()); ++i) {
      const Credential& it = of(i);
      if (it.what == What::kCode) continue;
      const int server = it.what == What::kAccess ? audience(i) : it.client;
      const int asks = model_.is_up_client(server) ? server : it.client;
      if (!model_.is_up_client(asks)) continue;
      // What has been seen dead is looked at now and then; nothing comes back.
      // Told is who it is addressed to; a refresh token's life shows when it is used.
      const bool is_told = it.what == What::kAccess && asks == audience(i);
      const bool active = is_told && model_.is_active(i);
      if (!active && seen_dead_[i]++ % 8 > 0) continue;
      const Reply reply =
          server_.post("/introspect", {{"token", wires_[static_cast<size_t>(i)]}}, basic(asks));
      ++tally.compared;
      const json::Value* said = reply.json.find("active");
      if (reply.status != 200 || said == nullptr || said->boolean() == nullptr)
        disagree("introspection of " + name_of(i) + " answered " + std::to_string(reply.status));
      if (*said->boolean() != active)
        disagree(name_of(i) + " is " +
                 (active ? "active, the server says dead" : "dead, the server says active"));
      if (active) compare(i, reply.json, "introspection");
    }
  }

  TestServer& server_;
  Model model_;
  Browser browsers_[reference::kUsers];
  std::vector<std::string> wires_;   // of each credential
  std::vector<std::string> grants_;  // the id of each consent
  std::map<int, std::string> verifiers_;
  std::map<int, std::string> used_;  // the last proof of each agent that was accepted
  std::map<int, int> seen_dead_;
  std::vector<int> choices_;
  size_t at_ = 0;
  int issued_proofs_ = 0;
  std::string trace_;
};

TEST(Model, the_server_and_the_reference_agree_on_every_sequence) {
  // The default of CI; RC_PARAMS says otherwise.
  setenv("RC_PARAMS", "max_success=120 max_size=100", 0);
  std::unique_ptr<TestServer> server;
  int on_this_server = 0;
  // Every number in every case: only the sequences grow with the size.
  const auto number = rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, 256));
  const auto step = rc::gen::construct<Step>(rc::gen::weightedElement<int>({{5, kFlow},
                                                                            {1, kAuthorize},
                                                                            {3, kRedeem},
                                                                            {1, kAlone},
                                                                            {12, kExchanging},
                                                                            {4, kOnBehalfOf},
                                                                            {4, kRefreshing},
                                                                            {1, kTime},
                                                                            {1, kStopOrStart},
                                                                            {1, kRevokeConsent},
                                                                            {1, kRevokeToken},
                                                                            {1, kChangeEntry},
                                                                            {1, kRestart}}),
                                             rc::gen::container<std::vector<int>>(13, number));
  rc::detail::checkGTest([&] {
    const auto knobs = *rc::gen::container<std::vector<int>>(108, number);
    const auto steps = *rc::gen::container<std::vector<Step>>(step);
    if (server == nullptr ||
        ++on_this_server == 20) {  // a new one now and then, or the log of one grows and grows
      server.reset();
      server = std::make_unique<TestServer>();
      on_this_server = 0;
    }
    Sequence sequence(*server, reference::world_from(knobs));
    for (const Step& one : steps) sequence.execute(one);
  });
  std::cout << "tokens compared " << tally.compared << ", deepest chain " << tally.deepest << "\n";
  for (const auto& [what, count] : tally.issued)
    std::cout << what << ": " << count << " issued, " << tally.refused[what] << " refused\n";
  if (HasFailure()) return;
  if (cases < 100) return;  // a case made again, or a short run
  // A run that issued nothing would agree on everything.
  for (const char* what : {"authorize", "redeem", "alone", "exchange", "on-behalf-of", "refresh"}) {
    EXPECT_GT(tally.issued[what], 0) << what;
    EXPECT_GT(tally.refused[what], 0) << what;
  }
  EXPECT_GE(tally.deepest, 2U);
}

}  // namespace
}  // namespace behalf::test
