// "What did this agent do?", answered over the administration API: from the consent to the last use, also
// when the tokens were purged long ago, within bounds.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/test_server.h"

namespace behalf::test {
namespace {

struct Lineage : testing::Test {
  TestServer server;
  Lineage() {
    server.change("clients", "r1-server", "grant_types", list({kExchange, kJwtBearer, "client_credentials"}));
    server.change("clients", "r1-server", "scopes", list({"r1.read", "r2.read", "behalf.evidence"}));
  }
  void report(const std::string& token, const std::string& verdict, const std::string& path) {
    static int count = 0;
    const std::string own = server
                                .token("r1-server", {{"grant_type", "client_credentials"},
                                                     {"resource", kIssuer},
                                                     {"scope", "behalf.evidence"}})
                                .text("access_token");
    json::Value record = json_of(R"({"resource":"https://api.example/r1"})");
    record.set("id", "e-" + std::to_string(++count));
    record.set("time", server.clock.now().milliseconds);
    record.set("verdict", verdict);
    if (verdict == "denied") record.set("reason", "too_many");
    record.set("token_id", text_at(claims_of(token), "jti"));
    json::Value action;
    action.set("method", "GET");
    action.set("path", path);
    record.set("action", action);
    json::Value body;
    body.set("records", json::Value::Array{record});
    http::ClientRequest request{
        .method = "POST", .path_and_query = "/evidence", .headers = {}, .body = json::write(body)};
    request.headers.set("Content-Type", "application/json");
    request.headers.set("Authorization", "Bearer " + own);
    ASSERT_EQ(server.send(request).status, 200);
  }
  json::Value ask(const std::string& question) {
    const Reply reply = server.admin("GET", "/audit/lineage?" + question);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json;
  }
  static const json::Value::Array& lineages(const json::Value& answer) {
    static const json::Value::Array kNone;
    const json::Value* list = answer.find("lineages");
    return list == nullptr ? kNone : *list->array();
  }
  // The described token; null if it is not there.
  static json::Value node(const json::Value& lineage, const std::string& token) {
    const std::string id = token.find('.') == std::string::npos ? token : text_at(claims_of(token), "jti");
    for (const json::Value& item : *lineage.find("nodes")->array()) {
      if (text_at(item, "id") == id) return item;
    }
    return {};
  }
  void purge_everything() {
    server.services().store.run([&](store::Transaction& transaction) {
      while (transaction.purge(server.clock.now(), 1000) > 0) {
      }
    });
  }
};

TEST_F(Lineage, of_a_consent_from_the_decision_to_the_last_use) {
  const Reply flow = server.flow("ca", "a1", "r1.read offline_access");
  const std::string t1 = flow.text("access_token");
  const std::string grant = text_at(claims_of(t1), "grant_id");
  const std::string t2 = server.exchange("ca", t1, "a2").text("access_token");
  server.exchange("ca", t1, "a5");  // may not come next
  server.introspect("r1-server", t1);
  report(t1, "allowed", "/mail/1");
  report(t1, "allowed", "/mail/1");
  report(t2, "denied", "/mail/2");
  const Reply second = server.token("ca", {{"grant_type", "refresh_token"},
                                           {"refresh_token", flow.text("refresh_token")},
                                           {"actor_token", server.assertion("a1")},
                                           {"actor_token_type", kJwtType}});
  ASSERT_EQ(second.status, 200) << second.body;
  server.suspend("agent", "a1");

  const json::Value answer = ask("grant=" + grant);
  ASSERT_EQ(lineages(answer).size(), 1u);
  const json::Value& tree = lineages(answer)[0];
  EXPECT_EQ(text_at(*tree.find("grant"), "user"), "u1");
  EXPECT_EQ(text_at(*tree.find("grant"), "agent"), "a1");
  EXPECT_EQ(text_at(*tree.find("grant"), "cause"), "agent_suspended");
  EXPECT_NE(text_at(*tree.find("grant"), "ended_at"), "");
  EXPECT_EQ(tree.find("cut"), nullptr);
  const auto& nodes = *tree.find("nodes")->array();
  ASSERT_EQ(nodes.size(), 6u) << json::write_pretty(
      tree);  // code, two access tokens and refresh tokens, one exchanged
  EXPECT_EQ(text_at(nodes[0], "kind"), "authorization_code");
  // Parents before children.
  for (size_t i = 1; i < nodes.size(); ++i) {
    const auto above = std::find_if(
        nodes.begin(), nodes.begin() + static_cast<long>(i),
        [&](const json::Value& other) { return text_at(other, "id") == text_at(nodes[i], "parent"); });
    EXPECT_NE(above, nodes.begin() + static_cast<long>(i)) << json::write(nodes[i]);
  }
  const json::Value first = node(tree, t1);
  EXPECT_EQ(text_at(first, "parent"), text_at(nodes[0], "id"));
  EXPECT_EQ(text_at(first, "by"), "token.authorization_code");
  EXPECT_EQ(text_at(first, "status"), "ended");
  EXPECT_EQ(text_at(first, "cause"), "agent_suspended");
  EXPECT_EQ(first.find("introspected")->find_integer("count"), 1);
  const json::Value& use = first.find("uses")->array()->front();
  EXPECT_EQ(text_at(use, "what"), "GET /mail/1");
  EXPECT_EQ(text_at(use, "reporter"), "r1-server");
  EXPECT_EQ(use.find_integer("count"), 2);
  EXPECT_EQ(use.find_integer("denied"), 0);
  EXPECT_NE(text_at(use, "first"), "");
  EXPECT_EQ(text_at(first.find("refused")->array()->front(), "reason"), "onward_forbidden");
  const json::Value hop = node(tree, t2);
  EXPECT_EQ(*hop.find("chain"), json_of(R"(["a2","a1"])"));
  EXPECT_EQ(text_at(hop, "parent"), text_at(claims_of(t1), "jti"));
  EXPECT_EQ(hop.find("uses")->array()->front().find_integer("denied"), 1);
  EXPECT_EQ(text_at(hop.find("uses")->array()->front(), "last_denied_for"), "too_many");
}

TEST_F(Lineage, what_the_ledger_forgot_the_log_still_says) {
  const Reply flow = server.flow("ca", "a1", "r1.read offline_access");
  const std::string t1 = flow.text("access_token");
  const std::string t2 = server.exchange("ca", t1, "a2").text("access_token");
  report(t2, "allowed", "/mail/2");
  json::Value before = lineages(ask("token=" + text_at(claims_of(t2), "jti")))[0];
  server.clock.advance(Seconds{3 * 86400});
  purge_everything();
  server.services().store.run_read([&](store::ReadTransaction& transaction) {
    EXPECT_EQ(transaction.find_node(NodeId(text_at(claims_of(t2), "jti"))), nullptr);
  });
  const json::Value tree = lineages(ask("grant=" + text_at(claims_of(t1), "grant_id")))[0];
  EXPECT_EQ(tree.find("nodes")->array()->size(), 4u);
  const json::Value hop = node(tree, t2);
  EXPECT_EQ(text_at(hop, "status"), "ended");
  EXPECT_EQ(text_at(hop, "cause"), "expired");
  EXPECT_EQ(text_at(hop, "scope"), "r1.read");
  EXPECT_EQ(text_at(hop, "parent"), text_at(claims_of(t1), "jti"));
  EXPECT_EQ(text_at(hop, "expires_at"), text_at(node(before, t2), "expires_at"));
  EXPECT_EQ(hop.find("uses")->array()->size(), 1u);
  // By the token's id alone: found by when it was made.
  const json::Value again = lineages(ask("token=" + text_at(claims_of(t2), "jti")))[0];
  EXPECT_EQ(text_at(again.find("grant") == nullptr ? json::Value{} : *again.find("grant"), "user"), "u1");
  EXPECT_EQ(again.find("nodes")->array()->size(), 3u) << json::write_pretty(again);  // the code, t1, t2
}

TEST_F(Lineage, of_a_token_what_is_above_and_below_it) {
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string t2 = server.exchange("ca", t1, "a2").text("access_token");
  const std::string t3 = server.exchange("ca", t2, "a4").text("access_token");
  const std::string beside = server.exchange("ca", t1, "a4").text("access_token");
  ASSERT_NE(t3, "");
  const json::Value tree = lineages(ask("token=" + text_at(claims_of(t2), "jti")))[0];
  EXPECT_FALSE(node(tree, t1).is_null());
  EXPECT_FALSE(node(tree, t3).is_null());
  EXPECT_TRUE(node(tree, beside).is_null());
}

TEST_F(Lineage, what_a_new_epoch_ends_is_told_though_it_has_no_record) {  // Q-07, P-16
  const std::string t1 = server.flow("ca", "a1", "r1.read").text("access_token");
  const std::string t2 = server.exchange("ca", t1, "a2").text("access_token");
  const std::string t3 = server.exchange("ca", t2, "a4").text("access_token");
  ASSERT_NE(t3, "");
  server.suspend("agent", "a2");
  server.resume("agent", "a2");
  server.clock.advance(Seconds{1});
  const std::string later = server.exchange("ca", t1, "a2").text("access_token");
  ASSERT_NE(later, "");
  const auto expect_told = [&](const std::string& others) {
    const json::Value tree = lineages(ask("grant=" + text_at(claims_of(t1), "grant_id")))[0];
    for (const std::string& token : {t2, t3}) {
      const json::Value told = node(tree, token);
      EXPECT_EQ(text_at(told, "status"), "ended");
      EXPECT_EQ(text_at(told, "cause"), "agent_suspended");
      EXPECT_EQ(text_at(told, "ended_with"), "a2");
      EXPECT_NE(text_at(told, "ended_at"), "");
    }
    for (const std::string& token : {t1, later}) {
      const json::Value told = node(tree, token);
      EXPECT_EQ(text_at(told, "status") + text_at(told, "cause"), others);
      EXPECT_EQ(text_at(told, "ended_with"), "");
    }
  };
  expect_told("active");
  server.clock.advance(Seconds{3 * 86400});
  expect_told("endedexpired");
  purge_everything();
  expect_told("endedexpired");
}

TEST_F(Lineage, of_software_for_itself) {
  server.change("clients", "a1-runtime", "grant_types", list({"client_credentials", kExchange}));
  const std::string own =
      server
          .token("a1-runtime",
                 {{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}})
          .text("access_token");
  const std::string hop = server.exchange("a1-runtime", own, "").text("access_token");
  ASSERT_NE(hop, "");
  report(hop, "allowed", "/own");
  for (const bool purged : {false, true}) {
    const json::Value tree = lineages(ask("token=" + text_at(claims_of(hop), "jti")))[0];
    EXPECT_EQ(text_at(tree, "root"), text_at(claims_of(own), "jti"));
    EXPECT_EQ(node(tree, hop).find("uses")->array()->size(), 1u);
    EXPECT_EQ(text_at(node(tree, own), "subject"), "a1");
    EXPECT_EQ(lineages(ask("agent=a1")).size(), 1u);
    if (purged) break;
    server.clock.advance(Seconds{86400});
    purge_everything();
  }
}

TEST_F(Lineage, of_a_person_and_of_an_agent) {
  const std::string first = server.flow("ca", "a1", "r1.read").text("access_token");
  server.clock.advance(Seconds{1});
  const std::string second = server.flow("cb", "a2", "r1.read").text("access_token");
  server.flow("cb", "a1", "r1.read", kR1, {.user = "u2", .allow = true, .scopes = {}, .onward = true});
  const std::string passed_on = server.exchange("ca", first, "a2").text("access_token");
  const json::Value of_user = ask("user=u1");
  ASSERT_EQ(lineages(of_user).size(), 2u);
  EXPECT_EQ(text_at(*lineages(of_user)[0].find("grant"), "id"),
            text_at(claims_of(second), "grant_id"));  // newest first
  EXPECT_EQ(lineages(ask("user=u2")).size(), 1u);

  // The agent that was consented to, and where another passed on to it: only what it acted in, and what is
  // above that.
  const json::Value of_agent = ask("agent=a2");
  ASSERT_EQ(lineages(of_agent).size(), 2u);
  const json::Value& passed = lineages(of_agent)[1];
  EXPECT_EQ(text_at(*passed.find("grant"), "agent"), "a1");
  EXPECT_FALSE(node(passed, passed_on).is_null());
  EXPECT_FALSE(node(passed, first).is_null());
}

TEST_F(Lineage, says_what_is_left_out) {
  for (int i = 0; i < 22; ++i) {
    server.services().store.run([&](store::Transaction& transaction) {
      Grant grant;
      grant.id = GrantId(make_ordered_id(server.clock.now(), server.services().random));
      grant.user = UserId(std::string("u1"));
      grant.client = ClientId(std::string("ca"));
      grant.expires_at = server.clock.now() + Seconds{60};
      transaction.insert_grant(grant);
    });
  }
  const json::Value answer = ask("user=u1");
  EXPECT_EQ(lineages(answer).size(), 20u);
  ASSERT_NE(answer.find("cut"), nullptr);
  EXPECT_EQ(*answer.find("cut"), json_of(R"(["only the newest 20 of at least 21 lineages are shown"])"));
}

TEST_F(Lineage, what_was_used_does_not_expire) {
  const Reply flow = server.flow("ca", "a1", "r1.read offline_access");
  const std::string grant = text_at(claims_of(flow.text("access_token")), "grant_id");
  const Reply second = server.token("ca", {{"grant_type", "refresh_token"},
                                           {"refresh_token", flow.text("refresh_token")},
                                           {"actor_token", server.assertion("a1")},
                                           {"actor_token_type", kJwtType}});
  ASSERT_EQ(second.status, 200) << second.body;
  const auto expect_told = [&](const char* when, const std::string& last) {
    const json::Value tree = lineages(ask("grant=" + grant))[0];
    std::vector<std::string> told;
    for (const json::Value& item : *tree.find("nodes")->array()) {
      if (text_at(item, "kind") == "access_token") continue;
      told.push_back(text_at(item, "kind") + " " + text_at(item, "status") + text_at(item, "cause"));
    }
    EXPECT_EQ(told, (std::vector<std::string>{"authorization_code spent", "refresh_token spent",
                                              "refresh_token " + last}))
        << when;
  };
  expect_told("at once", "active");
  server.clock.advance(Seconds{120});
  expect_told("after two minutes", "active");
  server.clock.advance(Seconds{3 * 86400});
  purge_everything();
  expect_told("when the ledger has forgotten", "endedexpired");
}

TEST_F(Lineage, what_is_unknown_or_not_one_question) {
  for (const char* question :
       {"grant=none", "token=none", "token=01aaaaaaaaaaaaaaaaaaaaaaaa", "user=nobody", "agent=nobody"}) {
    EXPECT_EQ(server.admin("GET", std::string("/audit/lineage?") + question).status, 404) << question;
  }
  for (const char* question : {"", "grant=a&user=u1", "grant="}) {
    EXPECT_EQ(server.admin("GET", std::string("/audit/lineage?") + question).status, 400) << question;
  }
  EXPECT_EQ(server.get("/audit/lineage?user=u1").status, 404);  // not on the public side
}

}  // namespace
}  // namespace behalf::test
