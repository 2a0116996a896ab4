// The policy file: every complaint at once, each with file and line; nothing unknown, nothing empty, nothing
// twice.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "unit/sdk/policy_support.h"

namespace behalf::sdk {
namespace {

using namespace testing;

const std::string kHead =
    "[[rule]]\nname = \"r\"\neffect = \"allow\"\nmethods = [\"GET\"]\npaths = [\"/x\"]\n";

// The one complaint about a sixth line.
std::string fault_of(const std::string& line) {
  const auto faults = faults_of(kHead + line + "\n");
  if (faults.size() != 1) {
    ADD_FAILURE() << line << " has " << faults.size() << " faults";
    return {};
  }
  EXPECT_TRUE(faults[0].starts_with("policy.toml:")) << faults[0];
  EXPECT_EQ(faults[0].find('\n'), std::string::npos);
  return faults[0];
}

TEST(PolicyFile, tells_all_faults_at_once_in_the_order_of_lines) {
  const auto faults = faults_of(R"([[rule]]
name = "one"
effect = "permit"
methods = ["get"]
paths = ["week", "/a*"]
scope = ["x"]

[[rule]]
name = "one"
effect = "allow"
methods = ["GET"]
paths = ["/x"]
actors = []

[other]
)");
  ASSERT_EQ(faults.size(), 8U);
  EXPECT_EQ(faults[0], "policy.toml:3: effect must be \"allow\" or \"deny\"");
  EXPECT_TRUE(faults[1].starts_with("policy.toml:4: \"get\" is no HTTP method")) << faults[1];
  EXPECT_EQ(faults[2], "policy.toml:5: path \"week\" must begin with a slash");
  EXPECT_TRUE(faults[3].starts_with("policy.toml:5: path \"/a*\" has a *")) << faults[3];
  EXPECT_EQ(faults[4], "policy.toml:6: unknown key \"scope\" (did you mean \"scopes\"?)");
  EXPECT_EQ(faults[5], "policy.toml:8: rule \"one\" has the name of the one in line 1");
  EXPECT_EQ(faults[6], "policy.toml:13: actors is empty: leave it out, or name something");
  EXPECT_EQ(faults[7], "policy.toml:15: unknown key \"other\"");
}

TEST(PolicyFile, a_rule_says_what_it_is) {
  EXPECT_EQ(faults_of("[[rule]]\n").size(), 4U) << "name, effect, methods, paths";
  EXPECT_EQ(faults_of("[[rule]]\nname = \"r\"\neffect = \"allow\"\n"),
            (std::vector<std::string>{
                "policy.toml:1: an allow rule must say its methods, such as methods = [\"GET\"]",
                "policy.toml:1: an allow rule must say its paths, such as paths = [\"/calendar/**\"]"}));
  EXPECT_EQ(faults_of("[[rule]]\nname = \"r\"\neffect = \"deny\"\n"), std::vector<std::string>{});
}

TEST(PolicyFile, unknown_keys_are_faults_with_a_guess) {
  EXPECT_EQ(fault_of("scopess = [\"a\"]"),
            "policy.toml:6: unknown key \"scopess\" (did you mean \"scopes\"?)");
  EXPECT_EQ(fault_of("priority = 3"), "policy.toml:6: unknown key \"priority\"");
  EXPECT_EQ(fault_of("for = { actor = \"present\", chain_forbids = [\"a\"] }"),
            "policy.toml:6: unknown key \"chain_forbids\"");
  EXPECT_EQ(faults_of("ruel = 1\n"),
            std::vector<std::string>{"policy.toml:1: unknown key \"ruel\" (did you mean \"rule\"?)"});
}

TEST(PolicyFile, an_empty_list_is_not_everybody) {
  for (const char* key :
       {"actors", "persons", "clients", "publishers", "owners", "statuses", "subject_profiles", "scopes",
        "acr", "chain_forbids", "chain_only", "hosts", "tools", "rpc_methods"})
    EXPECT_NE(fault_of(std::string(key) + " = []").find("is empty"), std::string::npos) << key;
  EXPECT_EQ(fault_of("for = {}"),
            "policy.toml:6: \"for\" names nobody: leave it out, or say whom the rule is for");
}

TEST(PolicyFile, two_limits_that_count_the_same_are_a_fault) {
  EXPECT_EQ(
      fault_of("rate = [{ per = \"actor\", count = 60, every = \"1m\" },\n"
               "        { per = \"actor\", count = 6, every = \"1m\" }]"),
      "policy.toml:7: this rate counts the same as an earlier one of this rule: 6 in 1 minute per actor; "
      "keep the smaller");
  for (const char* in : {"day", "total"}) {
    const std::string budget = std::string("{ per = \"person\", count = 5, in = \"") + in + "\" }";
    EXPECT_NE(fault_of("budget = [" + budget + ", " + budget + "]").find("counts the same"),
              std::string::npos);
  }
  EXPECT_EQ(
      faults_of(kHead +
                "rate = [{ per = \"actor\", count = 6, every = \"1s\" }, { per = \"actor\", count = 60, "
                "every = \"1m\" }, { per = \"person\", count = 6, every = \"1s\" }]\n"),
      std::vector<std::string>{});
}

TEST(PolicyFile, words_that_nobody_ever_has_are_faults_with_a_guess) {
  EXPECT_EQ(fault_of("statuses = [\"activ\"]"),
            "policy.toml:6: \"activ\" can never be one of statuses (did you mean \"active\"?)");
  EXPECT_EQ(
      fault_of("subject_profiles = [\"user\", \"agent\"]"),
      "policy.toml:6: \"agent\" can never be one of subject_profiles (there are user, ai_agent, service)");
  EXPECT_NE(fault_of("for = { statuses = [\"Active\"] }").find("did you mean \"active\""), std::string::npos);
  EXPECT_EQ(faults_of(kHead + "statuses = [\"active\", \"suspended\"]\n"), std::vector<std::string>{});
  EXPECT_EQ(faults_of(kHead + "subject_profiles = [\"user\", \"ai_agent\", \"service\"]\n"),
            std::vector<std::string>{});
}

TEST(PolicyFile, a_token_file_that_others_can_read_is_a_fault) {
  const std::string path = ::testing::TempDir() + "behalf-pdp-token-" + std::to_string(::getpid());
  std::ofstream(path) << "secret";
  const std::string text = "[authzen]\nurl = \"https://pdp.example/e\"\ntoken_file = \"" + path + "\"\n";
  ::chmod(path.c_str(), 0644);
  EXPECT_EQ(faults_of(text),
            std::vector<std::string>{"policy.toml:3: " + path + " can be read by others; chmod 600 it"});
  ::chmod(path.c_str(), 0600);
  EXPECT_EQ(faults_of(text), std::vector<std::string>{});
  ::unlink(path.c_str());
}

TEST(PolicyFile, values_of_the_wrong_kind) {
  for (const char* line : {"scopes = \"a\"",
                           "scopes = [1]",
                           "scopes = [\"a b\"]",
                           "scopes = [\"\"]",
                           "scopes = [\"a\", \"a\"]",
                           "token = \"maybe\"",
                           "actor = true",
                           "actor = \"present\"",
                           "for = { actor = \"required\" }",
                           "for = 1",
                           "max_age = 30",
                           "max_age = \"soon\"",
                           "max_age = \"0s\"",
                           "max_chain = -1",
                           "max_chain = 1.5",
                           "chain_known = \"yes\"",
                           "acr = [\"a b\"]",
                           "rpc_methods = [\"a b\"]",
                           "rpc_methods = [\"<x>\"]",
                           "rate = { per = \"planet\", count = 1, every = \"1s\" }",
                           "rate = { per = \"actor\", count = 0, every = \"1s\" }",
                           "rate = { per = \"actor\", count = 1 }",
                           "rate = { per = \"actor\", every = \"1s\" }",
                           "rate = { count = 1, every = \"1s\" }",
                           "rate = { per = \"actor\", count = 1, every = \"500ms\" }",
                           "rate = { per = \"actor\", count = 1, every = \"1s\", burst = 3 }",
                           "rate = []",
                           "rate = 5",
                           "rate = { per = \"actor\", count = 1000000000, every = \"1s\" }",
                           "budget = { per = \"grant\", count = 1 }",
                           "budget = { per = \"grant\", count = 1, in = \"week\" }",
                           "budget = { per = \"grant\", count = 1, every = \"1d\", in = \"day\" }",
                           "times = { from = \"8:00\" }",
                           "times = { to = \"24:01\" }",
                           "times = { from = \"08:60\" }",
                           "times = { from = \"08:00\", to = \"08:00\" }",
                           "times = { days = [\"monday\"] }",
                           "times = { offset = \"Europe/Berlin\" }",
                           "times = { offset = \"+15:00\" }",
                           "times = { zone = \"UTC\" }",
                           "actor = \"forbidden\"\nactors = [\"a\"]",
                           "for = { actor = \"absent\", actors = [\"a\"] }",
                           "authzen = 1",
                           "description = 1",
                           "hosts = [\"a\\nb\"]"})
    EXPECT_NE(fault_of(line), "") << line;
}

TEST(PolicyFile, a_public_rule_asks_nothing_of_anybody) {
  EXPECT_EQ(faults_of(kHead + "token = \"none\"\n"), std::vector<std::string>{});
  for (const char* line :
       {"scopes = [\"a\"]", "actor = \"required\"", "actors = [\"a\"]", "persons = [\"a\"]",
        "for = { actor = \"present\" }", "max_age = \"5m\"", "max_chain = 1", "chain_known = true",
        "rate = { per = \"person\", count = 1, every = \"1s\" }"})
    EXPECT_NE(fault_of(std::string("token = \"none\"\n") + line).find("has no meaning where token"),
              std::string::npos)
        << line;
}

TEST(PolicyFile, a_deny_rule_asks_for_nothing) {
  for (const char* line :
       {"scopes = [\"a\"]", "token = \"none\"", "max_age = \"5m\"", "max_chain = 1",
        "for = { persons = [\"a\"] }", "rate = { per = \"actor\", count = 1, every = \"1s\" }"}) {
    const auto faults = faults_of(std::string("[[rule]]\nname = \"r\"\neffect = \"deny\"\n") + line + "\n");
    ASSERT_EQ(faults.size(), 1U) << line;
    EXPECT_NE(faults[0].find("has no meaning in a deny rule"), std::string::npos) << faults[0];
  }
}

TEST(PolicyFile, the_external_decision_point) {
  const auto with = [](const std::string& line) { return faults_of("[authzen]\n" + line + "\n"); };
  EXPECT_EQ(with("url = \"https://pdp.example/access/v1/evaluation\"").size(), 0U);
  EXPECT_EQ(with("url = \"http://127.0.0.1:9000/access/v1/evaluation\"").size(), 0U);
  EXPECT_EQ(with("url = \"https://p/e\"\ntimeout = \"50ms\"\non_failure = \"allow\"").size(), 0U);
  for (const char* line :
       {"", "url = \"http://pdp.example/e\"", "url = \"pdp\"", "url = 1",
        "url = \"https://p/e\"\ntimeout = \"1m\"", "url = \"https://p/e\"\ntimeout = \"ms\"",
        "url = \"https://p/e\"\non_failure = \"retry\"", "url = \"https://p/e\"\nretries = 3"})
    EXPECT_EQ(with(line).size(), 1U) << line;
}

TEST(PolicyFile, files_it_names_stand_beside_it) {
  std::vector<Policy::Fault> faults;
  const auto token_file = [&](const std::string& name) {
    const auto policy = Policy::parse("[authzen]\nurl = \"https://p/e\"\ntoken_file = \"" + name + "\"\n",
                                      "/etc/behalf/policy.toml", faults);
    return policy->authzen()->token_file;
  };
  const auto policy = Policy::parse("[authzen]\nurl = \"https://p/e\"\nca_file = \"ca.pem\"\n",
                                    "/etc/behalf/policy.toml", faults);
  EXPECT_EQ(policy->authzen()->ca_file, "/etc/behalf/ca.pem");
  EXPECT_EQ(token_file("pdp.token"), "/etc/behalf/pdp.token");
  EXPECT_EQ(token_file("/run/pdp.token"), "/run/pdp.token");
}

TEST(PolicyFile, what_is_no_toml_is_one_fault_with_its_line) {
  const auto faults = faults_of("\n\n[[rule\n");
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_TRUE(faults[0].starts_with("policy.toml:3: ")) << faults[0];
  EXPECT_EQ(faults_of(std::string("name = \"\xFF\"\n")).size(), 1U);
}

TEST(PolicyFile, is_read_from_disk) {
  const std::string path = "/tmp/behalf-policy-" + std::to_string(::getpid()) + ".toml";
  std::ofstream(path) << kHead;
  std::vector<Policy::Fault> faults;
  const auto policy = Policy::load(path, faults);
  std::remove(path.c_str());
  ASSERT_NE(policy, nullptr);
  EXPECT_EQ(policy->rule_count(), 1U);
  EXPECT_EQ(policy->version(), policy_of(kHead)->version());
  EXPECT_NE(policy->version(), policy_of(kHead + "\n")->version());
  EXPECT_EQ(Policy::load(path, faults), nullptr);
  EXPECT_EQ(Policy::load("/tmp", faults), nullptr);
  EXPECT_EQ(Policy::load("/dev/zero", faults), nullptr);
  EXPECT_EQ(faults.size(), 3U);
}

}  // namespace
}  // namespace behalf::sdk
