// An authorization server as a feed sees it: metadata, keys, tokens, streams, polls, the directory; every
// answer is what the test says. Polls are held for 200 ms.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "http/server.h"
#include "unit/sdk/fixtures.h"

namespace behalf::sdk::testing {

class ScriptedServer {
 public:
  ScriptedServer() { start(0); }

  std::string issuer() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void start(uint16_t port) {
    server_ = std::make_unique<http::Server>(
        http::Listen{.address = "127.0.0.1", .port = port, .unix_path = {}, .tls = {}, .trusted_proxies = {}},
        http::Limits(), 4, [this](http::Request& request) { return respond(request); });
    port_ = server_->port();
  }
  void kill() { server_.reset(); }
  void restart() { start(port_); }

  // ----- what was revoked
  json::Value set_claims(json::Value sub_id, std::string_view event = kSessionRevoked) {
    return json::Value::Object{
        {"iss", issuer()},
        {"aud", "mail-api"},
        {"iat", kNow},
        {"jti", "to be said"},
        {"sub_id", std::move(sub_id)},
        {"events", json::Value::Object{
                       {std::string(event), json::Value::Object{{"event_timestamp", kNow},
                                                                {"behalf_at", kNowMs},
                                                                {"behalf_until", kNowMs + 3'600'000}}}}}};
  }
  json::Value principal(std::string_view id) {
    return json::Value::Object{{"format", "iss_sub"}, {"iss", issuer()}, {"sub", std::string(id)}};
  }
  static json::Value opaque(std::string_view id) {
    return json::Value::Object{{"format", "opaque"}, {"id", std::string(id)}};
  }
  json::Value complex(std::string_view name, json::Value subject) {
    return json::Value::Object{{"format", "complex"}, {std::string(name), std::move(subject)}};
  }
  json::Value grant(std::string_view id) { return complex("session", opaque(id)); }
  // Puts a SET on the stream, delivered under the jti that is returned.
  std::string say(json::Value claims) {
    const std::string jti = std::to_string(++events_) + ".1";
    claims.set("jti", jti);
    deliver(jti, sign(claims, "secevent+jwt", *key_));
    return jti;
  }
  void deliver(const std::string& jti, std::string set) {
    const std::lock_guard lock(mutex_);
    outstanding_[jti] = std::move(set);
    kept_[jti] = outstanding_[jti];
    changed_.notify_all();
  }

  // ----- what the test changes
  void sign_with(const crypto::SigningKey& key) { key_ = &key; }
  void publish(const std::vector<crypto::SigningKey>& keys) {
    const std::lock_guard lock(mutex_);
    jwks_ = jwks_of(keys);
  }
  void set_directory(std::string body) {
    const std::lock_guard lock(mutex_);
    directory_ = std::move(body);
  }
  void forget_streams() {
    const std::lock_guard lock(mutex_);
    streams_.clear();
  }
  void forget_tokens() {
    const std::lock_guard lock(mutex_);
    tokens_.clear();
  }
  std::atomic<bool> paused{false};
  std::atomic<int> poll_status{200};

  // ----- what happened
  template <class Fact>
  bool wait(Fact fact) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return fact(); });
  }
  std::set<std::string> acknowledged;          // read in `wait` only
  std::map<std::string, std::string> refused;  // jti to err
  std::vector<std::string> removed;            // stream ids
  int streams_made = 0;
  int polls = 0;

 private:
  static constexpr std::string_view kSessionRevoked =
      "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

  Task<http::Response> respond(http::Request& request) { co_return answer(request); }

  http::Response answer(http::Request& request) {
    std::unique_lock lock(mutex_);
    const std::string& path = request.path;
    if (path == "/.well-known/oauth-authorization-server") {
      return object(
          {{"issuer", issuer()}, {"jwks_uri", issuer() + "/jwks"}, {"token_endpoint", issuer() + "/token"}});
    }
    if (path == "/.well-known/ssf-configuration") {
      return object({{"issuer", issuer()}, {"configuration_endpoint", issuer() + "/ssf/streams"}});
    }
    if (path == "/jwks") return http::json_response(200, jwks_);
    if (path == "/token") return token(request);
    if (!is_allowed(request)) return http::json_response(401, "{}");
    if (path == "/directory") return http::json_response(200, directory_);
    if (path == "/ssf/streams" && request.method == "POST") return make_stream();
    const std::string id = request.query.substr(request.query.find('=') + 1);
    if (path == "/ssf/streams" && request.method == "DELETE") {
      removed.push_back(id);
      streams_.erase(id);
      changed_.notify_all();
      return http::text_response(204, "");
    }
    if (path == "/ssf/poll") return poll(request, id, lock);
    return http::json_response(404, "{}");
  }

  static http::Response object(json::Value::Object members, int status = 200) {
    return http::json_response(status, json::write(json::Value(std::move(members))));
  }

  http::Response token(const http::Request& request) {
    const auto form = http::Form::parse(request.body);
    const std::string* credentials = request.headers.find("Authorization");
    // "mail%2Dapi" is "mail-api" form-encoded; '-' needs no escape.
    const bool is_right = form && form->get("grant_type") == "client_credentials" &&
                          form->get("resource") == issuer() && form->get("scope") == "behalf.signals" &&
                          credentials != nullptr && *credentials == "Basic " + base64("mail-api:a%3Asecret");
    if (!is_right) return object({{"error", "invalid_client"}}, 401);
    std::string fresh = "token-" + std::to_string(++tokens_made_);
    tokens_.insert(fresh);
    return object({{"access_token", fresh}, {"token_type", "Bearer"}, {"expires_in", 600}});
  }
  bool is_allowed(const http::Request& request) const {
    const std::string* value = request.headers.find("Authorization");
    return value != nullptr && value->starts_with("Bearer ") && tokens_.contains(value->substr(7));
  }
  http::Response make_stream() {
    const std::string id = "stream-" + std::to_string(++streams_made);
    streams_.insert(id);
    outstanding_ = kept_;  // a new stream begins with everything
    changed_.notify_all();
    return object(
        {{"stream_id", id},
         {"aud", "mail-api"},
         {"delivery", json::Value::Object{{"method", "urn:ietf:rfc:8936"},
                                          {"endpoint_url", issuer() + "/ssf/poll?stream_id=" + id}}}},
        201);
  }
  http::Response poll(const http::Request& request, const std::string& id,
                      std::unique_lock<std::mutex>& lock) {
    ++polls;
    if (!streams_.contains(id)) return http::json_response(404, "{}");
    if (poll_status != 200) return http::json_response(poll_status, "{}");
    const auto body = json::parse(request.body);
    for (const json::Value& jti : *body->find("ack")->array()) {
      acknowledged.insert(*jti.string());
      outstanding_.erase(*jti.string());
    }
    for (const json::Member& fault : *body->find("setErrs")->object()) {
      refused[fault.name] = *fault.value.find_string("err");
      outstanding_.erase(fault.name);
    }
    changed_.notify_all();
    if (!*body->find("returnImmediately")->boolean()) {
      changed_.wait_for(lock, std::chrono::milliseconds(200), [&] { return !outstanding_.empty(); });
    }
    json::Value::Object sets;
    for (const auto& [jti, set] : outstanding_) {
      if (paused || sets.size() == 3) break;  // three an answer
      sets.push_back({jti, set});
    }
    const bool more = paused || outstanding_.size() > sets.size();
    return object({{"sets", std::move(sets)}, {"moreAvailable", more}});
  }

  uint16_t port_ = 0;
  const crypto::SigningKey* key_ = &issuer_key();
  std::atomic<int> events_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string jwks_ = jwks_of({issuer_key()});
  std::string directory_ = R"({"agents":[]})";
  std::set<std::string> streams_;
  std::set<std::string> tokens_;
  int tokens_made_ = 0;
  std::map<std::string, std::string> outstanding_;
  std::map<std::string, std::string> kept_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace behalf::sdk::testing
