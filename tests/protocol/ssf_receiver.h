// A receiver of security events, as a guard is one: makes a stream, polls, acknowledges.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/test_server.h"

namespace behalf::test {

inline const std::string kPollMethod = "urn:ietf:rfc:8936";
inline const std::string kPushMethod = "urn:ietf:rfc:8935";
inline const std::string kSessionRevokedEvent =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
inline const std::string kClaimsChangeEvent =
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
inline const std::string kKeyRevokedEvent = "urn:behalf:event:key-revoked";
inline const std::string kVerificationEvent =
    "https://schemas.openid.net/secevent/ssf/event-type/verification";

class SsfReceiver {
 public:
  // Gives `client` the scope and the grant it needs.
  explicit SsfReceiver(TestServer& server, const std::string& client = "m1")
      : server_(server), client_(client) {
    json::Value::Array scopes;
    for (const char* scope : {"r1.read", "r1.write", "r2.read", "m1.use", "behalf.signals"})
      scopes.emplace_back(scope);
    server.change("clients", client, "scopes", std::move(scopes));
    json::Value::Array grants;
    for (const std::string& grant : {std::string("client_credentials"), kExchange, kJwtBearer})
      grants.emplace_back(grant);
    server.change("clients", client, "grant_types", std::move(grants));
  }

  std::string token(const std::string& scope = "behalf.signals") {
    const Reply reply = server_.token(
        client_, {{"grant_type", "client_credentials"}, {"resource", kIssuer}, {"scope", scope}});
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.text("access_token");
  }
  Reply call(const std::string& method, const std::string& path, const std::string& body = {},
             const std::string& bearer = {}) {
    if (token_.empty()) token_ = token();
    http::ClientRequest request{.method = method, .path_and_query = path, .headers = {}, .body = body};
    request.headers.set("Authorization", "Bearer " + (bearer.empty() ? token_ : bearer));
    if (!body.empty()) request.headers.set("Content-Type", "application/json");
    return server_.send(request);
  }
  // Makes a stream; polls go to it from now on.
  Reply create(const std::string& body = "{}") {
    const Reply reply = call("POST", "/ssf/streams", body);
    EXPECT_EQ(reply.status, 201) << reply.body;
    stream = reply.text("stream_id");
    return reply;
  }
  Reply poll(const std::string& body = R"({"returnImmediately":true})") {
    return call("POST", "/ssf/poll?stream_id=" + stream, body);
  }
  // The claims of what an answer carries, by jti, in order.
  static std::vector<json::Value> sets_of(const Reply& reply) {
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<json::Value> all;
    const json::Value* sets = reply.json.find("sets");
    if (sets == nullptr || sets->object() == nullptr) return all;
    for (const json::Member& set : *sets->object()) {
      all.push_back(claims_of(*set.value.string()));
      EXPECT_EQ(text_at(all.back(), "jti"), set.name);
    }
    return all;
  }
  static bool has_more(const Reply& reply) {
    const json::Value* more = reply.json.find("moreAvailable");
    return more != nullptr && more->boolean() != nullptr && *more->boolean();
  }
  static std::string acknowledgement(const std::vector<json::Value>& sets, bool immediately = true) {
    std::string body = "{\"ack\":[";
    for (size_t i = 0; i < sets.size(); ++i) body += (i == 0 ? "\"" : ",\"") + text_at(sets[i], "jti") + "\"";
    return body + "],\"returnImmediately\":" + (immediately ? "true" : "false") + "}";
  }
  // Polls until there is no more, acknowledging everything; all claims.
  std::vector<json::Value> drain() {
    std::vector<json::Value> all;
    std::string body = R"({"returnImmediately":true})";
    for (;;) {
      const auto sets = sets_of(poll(body));
      if (sets.empty()) return all;
      all.insert(all.end(), sets.begin(), sets.end());
      body = acknowledgement(sets);
    }
  }

  std::string stream;

 private:
  TestServer& server_;
  std::string client_;
  std::string token_;
};

// The one event of a SET: its type and content.
inline std::pair<std::string, json::Value> event_in(const json::Value& claims) {
  const json::Value* events = claims.find("events");
  EXPECT_TRUE(events != nullptr && events->object() != nullptr && events->object()->size() == 1U)
      << json::write(claims);
  if (events == nullptr || events->object() == nullptr || events->object()->empty()) return {};
  return {events->object()->front().name, events->object()->front().value};
}

// "user u1", "application a1", "session <grant>", "token <jti>", "resource <id>", "key <kid>"; what a
// verifier looks at.
inline std::string revoked_in(const json::Value& claims) {
  const json::Value* subject = claims.find("sub_id");
  if (subject == nullptr) return "nothing";
  if (text_at(*subject, "format") == "opaque") return "key " + text_at(*subject, "id");
  EXPECT_EQ(text_at(*subject, "format"), "complex");
  if (const json::Value* session = subject->find("session"))
    return text_at(*session, "format") == "jwt_id" ? "token " + text_at(*session, "jti")
                                                   : "session " + text_at(*session, "id");
  for (const char* name : {"user", "application"}) {
    if (const json::Value* who = subject->find(name)) {
      EXPECT_EQ(text_at(*who, "format"), "iss_sub");
      EXPECT_EQ(text_at(*who, "iss"), kIssuer);
      return name + (" " + text_at(*who, "sub"));
    }
  }
  if (const json::Value* resource = subject->find("resource")) return "resource " + text_at(*resource, "id");
  return "something else";
}
inline std::vector<std::string> revoked_in_all(const std::vector<json::Value>& sets) {
  std::vector<std::string> all;
  for (const json::Value& set : sets) all.push_back(revoked_in(set));
  return all;
}

}  // namespace behalf::test
