// A whole server in the test's process: real HTTP on a loopback port, real store on disk, a clock the test
// moves.
//
// The cast (state_of_the_cast in test_server.cc): people u1, u2 (u2 is excluded by agent a1-picky);
// confidential clients ca, cb; public client cp; client cg, which IS agent ag (private_key_jwt); agents a1,
// a2 active, a3 suspended; resources R1 (r1.read r1.write r2.read), R2 (r2.read); middle tier m1, which is
// the resource M1; a1's own client a1-runtime.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/config.h"
#include "app/runtime.h"
#include "base/environment.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "crypto/jwk.h"
#include "http/client.h"
#include "http/server.h"

namespace behalf::test {

class FakeClock final : public Clock {
 public:
  UnixTime now() const override { return {milliseconds_.load()}; }
  int64_t steady_microseconds() const override { return steady_.load() * 1000; }
  void advance(Seconds span) {
    milliseconds_ += span.count * 1000;
    if (span.count > 0) steady_ += span.count * 1000;
  }
  void set(UnixTime time) { milliseconds_ = time.milliseconds; }

 private:
  std::atomic<int64_t> milliseconds_{1'795'000'000'000};
  std::atomic<int64_t> steady_{5'000};
};

using Fields = std::vector<std::pair<std::string, std::string>>;

// Replaces the values of the fields that `overrides` names; an override with the value kLeaveOut removes the
// field.
inline const std::string kLeaveOut = "\x01leave out";
Fields with(Fields base, const Fields& overrides);

struct Reply {
  int status = 0;
  http::Headers headers;
  std::string body;
  json::Value json;  // null if the body is no JSON

  std::string text(std::string_view member) const;  // a string member of `json`, or ""
  std::string error() const { return text("error"); }
  std::string header(std::string_view name) const;
  // Parameters of the Location header's query, "" if absent.
  std::string location_parameter(std::string_view name) const;
};

// A JSON literal in a test; the test fails if it is none.
json::Value json_of(std::string_view text);
// The claims or header of a JWT, unverified.
json::Value claims_of(const std::string& jwt);
json::Value header_of(const std::string& jwt);
std::string text_at(const json::Value& value, std::string_view member);
// The ids in `act`, outermost first.
std::vector<std::string> chain_of(const std::string& jwt);

struct Pkce {
  std::string verifier;
  std::string challenge;
};
Pkce make_pkce();

inline const std::string kR1 = "https://api.example/r1";
inline const std::string kR2 = "https://api.example/r2";
inline const std::string kM1 = "https://api.example/m1";
inline const std::string kR2Read = kR2 + "/r2.read";
inline const std::string kRedirect = "https://app.example/cb";  // registered for ca, cb, cg
inline const std::string kIssuer = "https://as.example";
inline const std::string kPassword = "correct horse battery";
inline const std::string kExchange = "urn:ietf:params:oauth:grant-type:token-exchange";
inline const std::string kJwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
inline const std::string kAccessTokenType = "urn:ietf:params:oauth:token-type:access_token";
inline const std::string kJwtType = "urn:ietf:params:oauth:token-type:jwt";

class TestServer;

// A person's browser: keeps cookies, follows nothing by itself.
class Browser {
 public:
  explicit Browser(TestServer& server) : server_(server) {}
  Reply get(const std::string& path_and_query);
  Reply post(const std::string& path, const Fields& fields, const http::Headers& headers = {});
  std::map<std::string, std::string> cookies;

 private:
  Reply send(http::ClientRequest request);
  TestServer& server_;
};

// The value of a hidden input of the form with that action; "" if absent.
std::string hidden_input(const std::string& html, const std::string& action, const std::string& name);

struct Decision {
  std::string user = "u1";
  bool allow = true;
  std::optional<std::vector<std::string>> scopes;  // what stays ticked; everything offered if absent
  bool onward = true;
};

class TestServer {
 public:
  // `postgres`: a libpq address to use instead of SQLite in a temporary folder.
  explicit TestServer(const std::string& postgres = {});
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  FakeClock clock;

  // ---- Raw ----
  Reply get(const std::string& path_and_query, const http::Headers& headers = {});
  Reply post(const std::string& path, const Fields& fields, const http::Headers& headers = {});
  Reply send(const http::ClientRequest& request);
  uint16_t port() const { return server_->port(); }

  // ---- Clients ----
  // How the client authenticates, added to a form post: Basic for ca, cb, m1, a1-runtime; client_id for cp; a
  // fresh assertion for cg.
  http::Headers basic(const std::string& client) const;
  Fields client_fields(const std::string& client);
  // POST to `path` as that client.
  Reply as(const std::string& client, const std::string& path, const Fields& fields);
  Reply token(const std::string& client, const Fields& fields) { return as(client, "/token", fields); }
  Reply introspect(const std::string& client, const std::string& token) {
    return as(client, "/introspect", {{"token", token}});
  }
  bool is_active(const std::string& client, const std::string& token);

  // ---- Agents ----
  const crypto::SigningKey& key_of(const std::string& agent_or_client) const;
  // A self-signed actor assertion (or client assertion): iss = sub = `id`, aud = issuer, 60 s, fresh jti.
  // `changes` replaces claims; a null value removes one.
  std::string assertion(const std::string& id, const json::Value& changes = {},
                        std::string_view type = "JWT");
  std::string sign(const std::string& key_of_id, std::string_view type, const json::Value& claims);
  // An AS-issued actor token (bearer) for a1 or a2, through its own runtime client.
  std::string issued_actor_token(const std::string& agent);

  // ---- Flows ----
  // Parameters of a good authorization request of `client` naming `agent` ("" for none).
  Fields authorization(const std::string& client, const std::string& agent, const std::string& scope,
                       const Pkce& pkce, const std::string& resource = kR1) const;
  // Sends it with the browser, signs in and decides; the reply that leaves for the client (or whatever came
  // instead).
  Reply authorize(Browser& browser, const Fields& parameters, const Decision& decision = {});
  // Just the sign-in on /login.
  Reply sign_in(Browser& browser, const std::string& user, const std::string& request_id = {});
  struct Code {
    std::string code;
    Pkce pkce;
  };
  Code get_code(const std::string& client, const std::string& agent, const std::string& scope,
                const std::string& resource = kR1, const Decision& decision = {});
  // The fields that redeem it; with a self-signed actor_token of `agent` unless empty.
  Fields redemption(const Code& code, const std::string& agent);
  // The whole flow: flow(person, client, agent, scope). The token endpoint's answer.
  Reply flow(const std::string& client, const std::string& agent, const std::string& scope,
             const std::string& resource = kR1, const Decision& decision = {});
  // RFC 8693 by `client`, with a self-signed actor token of `actor` ("" for none).
  Reply exchange(const std::string& client, const std::string& subject_token, const std::string& actor,
                 const Fields& more = {});
  Reply on_behalf_of(const std::string& client, const std::string& assertion, const std::string& scope,
                     const Fields& more = {});

  // ---- Operator ----
  Reply admin(const std::string& method, const std::string& path, const json::Value& body = {});
  void apply(const json::Value& state);  // fails the test if refused
  // Changes one member of a registered thing ("agents", "a1", "clients", [...]) through apply.
  void change(const std::string& kinds, const std::string& id, const std::string& member, json::Value value);
  void suspend(const std::string& kind, const std::string& id);
  void resume(const std::string& kind, const std::string& id);
  // Every audit record, oldest first; the last one.
  std::vector<json::Value> audit();
  json::Value last_audit();
  std::string whole_audit_text();
  bool audit_chain_verifies();

  oauth::Services& services() { return runtime_->services(); }
  // The same server and store with other settings.
  void configure(const std::function<void(oauth::Settings&)>& change);
  // The same server and store behind a proxy whose X-Forwarded-For counts.
  void trust_forwarded_addresses();
  // Stops the server and opens the store again: what was remembered must still be known.
  void restart();

 private:
  void start();
  std::string folder_;
  app::Config config_;
  crypto::SystemRandom random_;
  std::unique_ptr<app::Runtime> runtime_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Server> admin_;
  std::map<std::string, crypto::SigningKey> keys_;
  std::map<std::string, std::string> secrets_;
  json::Value state_;
};

// The six things that must hold after every refusal: this status and error, no token, no-store, a denied
// audit record with this reason as the newest, the log's chain intact, and none of `secrets` anywhere in it.
void expect_refused(TestServer& server, const Reply& reply, int status, const std::string& error,
                    const std::string& reason = {}, const std::vector<std::string>& secrets = {});

// What a1 got to call m1, which passes it on.
inline std::string m1_token(TestServer& server) {
  return server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
}

inline json::Value list(std::initializer_list<std::string_view> items) {
  json::Value::Array array;
  for (const std::string_view item : items) array.emplace_back(item);
  return array;
}

}  // namespace behalf::test
