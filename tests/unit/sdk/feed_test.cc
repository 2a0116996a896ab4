// The feed against a server that does what the test says: what it learns, what it does not believe, and that
// it misses nothing whoever goes away.
#include "behalf/feed.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "behalf/verifier.h"
#include "unit/sdk/scripted_server.h"

namespace behalf::sdk {
namespace {

using namespace testing;

constexpr Milliseconds kPatience = 20'000;

Feed::Options options_for(const ScriptedServer& server) {
  Feed::Options options;
  options.issuer = server.issuer();
  options.client_id = "mail-api";
  options.client_secret = "a:secret";
  return options;
}

KeySource::Options keys_of(const ScriptedServer& server) {
  KeySource::Options options;
  options.issuer = server.issuer();
  options.unknown_key_pause = 0;
  return options;
}

struct Receiver {
  explicit Receiver(ScriptedServer& server, std::optional<Feed::Options> options = {})
      : keys(keys_of(server)),
        feed(std::in_place, options.value_or(options_for(server)), revocations, keys) {}

  bool is_revoked(const Delegation& delegation) const { return revocations.revokes(delegation); }
  template <class Fact>
  static bool wait(Fact fact) {
    const Milliseconds until = steady_now() + kPatience;
    while (!fact() && steady_now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return fact();
  }

  Revocations revocations;
  KeySource keys;
  std::optional<Feed> feed;
};

Delegation token_of(std::string_view grant) {
  Delegation delegation;
  delegation.subject = "alice";
  delegation.client = "app";
  delegation.token_id = "token-1";
  delegation.grant = grant;
  delegation.resource = "https://api.example";
  delegation.key_id = "key-1";
  delegation.issued_at = kNowMs;
  return delegation;
}

TEST(Feed, a_new_receiver_knows_at_once_what_is_kept_and_soon_what_comes) {
  ScriptedServer server;
  for (int i = 0; i < 10; ++i) server.say(server.set_claims(server.grant("grant-" + std::to_string(i))));
  Receiver receiver(server);
  ASSERT_TRUE(receiver.feed->wait_until_current(kPatience)) << receiver.feed->trouble();
  EXPECT_EQ(receiver.revocations.size(), 10u);
  EXPECT_FALSE(receiver.revocations.is_stale(steady_now()));
  EXPECT_EQ(receiver.feed->trouble(), "");

  std::atomic<int> changes{0};
  receiver.feed->on_change([&] { ++changes; });
  EXPECT_FALSE(receiver.is_revoked(token_of("late")));
  const std::string late = server.say(server.set_claims(server.grant("late")));
  EXPECT_TRUE(Receiver::wait([&] { return receiver.is_revoked(token_of("late")); }));
  EXPECT_TRUE(Receiver::wait([&] { return changes == 1; }));
  EXPECT_TRUE(server.wait([&] { return server.acknowledged.contains(late); }));
  EXPECT_EQ(server.acknowledged.size(), 11u);
}

TEST(Feed, each_event_ends_what_it_names_and_nothing_else) {  // RFC 8417 §2.2
  ScriptedServer server;
  constexpr std::string_view kClaimsChange =
      "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
  const json::Value jwt_id =
      json::Value::Object{{"format", "jwt_id"}, {"iss", server.issuer()}, {"jti", "token-1"}};
  json::Value consent = server.grant("grant-1");
  consent.set("user", server.principal("bob"));
  consent.set("application", server.principal("bobs-app"));
  const std::vector<std::pair<std::string, json::Value>> rows = {
      {"person", server.set_claims(server.complex("user", server.principal("alice")))},
      {"client", server.set_claims(server.complex("application", server.principal("app")))},
      {"consent", server.set_claims(consent)},
      {"token", server.set_claims(server.complex("session", jwt_id))},
      {"ceiling", server.set_claims(server.complex("user", server.principal("alice")), kClaimsChange)},
      {"resource",
       server.set_claims(server.complex("resource", ScriptedServer::opaque("https://api.example")),
                         kClaimsChange)},
      {"key", server.set_claims(ScriptedServer::opaque("key-1"), "urn:behalf:event:key-revoked")},
  };
  for (const auto& [name, claims] : rows) {
    SCOPED_TRACE(name);
    ScriptedServer own;
    json::Value moved = claims;
    std::string text = json::write(claims);
    for (size_t at; (at = text.find(server.issuer())) != std::string::npos;) {
      text.replace(at, server.issuer().size(), own.issuer());
    }
    Receiver receiver(own);
    own.say(*json::parse(text));
    EXPECT_TRUE(Receiver::wait([&] { return receiver.is_revoked(token_of("grant-1")); }));
    Delegation other = token_of("grant-2");
    other.subject = "bob";
    other.client = "bobs-app";
    other.token_id = "token-2";
    other.resource = "https://other.example";
    other.key_id = "key-2";
    EXPECT_FALSE(receiver.is_revoked(other));
    EXPECT_EQ(receiver.revocations.size(), 1u);
  }
}

TEST(Feed, what_cannot_be_used_is_said_to_the_server_and_the_rest_is_taken) {  // RFC 8936 §2.4
  ScriptedServer server;
  const json::Value good = server.set_claims(server.grant("grant-1"));
  const auto put = [&](json::Value claims, std::string_view type) {
    static int number = 0;
    const std::string jti = "bad-" + std::to_string(++number);
    if (claims.find("jti") != nullptr) claims.set("jti", jti);
    server.deliver(jti, sign(claims, type));
    return jti;
  };
  const auto both = [&] {
    json::Value subject = server.complex("user", server.principal("alice"));
    subject.set("application", server.principal("app"));
    return subject;
  }();
  json::Value foreign = server.principal("alice");
  foreign.set("iss", "https://other.example");
  std::map<std::string, std::string> expected;
  expected[put(good, "at+jwt")] = "invalid_request";
  expected[put(with(good, "iss", "https://other.example"), "secevent+jwt")] = "invalid_issuer";
  expected[put(with(good, "aud", "other-api"), "secevent+jwt")] = "invalid_audience";
  expected[put(without(good, "events"), "secevent+jwt")] = "invalid_request";
  expected[put(with(good, "events", json::Value::Object{}), "secevent+jwt")] = "invalid_request";
  expected[put(without(good, "sub_id"), "secevent+jwt")] = "invalid_request";
  expected[put(without(good, "jti"), "secevent+jwt")] = "invalid_request";
  expected[put(without(good, "iat"), "secevent+jwt")] = "invalid_request";
  expected[put(server.set_claims(both), "secevent+jwt")] = "invalid_request";
  expected[put(server.set_claims(server.complex("user", foreign)), "secevent+jwt")] = "invalid_request";
  expected[put(server.set_claims(server.complex("user", "alice")), "secevent+jwt")] = "invalid_request";
  expected[put(server.set_claims(ScriptedServer::opaque("alice")), "secevent+jwt")] = "invalid_request";
  server.deliver("bad-jti", sign(with(good, "jti", "another"), "secevent+jwt"));
  expected["bad-jti"] = "invalid_request";
  server.deliver("bad-form", "nonsense");
  expected["bad-form"] = "invalid_request";
  std::string bent = sign(with(good, "jti", "bad-signature"), "secevent+jwt");
  bent[bent.size() - 20] = bent[bent.size() - 20] == 'A' ? 'B' : 'A';
  server.deliver("bad-signature", bent);
  expected["bad-signature"] = "authentication_failed";
  const std::string unknown = server.say(server.set_claims(ScriptedServer::opaque("x"), "urn:something:new"));
  const std::string last = server.say(server.set_claims(server.grant("grant-2")));

  Receiver receiver(server);
  EXPECT_TRUE(server.wait([&] {
    return server.refused.size() == expected.size() && server.acknowledged.contains(unknown) &&
           server.acknowledged.contains(last);
  }));
  EXPECT_TRUE(server.wait([&] { return server.refused == expected; }));
  EXPECT_TRUE(receiver.is_revoked(token_of("grant-2")));
  EXPECT_EQ(receiver.revocations.size(), 1u) << "nothing of the rest was believed";
  EXPECT_NE(receiver.feed->trouble().find("a security event could not be used"), std::string::npos);
}

TEST(Feed, an_event_signed_with_a_key_that_cannot_be_had_is_not_passed_over) {
  ScriptedServer server;
  const auto fresh = crypto::SigningKey::generate(crypto::Algorithm::kES256);
  server.sign_with(fresh);
  const std::string jti = server.say(server.set_claims(server.grant("grant-1")));
  Receiver receiver(server);
  EXPECT_FALSE(receiver.feed->wait_until_current(700));
  EXPECT_LT(receiver.revocations.age(steady_now()), 0) << "nothing counts as known";
  EXPECT_NE(receiver.feed->trouble().find("key that cannot be had"), std::string::npos);
  server.publish({fresh});
  EXPECT_TRUE(Receiver::wait([&] { return receiver.is_revoked(token_of("grant-1")); }));
  EXPECT_TRUE(server.wait([&] { return server.acknowledged.contains(jti); }));
  EXPECT_TRUE(server.wait([&] { return server.refused.empty(); }));
}

TEST(Feed, a_server_that_goes_and_comes_back_is_followed_where_it_left) {
  ScriptedServer server;
  Receiver receiver(server);
  ASSERT_TRUE(receiver.feed->wait_until_current(kPatience));
  server.kill();
  EXPECT_TRUE(Receiver::wait([&] { return !receiver.feed->trouble().empty(); }));
  EXPECT_FALSE(receiver.feed->wait_until_current(300)) << "nobody can know";
  const Milliseconds silent = receiver.revocations.age(steady_now());
  EXPECT_GE(silent, 300);
  server.say(server.set_claims(server.grant("grant-1")));
  server.restart();
  EXPECT_TRUE(receiver.feed->wait_until_current(kPatience)) << receiver.feed->trouble();
  EXPECT_TRUE(receiver.is_revoked(token_of("grant-1")));
  EXPECT_TRUE(Receiver::wait([&] { return receiver.feed->trouble().empty(); })) << receiver.feed->trouble();
  EXPECT_EQ(server.streams_made, 1) << "the stream went on";
}

TEST(Feed, a_stream_the_server_has_forgotten_is_made_anew) {
  ScriptedServer server;
  server.say(server.set_claims(server.grant("grant-1")));
  Receiver receiver(server);
  ASSERT_TRUE(receiver.feed->wait_until_current(kPatience));
  server.forget_streams();
  server.say(server.set_claims(server.grant("grant-2")));
  EXPECT_TRUE(Receiver::wait([&] { return receiver.is_revoked(token_of("grant-2")); }));
  EXPECT_TRUE(server.wait([&] { return server.streams_made == 2; }));
  EXPECT_TRUE(receiver.is_revoked(token_of("grant-1")));
}

TEST(Feed, a_token_that_is_no_longer_good_is_replaced) {
  ScriptedServer server;
  Receiver receiver(server);
  ASSERT_TRUE(receiver.feed->wait_until_current(kPatience));
  server.forget_tokens();
  server.say(server.set_claims(server.grant("grant-1")));
  EXPECT_TRUE(Receiver::wait([&] { return receiver.is_revoked(token_of("grant-1")); }));
  EXPECT_TRUE(receiver.feed->wait_until_current(kPatience));
}

TEST(Feed, silence_of_a_paused_stream_is_no_knowledge) {
  ScriptedServer server;
  server.paused = true;
  server.say(server.set_claims(server.grant("grant-1")));
  Receiver receiver(server);
  EXPECT_FALSE(receiver.feed->wait_until_current(1'500));
  EXPECT_LT(receiver.revocations.age(steady_now()), 0);
  EXPECT_TRUE(server.wait([&] { return server.polls < 50; })) << "and it is not asked in a hurry";
  server.paused = false;
  EXPECT_TRUE(receiver.feed->wait_until_current(kPatience));
  EXPECT_TRUE(receiver.is_revoked(token_of("grant-1")));
}

TEST(Feed, answers_that_are_none_are_trouble_and_not_knowledge) {
  ScriptedServer server;
  server.poll_status = 503;
  Receiver receiver(server);
  EXPECT_FALSE(receiver.feed->wait_until_current(500));
  EXPECT_TRUE(Receiver::wait([&] { return receiver.feed->trouble() == "the poll is answered 503"; }));
  EXPECT_LT(receiver.revocations.age(steady_now()), 0);
  server.poll_status = 200;
  EXPECT_TRUE(receiver.feed->wait_until_current(kPatience));

  Feed::Options wrong = options_for(server);
  wrong.client_secret = "guessed";
  Receiver stranger(server, wrong);
  EXPECT_TRUE(
      Receiver::wait([&] { return stranger.feed->trouble().find("invalid_client") != std::string::npos; }));
  EXPECT_EQ(stranger.feed->trouble().find("guessed"), std::string::npos) << "no secret in what is shown";
  EXPECT_FALSE(stranger.feed->wait_until_current(100));
}

TEST(Feed, knows_the_agents_and_learns_when_one_changes) {
  ScriptedServer server;
  server.set_directory(
      R"({"agents":[{"id":"mail-agent","name":"Mail","publisher":"acme","owner":"ops","status":"active"}]})");
  Receiver receiver(server);
  ASSERT_TRUE(Receiver::wait([&] { return receiver.feed->agent("mail-agent") != nullptr; }));
  const auto agent = receiver.feed->agent("mail-agent");
  EXPECT_EQ(agent->name, "Mail");
  EXPECT_EQ(agent->publisher, "acme");
  EXPECT_EQ(agent->owner, "ops");
  EXPECT_EQ(agent->status, "active");
  EXPECT_EQ(receiver.feed->agent("other"), nullptr);
  server.set_directory(
      R"({"agents":[{"id":"mail-agent","name":"Mail","publisher":"acme","status":"suspended"}]})");
  const Milliseconds began = steady_now();
  server.say(server.set_claims(server.complex("application", server.principal("mail-agent"))));
  EXPECT_TRUE(Receiver::wait([&] { return receiver.feed->agent("mail-agent")->status == "suspended"; }));
  EXPECT_LT(steady_now() - began, 8'000) << "sooner than it is asked regularly";
}

TEST(Feed, leaves_at_once_and_leaves_no_stream_behind) {
  ScriptedServer server;
  {
    Receiver receiver(server);
    ASSERT_TRUE(receiver.feed->wait_until_current(kPatience));
    const Milliseconds began = steady_now();
    receiver.feed.reset();
    EXPECT_LT(steady_now() - began, 4'000);
  }
  EXPECT_TRUE(server.wait([&] { return server.removed == std::vector<std::string>{"stream-1"}; }));
}

TEST(Feed, after_a_crash_the_stream_of_before_is_replaced) {
  ScriptedServer server;
  char folder[] = "/tmp/behalf-feed-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  Feed::Options options = options_for(server);
  options.stream_id_file = std::string(folder) + "/stream";
  std::ofstream(options.stream_id_file) << "stream-of-before\n";
  {
    Receiver receiver(server, options);
    ASSERT_TRUE(receiver.feed->wait_until_current(kPatience));
    EXPECT_TRUE(server.wait([&] { return server.removed == std::vector<std::string>{"stream-of-before"}; }));
    std::string id;
    std::getline(std::ifstream(options.stream_id_file), id);
    EXPECT_EQ(id, "stream-1");
  }
  EXPECT_FALSE(std::filesystem::exists(options.stream_id_file));
  std::filesystem::remove_all(folder);
}

TEST(Feed, needs_an_issuer_that_is_a_url) {
  Revocations revocations;
  KeySource keys = KeySource::fixed(jwks_of({issuer_key()}));
  Feed::Options options;
  options.issuer = "as.example";
  EXPECT_THROW(Feed(options, revocations, keys), std::invalid_argument);
}

}  // namespace
}  // namespace behalf::sdk
