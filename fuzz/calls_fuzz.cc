// Sequences of calls against the whole server over HTTP: who redeems, refreshes, exchanges, calls on behalf,
// revokes and suspends what, in any order, with honest and with mangled parameters. After each call: an
// answer and no fault; no token in a refusal; the chain of its parent kept beneath, scope within what the
// parent had; at its resource a new token is alive. At the end every grant is revoked, and nothing of it is
// alive: no access token, no refresh token, no code.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "model/scope.h"
#include "support/test_server.h"

namespace {

using namespace behalf;
using namespace behalf::test;

[[noreturn]] void fail(const std::string& what) {
  std::cerr << "calls: " << what << "\n";
  std::abort();
}

class Bytes {
 public:
  Bytes(const unsigned char* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  unsigned next() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[next() % from.size()];
  }
  std::string text() {
    const size_t length = std::min<size_t>(next(), size_);
    std::string out(reinterpret_cast<const char*>(data_), length);
    data_ += length;
    size_ -= length;
    return out;
  }

 private:
  const unsigned char* data_;
  size_t size_;
};

struct Held {
  std::string token, refresh_token, client;
  std::vector<std::string> chain;
  ScopeSet scope;
  ScopeSet refreshable;  // what its refresh token stands for: a refresh may narrow and go back
};

struct World {
  TestServer server;
  Browser browser{server};
  int inputs = 0;
};

const std::vector<std::string> kClients = {"ca",        "cb",         "m1", "r1-server",
                                           "r2-server", "a1-runtime", "cg", "cp"};
const std::vector<std::string> kAgents = {"a1", "a2", "a4", "a5", "a6", "ag", ""};
const std::vector<std::string> kScopes = {"r1.read",
                                          "r1.read r1.write",
                                          "r2.read",
                                          "m1.use",
                                          "m1.use r2.read r1.read",
                                          "r1.read offline_access",
                                          "openid",
                                          ""};
const std::vector<std::string> kTargets = {kR1, kR2, kM1, kIssuer, "https://unknown.example", ""};
const std::vector<std::string> kPaths = {"/token",   "/par",           "/introspect",
                                         "/revoke",  "/authorize",     "/login",
                                         "/consent", "/agents/revoke", "/switch-account"};

void check(const Reply& reply, const std::string& what) {
  if (reply.status >= 500 || reply.status == 0)
    fail(what + " was answered " + std::to_string(reply.status) + " " + reply.body);
  if (reply.status != 200 && (!reply.text("access_token").empty() || !reply.text("refresh_token").empty()))
    fail(what + " gave a token with a refusal");
}

ScopeSet scopes(const std::string& text) {
  const auto parsed = ScopeSet::parse(text);
  if (!parsed) fail("a scope that is none: " + text);
  return *parsed;
}

// What a token may become at another resource: itself, and what the cast's scope_map of M1 makes of m1.use.
ScopeSet onward_of(const ScopeSet& scope) {
  return scopes("m1.use").is_at_most(scope) ? scopes(scope.text() + " r2.read") : scope;
}

// As its resource sees it; who asks may ask, so "not active" is the server's word on the token.
bool is_alive(TestServer& server, const Held& token) {
  const json::Value claims = claims_of(token.token);
  const std::string audience = text_at(claims, "aud");
  const std::string viewer = audience == kR1   ? "r1-server"
                             : audience == kR2 ? "r2-server"
                             : audience == kM1 ? "m1"
                                               : token.client;
  const Reply reply = server.introspect(viewer, token.token);
  const json::Value* active = reply.json.find("active");
  if (reply.status != 200 || active == nullptr || active->boolean() == nullptr)
    fail("introspection was answered " + std::to_string(reply.status));
  return *active->boolean();
}

// `at_most`: what the parent allows; null where nothing is known of it.
void keep(TestServer& server, std::vector<Held>& held, const Reply& reply, const std::string& client,
          const Held* parent, const ScopeSet* at_most, const ScopeSet* refreshable = nullptr) {
  const std::string token = reply.text("access_token");
  if (reply.status != 200 || token.empty()) return;
  const json::Value claims = claims_of(token);
  Held now{token, reply.text("refresh_token"), client, chain_of(token), scopes(text_at(claims, "scope")), {}};
  now.refreshable = refreshable != nullptr ? *refreshable : now.scope;
  if (!reply.text("scope").empty() && scopes(reply.text("scope")) != now.scope)
    fail("the answer tells another scope than the token");
  if (at_most != nullptr && !now.scope.is_at_most(*at_most))
    fail("scope grew from \"" + at_most->text() + "\" to \"" + now.scope.text() + "\"");
  if (!is_alive(server, now)) fail("a new token is not alive");
  if (text_at(claims_of(token), "sub_profile") == "user" && parent != nullptr) {
    if (now.chain.size() < parent->chain.size() ||
        !std::equal(parent->chain.rbegin(), parent->chain.rend(), now.chain.rbegin()))
      fail("a chain was cut or changed");
    if (now.chain.size() > kDefaultMaxChainDepth) fail("a chain is too deep");
  }
  held.push_back(std::move(now));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  static std::unique_ptr<World> world;
  if (size < 4 || size > 2000) return 0;
  if (world == nullptr || ++world->inputs > 300) {
    world.reset();  // one at a time
    world = std::make_unique<World>();
    world->server.configure([](oauth::Settings& settings) { settings.limits = {0, 0, 0, 0, 0, 0, 0, 0}; });
  }
  TestServer& server = world->server;
  Bytes bytes(data, size);
  std::vector<Held> held;
  struct Issued {
    TestServer::Code code;
    std::string agent, scope;
  };
  std::vector<Issued> codes;

  const auto get_code = [&] {
    const std::string client = bytes.next() % 4 == 0 ? "cb" : "ca";
    const std::string agent = bytes.pick(kAgents);
    const std::string scope = bytes.pick(kScopes);
    TestServer::Code code{.code = {}, .pkce = make_pkce()};
    const Reply reply = server.authorize(
        world->browser, server.authorization(client, agent, scope, code.pkce, bytes.pick(kTargets)));
    check(reply, "/authorize");
    code.code = reply.location_parameter("code");
    if (!code.code.empty()) codes.push_back({code, agent, scope});
  };
  const std::string nothing = "nothing";
  const auto some_token = [&]() -> const Held* {
    return held.empty() ? nullptr : &held[bytes.next() % held.size()];
  };

  get_code();
  for (int step = 0; step < 24 && !bytes.empty(); ++step) {
    switch (bytes.next() % 11) {
      case 0:
        get_code();
        break;
      case 1:
      case 2: {
        if (codes.empty()) break;
        const auto [code, agent, asked] = codes[bytes.next() % codes.size()];
        Fields fields = server.redemption(code, bytes.next() % 4 == 0 ? bytes.pick(kAgents) : agent);
        const std::string client = bytes.next() % 4 == 0 ? bytes.pick(kClients) : "ca";
        const Reply reply = server.token(client, fields);
        check(reply, "redeem");
        const ScopeSet at_most = scopes(asked);
        keep(server, held, reply, client, nullptr, asked.empty() ? nullptr : &at_most);
        if (reply.status == 200 && !agent.empty() && held.back().chain != std::vector<std::string>{agent})
          fail("another agent than the one allowed");
        break;
      }
      case 3: {
        const Held* parent = some_token();
        if (parent == nullptr) break;
        const Held from = *parent;
        const std::string agent = from.chain.empty()
                                      ? bytes.pick(kAgents)
                                      : (bytes.next() % 4 == 0 ? bytes.pick(kAgents) : from.chain.front());
        Fields fields{{"grant_type", "refresh_token"},
                      {"refresh_token", from.refresh_token.empty() ? nothing : from.refresh_token}};
        if (!agent.empty()) fields.emplace_back("actor_token", server.assertion(agent));
        if (bytes.next() % 2 == 0) fields.emplace_back("scope", bytes.pick(kScopes));
        const std::string client = bytes.next() % 4 == 0 ? bytes.pick(kClients) : from.client;
        const Reply reply = server.token(client, fields);
        check(reply, "refresh");
        keep(server, held, reply, client, &from, &from.refreshable, &from.refreshable);
        break;
      }
      case 4:
      case 5: {
        const Held* parent = some_token();
        const Held from = parent == nullptr ? Held{nothing, "", "", {}, {}, {}} : *parent;
        const std::string client = bytes.pick(kClients);
        const std::string target = bytes.pick(kTargets);
        const std::string scope = bytes.pick(kScopes);
        Fields more;
        if (!target.empty()) more.emplace_back("resource", target);
        if (!scope.empty()) more.emplace_back("scope", scope);
        const Reply reply = server.exchange(client, from.token, bytes.pick(kAgents), more);
        check(reply, "exchange");
        const ScopeSet at_most = onward_of(from.scope);
        keep(server, held, reply, client, &from, &at_most);
        break;
      }
      case 6: {
        const Held* parent = some_token();
        const Held from = parent == nullptr ? Held{nothing, "", "", {}, {}, {}} : *parent;
        const std::string client = bytes.next() % 2 == 0 ? "m1" : bytes.pick(kClients);
        const Reply reply =
            server.on_behalf_of(client, from.token, bytes.pick(kTargets) + "/" + bytes.pick(kScopes));
        check(reply, "on behalf of");
        const ScopeSet at_most = onward_of(from.scope);
        keep(server, held, reply, client, &from, &at_most);
        break;
      }
      case 7:
        if (const Held* token = some_token())
          check(server.introspect(bytes.pick(kClients),
                                  bytes.next() % 2 == 0 ? token->token : token->refresh_token + "x"),
                "introspect");
        break;
      case 8:
        if (const Held* token = some_token())
          check(server.as(bytes.pick(kClients), "/revoke", {{"token", token->token}}), "revoke");
        break;
      case 9: {
        const std::string agent = bytes.pick(kAgents);
        if (bytes.next() % 8 == 0 && !agent.empty()) {
          server.suspend("agent", agent);
          for (const Held& token : held) {
            const bool acts = std::find(token.chain.begin(), token.chain.end(), agent) != token.chain.end();
            if (acts && is_alive(server, token)) fail("alive although " + agent + " is suspended");
          }
          server.resume("agent", agent);
        } else {
          server.clock.advance(Seconds{static_cast<int64_t>(bytes.next() % 90)});
        }
        break;
      }
      default: {
        const unsigned who = bytes.next();
        http::Headers headers = who % 2 == 0 ? server.basic(bytes.pick(kClients)) : http::Headers{};
        if (who % 8 == 1) headers.set("Authorization", "Basic " + base64(bytes.text()));
        headers.set("Content-Type", "application/x-www-form-urlencoded");
        const std::string path = bytes.pick(kPaths);
        check(
            server.send({.method = "POST", .path_and_query = path, .headers = headers, .body = bytes.text()}),
            path);
        break;
      }
    }
  }
  // Everything of a person hangs on a grant: all ended, all of it is dead.
  const Reply live = server.admin("GET", "/grants?live=1&limit=1000");
  for (const json::Value& grant : *live.json.find("grants")->array()) {
    json::Value body;
    body.set("id", text_at(grant, "id"));
    const Reply reply = server.admin("POST", "/grants/revoke", body);
    if (reply.status != 200) fail("the end of a grant was answered " + std::to_string(reply.status));
  }
  for (const Held& token : held) {
    if (text_at(claims_of(token.token), "grant_id").empty()) continue;
    if (is_alive(server, token)) fail("alive although its grant ended");
    if (token.refresh_token.empty()) continue;
    Fields fields{{"grant_type", "refresh_token"}, {"refresh_token", token.refresh_token}};
    if (!token.chain.empty()) fields.emplace_back("actor_token", server.assertion(token.chain.front()));
    if (server.token(token.client, fields).status == 200) fail("refreshed although its grant ended");
  }
  for (const auto& [code, agent, asked] : codes) {
    for (const std::string client : {"ca", "cb"}) {
      if (server.token(client, server.redemption(code, agent)).status == 200)
        fail("redeemed although its grant ended");
    }
  }
  return 0;
}
