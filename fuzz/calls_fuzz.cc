// Sequences of calls against the whole server over HTTP: who redeems, refreshes, exchanges, calls on behalf, revokes and suspends
// what, in any order, with honest and with mangled parameters. After each call: an answer and no fault; no token in a refusal;
// the chain of its parent kept beneath, scope within the grant. At the end the root is revoked, and nothing of it is alive.
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
  const T& pick(const std::vector<T>& from) { return from[next() % from.size()]; }
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
};

struct World {
  TestServer server;
  Browser browser{server};
  int inputs = 0;
};

const std::vector<std::string> kClients = {"ca", "cb", "m1", "r1-server", "r2-server", "a1-runtime", "cg", "cp"};
const std::vector<std::string> kAgents = {"a1", "a2", "a4", "a5", "a6", "ag", ""};
const std::vector<std::string> kScopes = {"r1.read", "r1.read r1.write", "r2.read", "m1.use", "m1.use r2.read r1.read", "r1.read offline_access", "openid", ""};
const std::vector<std::string> kTargets = {kR1, kR2, kM1, kIssuer, "https://unknown.example", ""};
const std::vector<std::string> kPaths = {"/token", "/par", "/introspect", "/revoke", "/authorize", "/login", "/consent", "/agents/revoke", "/switch-account"};

void check(const Reply& reply, const std::string& what) {
  if (reply.status >= 500 || reply.status == 0) fail(what + " was answered " + std::to_string(reply.status) + " " + reply.body);
  if (reply.status != 200 && (!reply.text("access_token").empty() || !reply.text("refresh_token").empty())) fail(what + " gave a token with a refusal");
}

void keep(std::vector<Held>& held, const Reply& reply, const std::string& client, const Held* parent) {
  const std::string token = reply.text("access_token");
  if (reply.status != 200 || token.empty()) return;
  Held now{token, reply.text("refresh_token"), client, chain_of(token), {}};
  if (const auto scope = ScopeSet::parse(reply.text("scope"))) now.scope = *scope;
  if (text_at(claims_of(token), "sub_profile") == "user" && parent != nullptr) {
    if (now.chain.size() < parent->chain.size() ||
        !std::equal(parent->chain.rbegin(), parent->chain.rend(), now.chain.rbegin())) fail("a chain was cut or changed");
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
  std::vector<std::pair<TestServer::Code, std::string>> codes;
  std::vector<std::string> grants;

  const auto get_code = [&] {
    const std::string client = bytes.next() % 4 == 0 ? "cb" : "ca";
    const std::string agent = bytes.pick(kAgents);
    const std::string scope = bytes.pick(kScopes);
    TestServer::Code code{.code = {}, .pkce = make_pkce()};
    const Reply reply = server.authorize(world->browser, server.authorization(client, agent, scope, code.pkce, bytes.pick(kTargets)));
    check(reply, "/authorize");
    code.code = reply.location_parameter("code");
    if (!code.code.empty()) codes.emplace_back(code, agent);
  };
  const std::string nothing = "nothing";
  const auto some_token = [&]() -> const Held* { return held.empty() ? nullptr : &held[bytes.next() % held.size()]; };

  get_code();
  for (int step = 0; step < 24 && !bytes.empty(); ++step) {
    switch (bytes.next() % 11) {
      case 0:
        get_code();
        break;
      case 1:
      case 2: {
        if (codes.empty()) break;
        const auto [code, agent] = codes[bytes.next() % codes.size()];
        Fields fields = server.redemption(code, bytes.next() % 4 == 0 ? bytes.pick(kAgents) : agent);
        const std::string client = bytes.next() % 4 == 0 ? bytes.pick(kClients) : "ca";
        const Reply reply = server.token(client, fields);
        check(reply, "redeem");
        keep(held, reply, client, nullptr);
        if (reply.status == 200 && !agent.empty() && held.back().chain != std::vector<std::string>{agent}) fail("another agent than the one allowed");
        break;
      }
      case 3: {
        const Held* parent = some_token();
        if (parent == nullptr) break;
        const Held from = *parent;
        const std::string agent = from.chain.empty() ? bytes.pick(kAgents) : (bytes.next() % 4 == 0 ? bytes.pick(kAgents) : from.chain.front());
        Fields fields{{"grant_type", "refresh_token"}, {"refresh_token", from.refresh_token.empty() ? nothing : from.refresh_token}};
        if (!agent.empty()) fields.emplace_back("actor_token", server.assertion(agent));
        if (bytes.next() % 2 == 0) fields.emplace_back("scope", bytes.pick(kScopes));
        const std::string client = bytes.next() % 4 == 0 ? bytes.pick(kClients) : from.client;
        const Reply reply = server.token(client, fields);
        check(reply, "refresh");
        keep(held, reply, client, &from);
        break;
      }
      case 4:
      case 5: {
        const Held* parent = some_token();
        const Held from = parent == nullptr ? Held{nothing, "", "", {}, {}} : *parent;
        const std::string client = bytes.pick(kClients);
        const std::string target = bytes.pick(kTargets);
        const std::string scope = bytes.pick(kScopes);
        Fields more;
        if (!target.empty()) more.emplace_back("resource", target);
        if (!scope.empty()) more.emplace_back("scope", scope);
        const Reply reply = server.exchange(client, from.token, bytes.pick(kAgents), more);
        check(reply, "exchange");
        keep(held, reply, client, &from);
        break;
      }
      case 6: {
        const Held* parent = some_token();
        const Held from = parent == nullptr ? Held{nothing, "", "", {}, {}} : *parent;
        const std::string client = bytes.next() % 2 == 0 ? "m1" : bytes.pick(kClients);
        const Reply reply = server.on_behalf_of(client, from.token, bytes.pick(kTargets) + "/" + bytes.pick(kScopes));
        check(reply, "on behalf of");
        keep(held, reply, client, &from);
        break;
      }
      case 7:
        if (const Held* token = some_token()) check(server.introspect(bytes.pick(kClients), bytes.next() % 2 == 0 ? token->token : token->refresh_token + "x"), "introspect");
        break;
      case 8:
        if (const Held* token = some_token()) check(server.as(bytes.pick(kClients), "/revoke", {{"token", token->token}}), "revoke");
        break;
      case 9: {
        const std::string agent = bytes.pick(kAgents);
        if (bytes.next() % 8 == 0 && !agent.empty()) {
          server.suspend("agent", agent);
          for (const Held& token : held) {
            const bool acts = std::find(token.chain.begin(), token.chain.end(), agent) != token.chain.end();
            if (acts && server.is_active(token.client, token.token)) fail("alive although " + agent + " is suspended");
          }
          server.resume("agent", agent);
        } else {
          server.clock.advance(Seconds{static_cast<int64_t>(bytes.next() % 90)});
        }
        break;
      }
      default: {
        http::Headers headers = bytes.next() % 2 == 0 ? server.basic(bytes.pick(kClients)) : http::Headers{};
        headers.set("Content-Type", "application/x-www-form-urlencoded");
        const std::string path = bytes.pick(kPaths);
        check(server.send({.method = "POST", .path_and_query = path, .headers = headers, .body = bytes.text()}), path);
        break;
      }
    }
  }
  // Everything of a person's tokens hangs on a grant: ended, all of it is dead.
  for (const Held& token : held) {
    const std::string grant = text_at(claims_of(token.token), "grant_id");
    if (!grant.empty()) grants.push_back(grant);
  }
  for (const std::string& grant : grants) {
    json::Value body;
    body.set("id", grant);
    check(server.admin("POST", "/grants/revoke", body), "the end of a grant");
  }
  for (const Held& token : held) {
    if (!text_at(claims_of(token.token), "grant_id").empty() && server.is_active(token.client, token.token)) fail("alive although its grant ended");
  }
  return 0;
}
