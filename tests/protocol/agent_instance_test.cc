// Which running copy of an agent acted (D-52): said by the agent's own signature, kept beside `act.sub`,
// never a key to anything. The governed agent is what is consented to, suspended and counted.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

std::string proof_of(TestServer& server, const std::string& agent, const std::string& instance) {
  return server.assertion(agent, instance.empty() ? json::Value{} : claims({{"agent_instance", instance}}));
}

Reply redeem(TestServer& server, const std::string& instance) {
  return server.token("ca",
                      with(server.redemption(server.get_code("ca", "a1", "r1.read offline_access"), "a1"),
                           {{"actor_token", proof_of(server, "a1", instance)}}));
}

std::string instance_of(const std::string& jwt) {
  return text_at(*claims_of(jwt).find("act"), "agent_instance");
}

TEST(AgentInstance, two_copies_one_agent) {  // G-20, D-52
  TestServer server;
  const std::string one = redeem(server, "pod-1").text("access_token");
  EXPECT_EQ(text_at(*server.last_audit().find("details"), "agent_instance"), "pod-1");
  const std::string two = redeem(server, "pod-2").text("access_token");
  const std::string unsaid = redeem(server, "").text("access_token");
  EXPECT_EQ(chain_of(one), std::vector<std::string>{"a1"});
  EXPECT_EQ(chain_of(two), chain_of(one));
  EXPECT_EQ(instance_of(one), "pod-1");
  EXPECT_EQ(instance_of(two), "pod-2");
  EXPECT_EQ(claims_of(unsaid).find("act")->find("agent_instance"), nullptr);
  EXPECT_EQ(*server.introspect("r1-server", one).json.find("act"), *claims_of(one).find("act"));
  server.restart();
  EXPECT_EQ(*server.introspect("r1-server", two).json.find("act"), *claims_of(two).find("act"));
  server.suspend("agent", "a1");
  for (const std::string& token : {one, two, unsaid}) EXPECT_FALSE(server.is_active("r1-server", token));
}

TEST(AgentInstance, only_the_agents_signature_says_it) {
  TestServer server;
  const Reply asked = server.token("ca", with(server.redemption(server.get_code("ca", "a1", "r1.read"), "a1"),
                                              {{"agent_instance", "pod-9"}}));
  ASSERT_EQ(asked.status, 200) << asked.body;
  EXPECT_EQ(instance_of(asked.text("access_token")), "");
  for (const char* value :
       {R"({"agent_instance":7})", R"({"agent_instance":""})", R"({"agent_instance":"a b"})",
        R"({"agent_instance":["x"]})", R"({"agent_instance":"\u00e9"})"}) {
    const std::string proof = server.assertion("a1", json_of(value));
    expect_refused(server,
                   server.token("ca", with(server.redemption(server.get_code("ca", "a1", "r1.read"), "a1"),
                                           {{"actor_token", proof}})),
                   400, "invalid_grant", "actor_token_claim_type", {proof});
  }
}

TEST(AgentInstance, each_token_names_the_copy_that_proved_itself_for_it) {  // D-31, D-67, D-71
  TestServer server;
  const Reply flow = redeem(server, "pod-1");
  const Reply refreshed = server.token("ca", {{"grant_type", "refresh_token"},
                                              {"refresh_token", flow.text("refresh_token")},
                                              {"actor_token", proof_of(server, "a1", "pod-2")}});
  ASSERT_EQ(refreshed.status, 200) << refreshed.body;
  EXPECT_EQ(instance_of(refreshed.text("access_token")), "pod-2");
  const std::string t1 = flow.text("access_token");
  const Reply onward = server.exchange("ca", t1, "a2", {{"actor_token", proof_of(server, "a2", "b-7")}});
  ASSERT_EQ(onward.status, 200) << onward.body;
  const json::Value act = *claims_of(onward.text("access_token")).find("act");
  EXPECT_EQ(text_at(act, "agent_instance"), "b-7");
  EXPECT_EQ(*act.find("act"), *claims_of(t1).find("act"));  // the hop below, member for member
  // The same agent again is no further hop, whichever copy it is; narrowing proves nobody anew.
  const std::string again =
      server.exchange("ca", t1, "a1", {{"actor_token", proof_of(server, "a1", "pod-3")}})
          .text("access_token");
  EXPECT_EQ(chain_of(again), std::vector<std::string>{"a1"});
  EXPECT_EQ(instance_of(again), "pod-3");
  EXPECT_EQ(instance_of(server.exchange("ca", t1, "").text("access_token")), "pod-1");
}

}  // namespace
}  // namespace behalf::test
