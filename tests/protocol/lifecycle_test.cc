// The end of a person, client, agent or consent ends every descendant at once, and nothing that ended comes
// back (decision D-30, invariant I5).
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

// u1 -> ca/a1 -> m1 brings a2 -> r2; every token of it.
struct Tree {
  std::string t1, t2, obo, refresh;
};
Tree grow(TestServer& server) {
  Tree tree;
  const Reply flow = server.flow("ca", "a1", "m1.use r2.read offline_access", kM1);
  tree.t1 = flow.text("access_token");
  tree.refresh = flow.text("refresh_token");
  tree.t2 = server.exchange("m1", tree.t1, "a2", {{"resource", kR2}}).text("access_token");
  tree.obo = server.on_behalf_of("m1", tree.t1, kR2 + "/r2.read").text("access_token");
  EXPECT_TRUE(server.is_active("r2-server", tree.t2));
  EXPECT_TRUE(server.is_active("r2-server", tree.obo));
  return tree;
}

TEST(Lifecycle,
     D30_whoever_is_suspended_takes_the_tokens_along_for_good) {  // P-10, P-14, P-16, J-45, J-46, 213, 214
  TestServer server;
  const struct {
    std::string kind, id;
    bool parent_lives, child_lives, obo_lives;
  } rows[] = {
      {"agent", "a2", true, false, true},     // the outer agent
      {"agent", "a1", false, false, false},   // the inner agent
      {"client", "m1", true, false, false},   // the client on the way
      {"client", "ca", false, false, false},  // the client at the root
      {"user", "u1", false, false, false},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.kind + " " + row.id);
    const Tree tree = grow(server);
    server.suspend(row.kind, row.id);
    const auto check = [&](const char* when) {
      SCOPED_TRACE(when);
      EXPECT_EQ(server.is_active("r2-server", tree.t2), row.child_lives);
      EXPECT_EQ(server.is_active("r2-server", tree.obo), row.obo_lives);
    };
    check("suspended");
    if (!row.parent_lives) {
      if (row.id != "ca") {
        const Reply refresh = server.token("ca", {{"grant_type", "refresh_token"},
                                                  {"refresh_token", tree.refresh},
                                                  {"actor_token", server.assertion("a1")}});
        expect_refused(server, refresh, 400, "invalid_grant");
      }
      expect_refused(server, server.exchange("m1", tree.t1, "a2", {{"resource", kR2}}), 400,
                     "invalid_request");
      expect_refused(server, server.on_behalf_of("m1", tree.t1, kR2 + "/r2.read"), 400, "invalid_grant");
    }
    server.resume(row.kind, row.id);
    check("resumed");
    EXPECT_EQ(server.is_active("m1", tree.t1), row.parent_lives);
    const Tree again = grow(server);  // new ones are possible
    EXPECT_EQ(server.exchange("r2-server", tree.t2, "a4").status, 400);
  }
}

TEST(Lifecycle, D30_a_suspended_agent_gets_nothing_of_its_own_either) {  // P-10, 213
  TestServer server;
  const std::string issued = server.issued_actor_token("a2");
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  server.suspend("agent", "a2");
  const Fields ask{{"grant_type", "client_credentials"}, {"resource", kIssuer}};
  expect_refused(server, server.token("a2-runtime", ask), 400, "unauthorized_client", "agent_inactive");
  expect_refused(
      server,
      server.exchange("ca", t1, "", {{"actor_token", issued}, {"actor_token_type", kAccessTokenType}}), 400,
      "invalid_request");
  server.resume("agent", "a2");
  expect_refused(
      server,
      server.exchange("ca", t1, "", {{"actor_token", issued}, {"actor_token_type", kAccessTokenType}}), 400,
      "invalid_request");
  EXPECT_EQ(server.exchange("ca", t1, "a2").status, 200);
}

TEST(Lifecycle, D51_a_removed_key_ends_the_proofs_made_with_it_and_not_the_grants) {  // P-13
  TestServer server;
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string signed_before = server.assertion("a2");
  json::Value::Array keys;
  keys.push_back(server.key_of("stranger").public_jwk());
  json::Value set;
  set.set("keys", std::move(keys));
  server.change("agents", "a2", "jwks", set);
  expect_refused(
      server, server.exchange("ca", t1, "", {{"actor_token", signed_before}, {"actor_token_type", kJwtType}}),
      400, "invalid_request");
  EXPECT_TRUE(server.is_active("r1-server", t1));
  const std::string rotated = server.sign("stranger", "JWT", claims_of(server.assertion("a2")));
  EXPECT_EQ(server.exchange("ca", t1, "", {{"actor_token", rotated}, {"actor_token_type", kJwtType}}).status,
            200);
}

TEST(Lifecycle, D30_one_grant_ends_alone_and_survives_a_restart_as_ended) {  // P-08
  TestServer server;
  const Tree tree = grow(server);
  const std::string other = server.flow("cb", "a1", "r1.read").text("access_token");
  json::Value body;
  body.set("id", text_at(claims_of(tree.t1), "grant_id"));
  ASSERT_EQ(server.admin("POST", "/grants/revoke", body).status, 200);
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(server.is_active("m1", tree.t1));
    EXPECT_FALSE(server.is_active("r2-server", tree.t2));
    EXPECT_FALSE(server.is_active("r2-server", tree.obo));
    EXPECT_TRUE(server.is_active("r1-server", other));
    server.restart();
  }
}

TEST(Lifecycle, D30_a_deleted_id_that_comes_back_revives_nothing) {  // P-12, 225
  TestServer server;
  const Tree tree = grow(server);
  const json::Value state = server.admin("GET", "/state").json;
  const auto without = [&](const char* kinds, const std::string& id) {
    json::Value next{json::Value::Object{}};
    for (const json::Member& member : *state.object()) {
      json::Value::Array kept;
      for (json::Value item : *member.value.array()) {
        item.remove("status");
        if (member.name != kinds || text_at(item, "id") != id) {
          if (member.name == "agents") {  // nobody may name what is gone
            json::Value onward = *item.find("onward");
            json::Value::Array to;
            for (const json::Value& name : *onward.find("to")->array()) {
              if (*name.string() != id) to.push_back(name);
            }
            onward.set("to", std::move(to));
            item.set("onward", std::move(onward));
          }
          kept.push_back(std::move(item));
        }
      }
      next.set(member.name, std::move(kept));
    }
    next.set("prune", true);
    return next;
  };
  json::Value gone = without("agents", "a2");
  for (json::Member& member : *gone.object()) {  // its runtime goes with it
    if (member.name != "clients") continue;
    std::erase_if(*member.value.array(),
                  [](const json::Value& item) { return text_at(item, "id") == "a2-runtime"; });
  }
  server.apply(gone);
  EXPECT_FALSE(server.is_active("r2-server", tree.t2));
  EXPECT_TRUE(server.is_active("r2-server", tree.obo));
  server.apply(without("agents", "nobody"));
  EXPECT_FALSE(server.is_active("r2-server", tree.t2));
  EXPECT_EQ(server.exchange("m1", tree.t1, "a2", {{"resource", kR2}}).status, 200);

  server.apply(without("users", "u1"));
  EXPECT_FALSE(server.is_active("m1", tree.t1));
  server.apply(without("users", "nobody"));
  EXPECT_FALSE(server.is_active("m1", tree.t1));
  EXPECT_FALSE(server.is_active("r2-server", tree.obo));
}

TEST(Lifecycle, D30_a_client_in_the_middle_takes_along_what_came_through_it) {
  TestServer server;
  const Reply first = server.flow("ca", "a1", "r1.read r2.read");
  const Reply second = server.exchange("r1-server", first.text("access_token"), "a2",
                                       {{"resource", kR2}, {"scope", "r2.read"}});
  ASSERT_EQ(second.status, 200) << second.body;
  const std::string third =
      server.exchange("r2-server", second.text("access_token"), "a4").text("access_token");
  ASSERT_EQ(chain_of(third),
            (std::vector<std::string>{"a4", "a2", "a1"}));  // agents alone: no client is an actor here
  ASSERT_TRUE(server.is_active("r2-server", third));
  server.suspend("client", "r1-server");
  EXPECT_FALSE(server.is_active("r2-server", third));
  server.resume("client", "r1-server");
  EXPECT_FALSE(server.is_active("r2-server", third));
}

}  // namespace
}  // namespace behalf::test
