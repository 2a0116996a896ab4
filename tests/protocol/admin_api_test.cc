// The operator's interface: apply changes exactly what differs, all or nothing, and says a secret once.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

const char* const kNewClient =
    R"({"clients":[{"id":"new","name":"New","grant_types":["client_credentials"],"scopes":["r1.read"]}]})";

TEST(AdminApi, apply_is_idempotent_and_a_dry_run_changes_nothing) {
  TestServer server;
  json::Value dry = json_of(kNewClient);
  dry.set("dry_run", true);
  const Reply looked = server.admin("POST", "/apply", dry);
  EXPECT_EQ(looked.json.find("changes")->array()->size(), 1u);
  EXPECT_TRUE(looked.json.find("secrets")->object()->empty());
  EXPECT_EQ(server.admin("GET", "/state").body.find("\"new\""), std::string::npos);

  const Reply made = server.admin("POST", "/apply", json_of(kNewClient));
  const std::string secret = text_at(*made.json.find("secrets"), "new");
  ASSERT_GE(secret.size(), 32u);
  const Reply again = server.admin("POST", "/apply", json_of(kNewClient));
  EXPECT_TRUE(again.json.find("changes")->array()->empty());
  EXPECT_TRUE(again.json.find("secrets")->object()->empty());
  const std::string state = server.admin("GET", "/state").body;
  EXPECT_NE(state.find("\"new\""), std::string::npos);
  for (const std::string& hidden : {secret, std::string("secret_hash"), std::string("password"), kPassword}) {
    EXPECT_EQ(state.find(hidden), std::string::npos) << hidden;
  }
  EXPECT_EQ(server.whole_audit_text().find(secret), std::string::npos);
}

TEST(AdminApi, a_state_that_cannot_be_is_refused_whole_and_recorded) {  // D-03, P-21
  TestServer server;
  const std::string before = server.admin("GET", "/state").body;
  const char* const rows[] = {
      "[]",
      R"({"robots":[]})",
      R"({"agents":{}})",
      R"({"dry_run":"true"})",
      R"({"prune":1})",
      R"({"clients":[{"id":"x","name":"X","colour":"red"}]})",
      R"({"clients":[{"id":"x","name":"X","secret":"short"}]})",
      R"({"clients":[{"id":"x","name":"X"},{"id":"x","name":"Y"}]})",
      R"({"clients":[{"id":"x","name":"X","agent":"nobody"}]})",
      R"({"clients":[{"id":"x","name":"X","auth_method":"none","grant_types":["client_credentials"]}]})",
      R"({"agents":[{"id":"u1","name":"A","publisher":"P"}]})",
      R"({"agents":[{"id":"ca","name":"A","publisher":"P"}]})",
      R"({"users":[{"id":"a1"}]})",
      R"({"agents":[{"id":"x","name":"A","publisher":"P","onward":{"to":["x"]}}]})",
      R"({"agents":[{"id":"x","name":"A","publisher":"P","clients":["nobody"]}]})",
      R"({"resources":[{"id":"https://x.example/","scopes":[]}]})",
  };
  for (const char* state : rows) {
    SCOPED_TRACE(state);
    const Reply reply = server.admin("POST", "/apply", json_of(state));
    EXPECT_EQ(reply.status, 422) << reply.body;
    EXPECT_EQ(text_at(server.last_audit(), "event"), "registry.apply");
    EXPECT_EQ(text_at(server.last_audit(), "outcome"), "denied");
  }
  EXPECT_EQ(server.admin("GET", "/state").body, before);
}

// One request reads a part of the log, says how far it came, and stays small whatever the records are.
TEST(AdminApi, the_log_is_read_in_parts) {
  TestServer server;
  constexpr int64_t kOthers = 25'000;
  server.services().store.run([&](store::Transaction& transaction) {
    AuditRecord record;
    record.event = "other";
    for (int64_t i = 0; i < kOthers; ++i) transaction.append_audit(record, server.clock.now());
  });
  const auto number = [](const json::Value& value, std::string_view name) {
    return value.find_integer(name).value_or(-1);
  };
  for (const std::string& order : {std::string(), "&newest=1&before=" + std::to_string(INT64_MAX)}) {
    const json::Value first = server.admin("GET", "/audit?user=nobody" + order).json;
    EXPECT_TRUE(first.find("records")->array()->empty());
    EXPECT_FALSE(*first.find("is_end")->boolean());
    EXPECT_EQ(number(first, "read_to"), order.empty() ? 20'000 : number(first, "newest") - 20'000 + 1);
    const std::string rest =
        order.empty() ? "&after=20000" : "&newest=1&before=" + std::to_string(number(first, "read_to"));
    const json::Value second = server.admin("GET", "/audit?user=nobody" + rest).json;
    EXPECT_TRUE(*second.find("is_end")->boolean());
    EXPECT_EQ(number(second, "read_to"), order.empty() ? number(second, "newest") : 0);
  }

  server.services().store.run([&](store::Transaction& transaction) {
    AuditRecord record;
    record.event = "long";
    record.details.set("text", std::string(60'000, '"'));
    for (int i = 0; i < 300; ++i) transaction.append_audit(record, server.clock.now());
  });
  size_t records = 0;
  int64_t before = INT64_MAX;
  for (int part = 0; records < 300; ++part) {
    ASSERT_LT(part, 20);
    const Reply reply =
        server.admin("GET", "/audit?event=long&newest=1&limit=10000&before=" + std::to_string(before));
    ASSERT_LT(reply.body.size(), 12U * 1024 * 1024);
    records += reply.json.find("records")->array()->size();
    before = number(reply.json, "read_to");
  }
  EXPECT_EQ(records, 300U);
}

TEST(AdminApi, what_is_unknown_is_404) {
  TestServer server;
  for (const char* path : {"/agents/suspend", "/users/suspend", "/clients/resume", "/grants/revoke"}) {
    EXPECT_EQ(server.admin("POST", path, json_of(R"({"id":"nobody"})")).status, 404) << path;
    EXPECT_EQ(text_at(server.last_audit(), "outcome"), "denied");
    EXPECT_EQ(server.admin("POST", path, json_of(R"({"name":"a1"})")).status, 400) << path;
  }
  EXPECT_EQ(server.admin("GET", "/apply").status, 404);
  EXPECT_EQ(server.admin("GET", "/lineage?grant=nothing").status, 404);
  EXPECT_EQ(server.get("/state").status, 404);  // not on the public listener
  const Reply again = server.admin("POST", "/agents/suspend", json_of(R"({"id":"a3"})"));
  EXPECT_EQ(*again.json.find("changed"), json::Value(false));
}

}  // namespace
}  // namespace behalf::test
