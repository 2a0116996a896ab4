// When keys are fetched, from where, how often, and what holds while they cannot be.
#include "behalf/keys.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "behalf/revocations.h"
#include "http/server.h"
#include "http/sockets.h"
#include "unit/sdk/fixtures.h"

namespace behalf::sdk {
namespace {

using namespace testing;

crypto::SigningKey fresh_key() { return crypto::SigningKey::generate(crypto::Algorithm::kES256); }

// Metadata and a key set that a test changes.
class KeyServer {
 public:
  explicit KeyServer(std::string path = "")
      : path_(std::move(path)),
        server_(
            http::Listen{
                .address = "127.0.0.1", .port = 0, .unix_path = {}, .tls = {}, .trusted_proxies = {}},
            http::Limits(), 1, [this](http::Request& request) { return answer(request); }) {}

  std::string origin() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  std::string issuer() const { return origin() + path_; }
  void publish(const std::vector<crypto::SigningKey>& keys) { set_body(jwks_of(keys)); }
  void set_body(std::string body) {
    const std::lock_guard lock(mutex_);
    body_ = std::move(body);
  }
  void set_metadata(std::string metadata) {
    const std::lock_guard lock(mutex_);
    metadata_ = std::move(metadata);
  }
  int fetches() const { return fetches_; }
  std::atomic<int> status{200};

 private:
  Task<http::Response> answer(http::Request& request) {
    const std::lock_guard lock(mutex_);
    if (request.path == "/jwks") {
      ++fetches_;
      co_return http::json_response(status, body_);
    }
    if (request.path == "/.well-known/oauth-authorization-server" + path_) {
      std::string metadata = metadata_;
      if (metadata.empty()) {
        json::ObjectWriter(metadata).add("issuer", issuer()).add("jwks_uri", origin() + "/jwks").end();
      }
      co_return http::json_response(200, metadata);
    }
    co_return http::json_response(404, "{}");
  }

  const std::string path_;
  std::mutex mutex_;
  std::string body_ = R"({"keys":[]})";
  std::string metadata_;
  std::atomic<int> fetches_{0};
  http::Server server_;
};

KeySource::Options options_for(const KeyServer& server) {
  KeySource::Options options;
  options.issuer = server.issuer();
  options.unknown_key_wait = 5'000;
  options.unknown_key_pause = 0;
  return options;
}

struct Reader {
  Reader(const KeyServer& server, KeySource& keys) : verifier(options(server), keys, nullptr) {}
  static VerifierOptions options(const KeyServer& server) {
    VerifierOptions options = api_options();
    options.issuer = server.issuer();
    return options;
  }
  std::string token_of(const crypto::SigningKey& key) const {
    return sign(with(delegated_claims(), "iss", verifier.options().issuer), "at+jwt", key);
  }
  std::string judge(std::string_view token) {
    const Verdict verdict = verifier.verify(token, kNowMs);
    return verdict ? "accepted" : std::string(name_of(verdict.refusal));
  }
  std::string read(const crypto::SigningKey& key) { return judge(token_of(key)); }
  Verifier verifier;
};

TEST(Keys, are_found_by_the_metadata_of_the_issuer) {
  for (const std::string path : {"", "/tenant/a"}) {
    KeyServer server(path);
    const auto key = fresh_key();
    server.publish({key});
    KeySource keys(options_for(server));
    EXPECT_EQ(Reader(server, keys).read(key), "accepted") << path;
    EXPECT_EQ(keys.refresh_now(), "");
    EXPECT_EQ(keys.trouble(), "");
  }
}

TEST(Keys, metadata_that_names_another_issuer_names_no_keys) {  // RFC 8414 §3.3
  KeyServer server;
  const auto key = fresh_key();
  server.publish({key});
  const std::string jwks = server.origin() + "/jwks";
  for (const std::string& metadata : std::vector<std::string>{
           R"({"issuer":"https://evil.example","jwks_uri":")" + jwks + R"("})",
           R"({"jwks_uri":")" + jwks + R"("})", R"({"issuer":")" + server.issuer() + R"("})",
           R"({"issuer":")" + server.issuer() + R"(","jwks_uri":"ftp://x"})", std::string("[]"),
           std::string("nonsense")}) {
    server.set_metadata(metadata);
    KeySource keys(options_for(server));
    EXPECT_NE(keys.refresh_now(), "") << metadata;
    EXPECT_EQ(Reader(server, keys).read(key), "keys_unavailable") << metadata;
  }
}

TEST(Keys, a_new_key_is_fetched_when_a_token_names_it) {
  KeyServer server;
  const auto first = fresh_key();
  const auto second = fresh_key();
  server.publish({first});
  KeySource keys(options_for(server));
  Reader reader(server, keys);
  EXPECT_EQ(reader.read(first), "accepted");
  EXPECT_EQ(reader.read(second), "signature");
  server.publish({first, second});
  EXPECT_EQ(reader.read(second), "accepted");
  const std::string seen = reader.token_of(first);
  EXPECT_EQ(reader.judge(seen), "accepted");
  server.publish({second});
  EXPECT_EQ(keys.refresh_now(), "");
  EXPECT_EQ(reader.judge(seen), "signature") << "no longer published: seen tokens go too";
  EXPECT_EQ(reader.read(second), "accepted");
}

TEST(Keys, unknown_keys_cause_no_more_requests_than_allowed) {
  KeyServer server;
  const auto key = fresh_key();
  server.publish({key});
  KeySource::Options options = options_for(server);
  options.unknown_key_pause = 60'000;
  KeySource keys(options);
  Reader reader(server, keys);
  EXPECT_EQ(reader.read(key), "accepted");
  const int before = server.fetches();
  const Milliseconds began = steady_now();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(reader.read(fresh_key()), "signature");
  EXPECT_EQ(server.fetches(), before);
  EXPECT_LT(steady_now() - began, 4'000) << "nobody waits for a request that is not made";
}

TEST(Keys, tokens_that_are_not_for_us_cause_no_request) {
  KeyServer server;
  const auto key = fresh_key();
  server.publish({key});
  KeySource keys(options_for(server));
  Reader reader(server, keys);
  EXPECT_EQ(reader.read(key), "accepted");
  const int before = server.fetches();
  const auto stranger = fresh_key();
  EXPECT_EQ(reader.verifier.verify(sign(delegated_claims(), "at+jwt", stranger), kNowMs).refusal,
            Refusal::kIssuer);
  const json::Value claims = with(delegated_claims(), "iss", server.issuer());
  EXPECT_EQ(reader.verifier.verify(sign(claims, "JWT", stranger), kNowMs).refusal, Refusal::kType);
  EXPECT_EQ(server.fetches(), before);
}

TEST(Keys, the_old_set_holds_while_the_server_fails_and_not_for_ever) {  // I-17  // I-17
  KeyServer server;
  const auto key = fresh_key();
  server.publish({key});
  KeySource::Options options = options_for(server);
  options.keep = 1'500;
  options.unknown_key_wait = 0;
  KeySource keys(options);
  EXPECT_EQ(keys.refresh_now(), "");
  Reader reader(server, keys);
  server.status = 500;
  EXPECT_EQ(keys.refresh_now(), server.origin() + "/jwks answers 500");
  EXPECT_EQ(keys.trouble(), server.origin() + "/jwks answers 500");
  EXPECT_EQ(reader.read(key), "accepted");
  server.status = 200;
  server.set_body(R"({"keys":[{"kty":"oct","k":"AAAA"}]})");
  EXPECT_NE(keys.refresh_now(), "") << "a symmetric key in a public set";
  EXPECT_EQ(reader.read(key), "accepted");
  const Milliseconds until = steady_now() + 10'000;
  const std::string seen = reader.token_of(key);
  while (reader.judge(seen) == "accepted" && steady_now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(reader.judge(seen), "keys_unavailable");
  EXPECT_EQ(reader.read(key), "keys_unavailable");
  server.publish({key});
  EXPECT_EQ(keys.refresh_now(), "");
  EXPECT_EQ(reader.read(key), "accepted");
}

TEST(Keys, a_forgotten_key_does_not_come_back_though_it_is_still_published) {
  KeyServer server;
  const auto key = fresh_key();
  server.publish({key});
  KeySource keys(options_for(server));
  Reader reader(server, keys);
  const std::string seen = reader.token_of(key);
  EXPECT_EQ(reader.judge(seen), "accepted");
  keys.forget(key.key_id());
  EXPECT_EQ(reader.judge(seen), "signature");
  EXPECT_EQ(keys.refresh_now(), "");
  EXPECT_EQ(reader.judge(seen), "signature");
}

TEST(Keys, a_token_ends_with_its_key_though_another_takes_its_id) {
  KeyServer server;
  const auto named = [](const crypto::SigningKey& fresh) {
    json::Value jwk = fresh.private_jwk();
    jwk.set("kid", "k1");
    return crypto::SigningKey::import(jwk).value();
  };
  const auto key = named(fresh_key());
  server.publish({key});
  KeySource keys(options_for(server));
  Reader reader(server, keys);
  const std::string seen = reader.token_of(key);
  EXPECT_EQ(reader.judge(seen), "accepted");
  server.publish({named(fresh_key())});
  EXPECT_EQ(keys.refresh_now(), "");
  EXPECT_EQ(reader.judge(seen), "signature");
}

TEST(Keys, what_is_no_url_or_no_key_set_is_refused_at_once) {
  KeySource::Options options;
  options.issuer = "as.example";
  EXPECT_THROW(KeySource{options}, std::invalid_argument);
  EXPECT_THROW(KeySource::fixed("nonsense"), std::invalid_argument);
  EXPECT_THROW(KeySource::fixed(R"({"keys":[{"kty":"oct","k":"AAAA"}]})"), std::runtime_error);
}

TEST(Keys, an_end_does_not_wait_for_a_server_that_never_answers) {
  // A listening socket nobody accepts from: connections stand, answers never come.
  const http::Listening silent = http::listen_on(
      {.address = "127.0.0.1", .port = 0, .unix_path = {}, .tls = {}, .trusted_proxies = {}}, 1);
  KeySource::Options options;
  options.issuer = "http://127.0.0.1:" + std::to_string(silent.port);
  const Milliseconds began = steady_now();
  { KeySource keys(options); }
  EXPECT_LT(steady_now() - began, 3'000);
}

}  // namespace
}  // namespace behalf::sdk
