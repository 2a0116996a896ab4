// Token Status Lists (draft-ietf-oauth-status-list): what a token says of its place, and what the list says
// of it.
#include "oauth/status_list.h"

#include <zlib.h>

#include <mutex>
#include <set>
#include <thread>

#include "base/bytes.h"
#include "protocol/ssf_receiver.h"
#include "support/test_server.h"

namespace behalf::test {
namespace {

// An independent reader: zlib, then bit 0 is the least significant of the first byte.
std::string inflated(const std::string& lst) {
  const auto bytes = decode_base64url(lst);
  EXPECT_TRUE(bytes) << lst;
  std::string out(1024 * 1024, '\0');
  uLongf size = out.size();
  const int result = uncompress(reinterpret_cast<Bytef*>(out.data()), &size,
                                reinterpret_cast<const Bytef*>(bytes->data()), bytes->size());
  EXPECT_EQ(result, Z_OK);
  out.resize(size);
  return out;
}
int bit_of(const std::string& list, size_t index) {
  return (static_cast<unsigned char>(list.at(index / 8)) >> (index % 8)) & 1;
}

struct Place {
  int64_t index = -1;
  std::string uri;
};
Place place_of(const std::string& token) {
  const json::Value claims = claims_of(token);
  const json::Value* status = claims.find("status");
  const json::Value* list = status == nullptr ? nullptr : status->find("status_list");
  if (list == nullptr) return {};
  return {*list->find_integer("idx"), text_at(*list, "uri")};
}

struct StatusWorld {
  TestServer server;
  StatusWorld() { server.change("resources", kR1, "status_list", true); }
  std::string token() { return server.flow("ca", "a1", "r1.read").text("access_token"); }
  Reply list_at(const std::string& uri, const http::Headers& headers = {}) {
    return server.get(uri.substr(kIssuer.size()), headers);
  }
  // What the list says of that token, now.
  int status(const std::string& token) {
    server.clock.advance(Seconds{1});  // older than a list may be while something has ended
    const Place place = place_of(token);
    const Reply reply = list_at(place.uri);
    EXPECT_EQ(reply.status, 200) << reply.body;
    const json::Value claims = claims_of(reply.body);
    EXPECT_EQ(claims.find("status_list")->find_integer("bits"), 1);
    return bit_of(inflated(text_at(*claims.find("status_list"), "lst")), static_cast<size_t>(place.index));
  }
};

TEST(StatusList, the_drafts_own_example_reads_as_it_says) {  // SL-09
  const std::string list = inflated("eNrbuRgAAhcBXQ");
  const int wanted[] = {1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1};
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(bit_of(list, i), wanted[i]) << i;
}

TEST(StatusList, a_token_says_its_place_where_the_resource_asks_for_it_and_nowhere_else) {
  StatusWorld world;
  const Place place = place_of(world.token());
  EXPECT_EQ(place.uri, kIssuer + "/statuslists?list=0");
  EXPECT_GE(place.index, 0);
  EXPECT_LT(place.index, 65'536);
  const std::string elsewhere = world.server.flow("ca", "a1", "r2.read", kR2).text("access_token");
  EXPECT_EQ(claims_of(elsewhere).find("status"), nullptr);
}

TEST(StatusList, places_are_never_given_twice_and_tell_no_order) {
  StatusWorld world;
  std::set<int64_t> seen;
  int64_t before = 0;
  int neighbours = 0;
  for (int64_t i = 0; i < 65'536; ++i) {
    const int64_t place = oauth::scatter_status_place(world.server.services().keys, i);
    ASSERT_TRUE(place >= 0 && place < 65'536) << "within its list";
    ASSERT_TRUE(seen.insert(place).second) << "twice: " << place;
    if (place == before + 1) ++neighbours;
    before = place;
  }
  EXPECT_LT(neighbours, 50);
  EXPECT_GE(oauth::scatter_status_place(world.server.services().keys, 65'536), 65'536);
}

TEST(StatusList, every_end_is_a_bit_and_a_suspension_does_not_come_back) {  // SL-01, SL-02, SL-03
  StatusWorld world;
  const std::string revoked = world.token();
  const std::string consent = world.token();
  const std::string person =
      world.server
          .flow("ca", "a1", "r1.read", kR1, {.user = "u2", .allow = true, .scopes = {}, .onward = true})
          .text("access_token");
  const std::string agent = world.server.flow("ca", "a2", "r1.read").text("access_token");
  const std::string other = world.server.flow("cb", "", "r1.read").text("access_token");
  for (const std::string& token : {revoked, consent, person, agent, other}) EXPECT_EQ(world.status(token), 0);
  world.server.as("ca", "/revoke", {{"token", revoked}});
  EXPECT_EQ(world.status(revoked), 1);
  EXPECT_EQ(world.status(consent), 0) << "only that one";
  world.server.admin("POST", "/grants/revoke",
                     json_of(R"({"id":")" + text_at(claims_of(consent), "grant_id") + "\"}"));
  EXPECT_EQ(world.status(consent), 1);
  world.server.suspend("user", "u2");
  EXPECT_EQ(world.status(person), 1);
  world.server.suspend("agent", "a2");
  EXPECT_EQ(world.status(agent), 1);
  world.server.resume("agent", "a2");
  EXPECT_EQ(world.status(agent), 1) << "what was issued before a suspension is over for good";
  EXPECT_EQ(world.status(other), 0);
  world.server.restart();
  EXPECT_EQ(world.status(agent), 1);
  EXPECT_EQ(world.status(other), 0);
}

TEST(StatusList, the_list_is_a_signed_token_about_itself) {  // SL-05
  StatusWorld world;
  const Place place = place_of(world.token());
  const Reply reply = world.list_at(place.uri);
  EXPECT_EQ(reply.header("Content-Type"), "application/statuslist+jwt");
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(text_at(header_of(reply.body), "typ"), "statuslist+jwt");
  const json::Value claims = claims_of(reply.body);
  EXPECT_EQ(text_at(claims, "sub"), place.uri);
  EXPECT_EQ(text_at(claims, "iss"), kIssuer);
  EXPECT_EQ(claims.find_integer("ttl"), 60);
  EXPECT_GT(*claims.find_integer("exp"), *claims.find_integer("iat") + 60);
  const auto keys = crypto::import_key_set(world.server.get("/jwks").json);
  ASSERT_TRUE(keys);
  bool is_signed = false;
  const size_t dot = reply.body.rfind('.');
  for (const crypto::VerifyingKey& key : *keys) {
    if (key.key_id() != text_at(header_of(reply.body), "kid")) continue;
    is_signed = key.verify(reply.body.substr(0, dot), *decode_base64url(reply.body.substr(dot + 1)));
  }
  EXPECT_TRUE(is_signed);
}

TEST(StatusList,
     other_representations_and_the_past_are_refused_and_what_is_not_there_is_404) {  // SL-06, SL-07
  StatusWorld world;
  const std::string uri = place_of(world.token()).uri;
  const auto accepting = [&](const std::string& range) {
    http::Headers headers;
    headers.set("Accept", range);
    return world.list_at(uri, headers).status;
  };
  EXPECT_EQ(accepting("application/statuslist+jwt"), 200);
  EXPECT_EQ(accepting("text/html, application/statuslist+jwt;q=0.5"), 200);
  EXPECT_EQ(accepting("*/*"), 200);
  EXPECT_EQ(accepting("application/statuslist+cwt"), 406);
  EXPECT_EQ(accepting("text/html"), 406);
  EXPECT_EQ(accepting("Application/StatusList+JWT"), 200);
  EXPECT_EQ(accepting("APPLICATION/*"), 200);
  EXPECT_EQ(accepting("application/statuslist+jwt;q=0"), 406);
  EXPECT_EQ(accepting("*/*, application/statuslist+jwt; Q=0.000"), 406) << "what is named exactly counts";
  EXPECT_EQ(accepting("*/*;q=0, application/statuslist+jwt;q=0.001"), 200);
  EXPECT_EQ(accepting("application/*;q=0, */*"), 406);
  http::Headers lines;
  lines.add("Accept", "text/html");
  lines.add("accept", "application/statuslist+jwt");
  EXPECT_EQ(world.list_at(uri, lines).status, 200);
  EXPECT_EQ(world.list_at(uri + "&time=1795000000").status, 501);
  for (const char* list : {"1", "-1", "x", "0x", "99999999999999999999", "9223372036854775807"})
    EXPECT_EQ(world.server.get("/statuslists?list=" + std::string(list)).status, 404) << list;
  EXPECT_EQ(world.server.get("/statuslists?list=0&list=0").status, 400);
}

TEST(StatusList, who_asks_while_it_is_made_gets_it_too) {
  StatusWorld world;
  const std::string uri = place_of(world.token()).uri;
  for (int round = 0; round < 5; ++round) {
    world.server.clock.advance(Seconds{31});  // older than any that is still given out
    std::vector<std::thread> asking;
    std::mutex mutex;
    std::set<std::string> bodies;
    std::vector<int> statuses;
    for (int i = 0; i < 8; ++i) {
      asking.emplace_back([&] {
        const Reply reply = world.list_at(uri);
        const std::lock_guard lock(mutex);
        statuses.push_back(reply.status);
        bodies.insert(reply.body);
      });
    }
    for (std::thread& thread : asking) thread.join();
    EXPECT_EQ(statuses, std::vector<int>(8, 200));
    EXPECT_EQ(bodies.size(), 1U) << "made once";
  }
}

TEST(StatusList, all_lists_are_named_in_one_place) {
  StatusWorld world;
  EXPECT_EQ(json::write(*world.server.get("/statuslists").json.find("status_lists")), "[]");
  const std::string uri = place_of(world.token()).uri;
  EXPECT_EQ(json::write(*world.server.get("/statuslists").json.find("status_lists")), "[\"" + uri + "\"]");
  EXPECT_EQ(
      world.server.get("/.well-known/oauth-authorization-server").text("status_list_aggregation_endpoint"),
      kIssuer + "/statuslists");
  TestServer without;
  EXPECT_EQ(without.get("/.well-known/oauth-authorization-server").text("status_list_aggregation_endpoint"),
            "");
}

TEST(StatusList, is_for_tokens_that_are_not_asked_about) {
  TestServer server;
  server.change("resources", kR2, "token_format", "opaque");
  json::Value state;
  json::Value resource = json_of(
      R"({"id":"https://x.example/","name":"X","scopes":[{"name":"x","title":"X"}],"token_format":"opaque","status_list":true})");
  state.set("resources", json::Value::Array{resource});
  EXPECT_EQ(server.admin("POST", "/apply", state).status, 422);
}

}  // namespace
}  // namespace behalf::test
