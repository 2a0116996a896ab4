// RFC 8936 polling and what the SETs say (SSF 1.0, CAEP 1.0, RFC 8417): docs/revocation-feed.md.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <thread>

#include "crypto/jwt.h"
#include "protocol/ssf_receiver.h"

namespace behalf::test {
namespace {

using Names = std::vector<std::string>;
using SteadyClock = std::chrono::steady_clock;

int64_t milliseconds_since(SteadyClock::time_point began) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - began).count();
}

// A receiver with a new stream that has heard all there was.
struct Listening {
  TestServer server;
  SsfReceiver receiver{server};
  Listening() {
    receiver.create();
    receiver.drain();
  }
  std::string only() {
    const auto sets = receiver.drain();
    EXPECT_EQ(sets.size(), 1U);
    return sets.empty() ? "" : revoked_in(sets[0]);
  }
};

TEST(SsfPoll, every_revocation_is_told_by_the_name_that_tokens_show) {
  Listening world;
  const std::string token = world.server.flow("ca", "a1", "r1.read").text("access_token");
  const json::Value claims = claims_of(token);
  world.server.admin("POST", "/grants/revoke", json_of(R"({"id":")" + text_at(claims, "grant_id") + "\"}"));
  auto sets = world.receiver.drain();
  ASSERT_EQ(revoked_in_all(sets), Names{"session " + text_at(claims, "grant_id")});
  EXPECT_EQ(text_at(*sets[0].find("sub_id")->find("user"), "sub"), "u1");
  EXPECT_EQ(text_at(*sets[0].find("sub_id")->find("application"), "sub"), "a1");

  const std::string hop = world.server.flow("ca", "a1", "r1.read").text("access_token");
  EXPECT_EQ(world.server.as("ca", "/revoke", {{"token", hop}}).status, 200);
  EXPECT_EQ(world.only(), "token " + text_at(claims_of(hop), "jti"));

  world.server.suspend("agent", "a2");
  EXPECT_EQ(world.only(), "application a2");
  world.server.suspend("client", "cb");
  EXPECT_EQ(world.only(), "application cb");
  world.server.suspend("user", "u1");
  EXPECT_EQ(world.only(), "user u1")
      << "the consents of a person who is suspended need no items of their own";
  world.server.resume("user", "u1");
  EXPECT_EQ(world.receiver.drain().size(), 0U);
}

TEST(SsfPoll, less_than_a_token_says_is_a_claims_change) {
  Listening world;
  json::Value::Array less;
  less.emplace_back("r1.read");
  world.server.change("agents", "a1", "scopes", less);
  auto sets = world.receiver.drain();
  ASSERT_EQ(revoked_in_all(sets), Names{"application a1"});
  auto [event, content] = event_in(sets[0]);
  EXPECT_EQ(event, kClaimsChangeEvent);
  ASSERT_NE(content.find("claims"), nullptr) << "CAEP 1.0 §3.2 requires it";
  EXPECT_EQ(text_at(*content.find("claims"), "scope"), "r1.read");
  world.server.change("agents", "a1", "name", "Another name");
  EXPECT_EQ(world.receiver.drain().size(), 0U);
}

TEST(SsfPoll, a_hop_that_ends_takes_all_below_it_one_item_each) {
  Listening world;
  const std::string first = world.server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string second = world.server.exchange("ca", first, "a2").text("access_token");
  ASSERT_FALSE(second.empty());
  world.server.as("ca", "/revoke", {{"token", first}});
  // In the order of their ids, which within a millisecond is any.
  Names told = revoked_in_all(world.receiver.drain());
  std::sort(told.begin(), told.end());
  Names ended{"token " + text_at(claims_of(first), "jti"), "token " + text_at(claims_of(second), "jti")};
  std::sort(ended.begin(), ended.end());
  EXPECT_EQ(told, ended);
}

TEST(SsfPoll, a_token_that_does_not_show_an_agent_ends_with_it_all_the_same) {
  Listening world;
  world.server.change("resources", kR2, "chain_disclosure", "outermost");
  const std::string first = world.server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  const std::string second =
      world.server.exchange("m1", first, "a2", {{"resource", kR2}}).text("access_token");
  ASSERT_EQ(chain_of(second), Names{"a2"}) << "a1 is hidden";
  world.receiver.drain();
  world.server.suspend("agent", "a1");
  EXPECT_EQ(revoked_in_all(world.receiver.drain()),
            (Names{"application a1", "token " + text_at(claims_of(second), "jti")}));
}

TEST(SsfPoll, a_set_is_what_the_specifications_say) {  // RFC 8417 §2.2
  Listening world;
  world.server.suspend("agent", "a1");
  const Reply reply = world.receiver.poll();
  ASSERT_EQ(SsfReceiver::sets_of(reply).size(), 1U) << reply.body;
  const std::string token = *reply.json.find("sets")->object()->front().value.string();
  const json::Value header = header_of(token);
  EXPECT_EQ(text_at(header, "typ"), "secevent+jwt");
  const json::Value claims = claims_of(token);
  EXPECT_EQ(text_at(claims, "iss"), kIssuer);
  EXPECT_EQ(text_at(claims, "aud"), "m1");
  EXPECT_EQ(claims.find("sub"), nullptr) << "RFC 8417 §2.2 with SSF: sub_id only";
  EXPECT_EQ(claims.find("exp"), nullptr);
  EXPECT_TRUE(claims.find_integer("iat"));
  EXPECT_FALSE(text_at(claims, "txn").empty());
  const auto [event, content] = event_in(claims);
  EXPECT_EQ(event, kSessionRevokedEvent);
  EXPECT_EQ(content.find_integer("event_timestamp"), *content.find_integer("behalf_at") / 1000);
  EXPECT_GE(*content.find_integer("behalf_until"), *content.find_integer("behalf_at") + 3'600'000);
  EXPECT_EQ(text_at(content, "initiating_entity"), "admin");
  EXPECT_EQ(text_at(*content.find("reason_admin"), "en"), "agent_suspended");
  // Signed with a published key.
  const auto jwt = crypto::EncodedJwt::parse(token);
  ASSERT_TRUE(jwt);
  constexpr std::string_view kTypes[] = {"secevent+jwt"};
  crypto::Expectations wanted;
  wanted.types = kTypes;
  wanted.issuer = kIssuer;
  wanted.audience_rule = crypto::AudienceRule::kIgnore;
  wanted.kind = crypto::JwtKind::kProof;
  const auto set = crypto::import_key_set(world.server.get("/jwks").json);
  ASSERT_TRUE(set);
  std::vector<crypto::VerifyingKey> named;
  for (const crypto::VerifyingKey& key : *set) {
    if (key.key_id() == text_at(header, "kid")) named.push_back(key);
  }
  EXPECT_EQ(named.size(), 1U);
  EXPECT_TRUE(crypto::verify(*jwt, wanted, named, world.server.clock.now()));
}

TEST(SsfPoll, what_is_not_acknowledged_comes_again_as_it_was) {  // RFC 8936 §2.4
  Listening world;
  world.server.suspend("agent", "a1");
  world.server.suspend("agent", "a2");
  const auto first = SsfReceiver::sets_of(world.receiver.poll());
  ASSERT_EQ(first.size(), 2U);
  const auto again = SsfReceiver::sets_of(world.receiver.poll());
  EXPECT_EQ(first, again) << "jti and all other claims are the same";
  // Only the second is acknowledged.
  const auto left = SsfReceiver::sets_of(world.receiver.poll(SsfReceiver::acknowledgement({first[1]})));
  EXPECT_EQ(left, std::vector<json::Value>{first[0]});
  EXPECT_EQ(SsfReceiver::sets_of(world.receiver.poll(SsfReceiver::acknowledgement({first[0]}))).size(), 0U);
  EXPECT_EQ(SsfReceiver::sets_of(world.receiver.poll()).size(), 0U);
}

TEST(SsfPoll, an_error_of_the_receiver_is_an_end_of_the_matter) {  // RFC 8936 §2.6
  Listening world;
  world.server.suspend("agent", "a1");
  const auto sets = SsfReceiver::sets_of(world.receiver.poll());
  ASSERT_EQ(sets.size(), 1U);
  const std::string body = R"({"returnImmediately":true,"setErrs":{")" + text_at(sets[0], "jti") +
                           R"(":{"err":"invalid_request","description":"no"}}})";
  EXPECT_EQ(SsfReceiver::sets_of(world.receiver.poll(body)).size(), 0U);
}

TEST(SsfPoll, max_events_cuts_and_zero_acknowledges_only) {  // RFC 8936 §2.2
  Listening world;
  for (const char* agent : {"a1", "a2", "a4"}) world.server.suspend("agent", agent);
  const Reply two = world.receiver.poll(R"({"maxEvents":2,"returnImmediately":true})");
  const auto sets = SsfReceiver::sets_of(two);
  EXPECT_EQ(revoked_in_all(sets), (Names{"application a1", "application a2"})) << "oldest first";
  EXPECT_TRUE(SsfReceiver::has_more(two));
  std::string body = SsfReceiver::acknowledgement(sets);
  body.insert(1, "\"maxEvents\":0,");
  const auto began = SteadyClock::now();
  const Reply none = world.receiver.poll(body);
  EXPECT_EQ(SsfReceiver::sets_of(none).size(), 0U);
  EXPECT_TRUE(SsfReceiver::has_more(none)) << "a4 is still to come, and nobody may think it knows everything";
  EXPECT_LT(milliseconds_since(began), 1000) << "not held";
  const Reply last = world.receiver.poll(R"({"maxEvents":1,"returnImmediately":true})");
  EXPECT_EQ(revoked_in_all(SsfReceiver::sets_of(last)), Names{"application a4"});
  EXPECT_FALSE(SsfReceiver::has_more(last)) << "exactly as many as there are is all";
}

TEST(SsfPoll, a_verification_counts_among_the_events_that_were_asked_for) {  // RFC 8936 §2.2
  Listening world;
  const std::string body = R"({"stream_id":")" + world.receiver.stream + R"("})";
  EXPECT_EQ(world.receiver.call("POST", "/ssf/verify", body).status, 204);
  const Reply none = world.receiver.poll(R"({"maxEvents":0})");
  EXPECT_EQ(SsfReceiver::sets_of(none).size(), 0U);
  EXPECT_TRUE(SsfReceiver::has_more(none)) << "the verification waits";
  for (const char* agent : {"a1", "a2"}) world.server.suspend("agent", agent);
  const Reply one = world.receiver.poll(R"({"maxEvents":1,"returnImmediately":true})");
  auto sets = SsfReceiver::sets_of(one);
  ASSERT_EQ(sets.size(), 1U);
  EXPECT_EQ(event_in(sets[0]).first, kVerificationEvent);
  EXPECT_TRUE(SsfReceiver::has_more(one));
  const Reply two = world.receiver.poll(R"({"maxEvents":2,"returnImmediately":true})");
  EXPECT_EQ(SsfReceiver::sets_of(two).size(), 2U);
  EXPECT_TRUE(SsfReceiver::has_more(two));
  EXPECT_EQ(SsfReceiver::sets_of(world.receiver.poll(R"({"maxEvents":3,"returnImmediately":true})")).size(),
            3U);
}

TEST(SsfPoll, what_happens_to_another_stream_does_not_end_a_wait) {
  Listening world;
  SsfReceiver other(world.server, "ca");
  const auto began = SteadyClock::now();
  int64_t took = 0;
  std::thread waiting([&] {
    EXPECT_EQ(SsfReceiver::sets_of(world.receiver.poll("{}")).size(), 0U);
    took = milliseconds_since(began);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  for (int i = 0; i < 3; ++i) other.create();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const int64_t paused = milliseconds_since(began);
  SsfReceiver same(world.server);  // its own change does
  EXPECT_EQ(
      same.call("POST", "/ssf/status", R"({"status":"paused","stream_id":")" + world.receiver.stream + "\"}")
          .status,
      200);
  waiting.join();
  EXPECT_GE(took, paused);
  EXPECT_LT(took, paused + 1000);
}

TEST(SsfPoll, a_refusal_is_in_the_log) {
  Listening world;
  const auto last = [&] {
    const json::Value record = world.server.last_audit();
    EXPECT_EQ(text_at(record, "client"), "m1");
    return text_at(record, "event") + " " + text_at(record, "outcome") + " " + text_at(record, "reason");
  };
  EXPECT_EQ(world.receiver.poll("[]").status, 400);
  EXPECT_EQ(last(), "signals.poll denied poll_malformed");
  EXPECT_EQ(world.receiver.call("POST", "/ssf/poll?stream_id=unknown", "{}").status, 404);
  EXPECT_EQ(last(), "signals.poll denied stream_unknown");
  EXPECT_EQ(world.receiver.call("GET", "/ssf/streams?stream_id=unknown").status, 404);
  EXPECT_EQ(last(), "signals.stream.read denied stream_unknown");
  EXPECT_EQ(world.receiver.call("GET", "/ssf/status?stream_id=unknown").status, 404);
  EXPECT_EQ(last(), "signals.status.read denied stream_unknown");
}

TEST(SsfPoll, an_answer_with_nothing_to_say_is_held_until_something_happens) {  // RFC 8936 §2.2
  Listening world;
  std::vector<json::Value> heard;
  int64_t took = 0;
  const auto began = SteadyClock::now();
  std::thread waiting([&] {
    heard = SsfReceiver::sets_of(world.receiver.poll("{}"));
    took = milliseconds_since(began);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  world.server.suspend("agent", "a1");
  const int64_t revoked = milliseconds_since(began);
  waiting.join();
  EXPECT_EQ(revoked_in_all(heard), Names{"application a1"});
  EXPECT_GE(took, 300);
  EXPECT_LT(took - revoked, 500);
}

TEST(SsfPoll, a_held_answer_comes_after_five_seconds_at_the_latest) {
  Listening world;
  const auto began = SteadyClock::now();
  const Reply reply = world.receiver.poll("{}");
  EXPECT_EQ(SsfReceiver::sets_of(reply).size(), 0U);
  EXPECT_FALSE(SsfReceiver::has_more(reply));
  EXPECT_GE(milliseconds_since(began), 4500);
  EXPECT_LT(milliseconds_since(began), 8000);
}

TEST(SsfPoll, a_server_that_stops_does_not_wait_for_held_polls) {
  Listening world;
  std::thread waiting([&] {
    try {
      world.receiver.poll("{}");
    } catch (const std::exception&) {
      // The connection may be closed before the answer.
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto began = SteadyClock::now();
  world.server.restart();
  EXPECT_LT(milliseconds_since(began), 3000);
  waiting.join();
}

TEST(SsfPoll, a_restart_loses_neither_items_nor_places) {
  Listening world;
  world.server.suspend("agent", "a1");
  auto sets = SsfReceiver::sets_of(world.receiver.poll());
  world.receiver.poll(SsfReceiver::acknowledgement(sets));
  world.server.suspend("agent", "a2");
  world.server.restart();
  EXPECT_EQ(revoked_in_all(SsfReceiver::sets_of(world.receiver.poll())), Names{"application a2"});
}

TEST(SsfPoll, a_new_stream_begins_with_everything_that_is_still_kept) {
  Listening world;
  world.server.suspend("agent", "a1");
  world.receiver.drain();
  world.receiver.create();
  const auto sets = world.receiver.drain();
  const auto names = revoked_in_all(sets);
  EXPECT_NE(std::find(names.begin(), names.end(), "application a1"), names.end());
  EXPECT_NE(std::find(names.begin(), names.end(), "application a3"), names.end()) << "from before any stream";
  world.server.clock.advance(Seconds{3600 + 120});
  SsfReceiver later(world.server);
  later.create();
  EXPECT_EQ(later.drain().size(), 0U) << "no token it could concern is alive";
}

TEST(SsfPoll, a_new_stream_is_held_also_where_nothing_is_kept_any_more) {
  Listening world;
  world.server.suspend("agent", "a1");
  world.server.clock.advance(Seconds{2 * 3600});
  world.server.services().store.run([&](store::Transaction& transaction) {
    transaction.purge_revocations(world.server.clock.now(), 1000);
  });
  for (int restarts = 0; restarts < 2; ++restarts) {
    SsfReceiver later(world.server);
    later.create();
    EXPECT_EQ(later.drain().size(), 0U);
    const auto began = SteadyClock::now();
    const std::clock_t busy = std::clock();
    EXPECT_EQ(SsfReceiver::sets_of(later.poll("{}")).size(), 0U);
    EXPECT_GE(milliseconds_since(began), 4500);
    EXPECT_LT(std::clock() - busy, CLOCKS_PER_SEC) << "held, not looked at again and again";
    world.server.restart();
  }
}

TEST(SsfPoll, a_stream_hears_only_of_the_events_it_asked_for) {
  TestServer server;
  SsfReceiver receiver(server);
  receiver.create(R"({"events_requested":[")" + kClaimsChangeEvent + "\"]}");
  receiver.drain();
  server.suspend("agent", "a2");
  EXPECT_EQ(receiver.drain().size(), 0U);
  server.change("agents", "a1", "scopes", json::Value::Array{json::Value("r1.read")});
  EXPECT_EQ(revoked_in_all(receiver.drain()), Names{"application a1"});
  receiver.create(R"({"events_requested":["urn:unknown"]})");
  EXPECT_EQ(receiver.drain().size(), 0U);
  receiver.create(R"({"events_requested":[]})");
  EXPECT_EQ(receiver.drain().size(), 0U) << "none is not all";
}

TEST(SsfPoll, malformed_requests_are_refused_and_harm_nothing) {
  Listening world;
  world.server.suspend("agent", "a1");
  for (const char* body :
       {"[]", "{", "\"x\"", R"({"maxEvents":-1})", R"({"maxEvents":"1"})", R"({"returnImmediately":1})",
        R"({"ack":"x"})", R"({"ack":[1]})", R"({"setErrs":[]})", R"({"ack":[],"ack":[]})"}) {
    EXPECT_EQ(world.receiver.poll(body).status, 400) << body;
  }
  // Acknowledging what was never sent, or is none of ours, takes nothing away.
  for (const char* jti :
       {"", ".", "0.1", "-1.1", "999999999.1", "99999999999999999999999.1", "x", "1", "1.1"}) {
    EXPECT_EQ(SsfReceiver::sets_of(
                  world.receiver.poll(R"({"returnImmediately":true,"ack":[")" + std::string(jti) + "\"]}"))
                  .size(),
              1U)
        << jti;
  }
}

TEST(SsfPoll, who_may_not_listen_hears_nothing) {
  Listening world;
  const std::string path = "/ssf/poll?stream_id=" + world.receiver.stream;
  EXPECT_EQ(world.server.send({.method = "POST", .path_and_query = path, .headers = {}, .body = "{}"}).status,
            401);
  EXPECT_EQ(world.receiver.call("POST", path, "{}", "nonsense").status, 401);
  const std::string for_api = world.server.flow("ca", "a1", "r1.read").text("access_token");
  EXPECT_EQ(world.receiver.call("POST", path, "{}", for_api).status, 401);
  EXPECT_EQ(world.receiver.call("POST", path, "{}", world.server.issued_actor_token("a1")).status, 403);
  SsfReceiver stranger(world.server, "ca");
  stranger.stream = world.receiver.stream;
  EXPECT_EQ(stranger.poll().status, 404) << "another client's stream does not exist";
  EXPECT_EQ(world.receiver.call("POST", "/ssf/poll?stream_id=unknown", "{}").status, 404);
  EXPECT_EQ(world.receiver.call("POST", "/ssf/poll", "{}").status, 404);
  EXPECT_EQ(world.receiver.call("GET", path).status, 405);
  world.server.suspend("client", "m1");
  EXPECT_EQ(world.receiver.poll().status, 401) << "a client that is suspended hears nothing more";
}

}  // namespace
}  // namespace behalf::test
