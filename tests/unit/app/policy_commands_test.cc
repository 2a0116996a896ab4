// `behalf guard check`, `test` and `explain`, and the files of cases they read.
#include "app/policy_commands.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/commands.h"
#include "app/policy_cases.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/time.h"
#include "unit/sdk/fixtures.h"

namespace behalf::app {
namespace {

const std::string kExamples = std::string(BEHALF_SOURCE) + "/examples/guard/";
constexpr sdk::Milliseconds kNow = 1'795'608'000'000;

class Folder : public ::testing::Test {
 protected:
  Folder() { std::filesystem::create_directories(path_); }
  ~Folder() override { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(path_ + "/" + name) << text;
    return path_ + "/" + name;
  }

  // What a command printed, and what it returned.
  template <class Command>
  int run(Command command) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = command();
    out_ = ::testing::internal::GetCapturedStdout();
    err_ = ::testing::internal::GetCapturedStderr();
    return code;
  }
  json::Value json() {
    auto value = json::parse(out_);
    EXPECT_TRUE(value) << out_;
    return value ? std::move(*value) : json::Value();
  }

  std::string path_ = "/tmp/behalf-policy-commands-" + std::to_string(::getpid());
  std::string out_;
  std::string err_;
};

class PolicyCheck : public Folder {};
class PolicyTest : public Folder {};
class PolicyExplanation : public Folder {};

const std::string kRead =
    "[[rule]]\nname = \"read\"\neffect = \"allow\"\nmethods = [\"GET\"]\npaths = [\"/week\"]\nscopes = "
    "[\"calendar.read\"]\n";

TEST_F(PolicyCheck, the_example_is_fine) {
  EXPECT_EQ(run([] { return check_policy(kExamples + "policy.toml", false); }), kOk) << err_;
  EXPECT_NE(out_.find("is fine: 11 rules"), std::string::npos) << out_;
}

TEST_F(PolicyCheck, faults_and_warnings_have_their_exit_codes) {
  const std::string bad = write("bad.toml", "[[rule]]\nname = 1\neffect = \"allow\"\n");
  EXPECT_EQ(run([&] { return check_policy(bad, false); }), kWrongUse);
  EXPECT_NE(err_.find("bad.toml:2: name must be text"), std::string::npos) << err_;
  EXPECT_NE(err_.find("must say its methods"), std::string::npos) << "all at once: " << err_;
  const std::string doubtful = write(
      "doubtful.toml",
      kRead + "\n[[rule]]\nname = \"again\"\neffect = \"allow\"\nmethods = [\"GET\"]\npaths = [\"/week\"]\n");
  EXPECT_EQ(run([&] { return check_policy(doubtful, false); }), kRefused);
  EXPECT_NE(err_.find("doubtful.toml:8: rule \"again\" can never decide"), std::string::npos) << err_;
  EXPECT_EQ(run([&] { return check_policy(doubtful, true); }), kRefused);
  const json::Value answer = json();
  EXPECT_EQ(*answer.find("ok")->boolean(), false);
  EXPECT_EQ(answer.find("warnings")->array()->size(), 1U);
  EXPECT_EQ(run([&] { return check_policy(path_ + "/none.toml", true); }), kWrongUse);
  EXPECT_EQ(json().find("faults")->array()->size(), 1U);
}

TEST_F(PolicyTest, the_examples_cases_hold) {
  EXPECT_EQ(run([] { return test_policy({kExamples + "cases.toml", {}, false}); }), kOk) << out_ << err_;
  EXPECT_NE(out_.find("\n23 cases, 0 failed\n"), std::string::npos) << out_;
}

TEST_F(PolicyTest, a_case_that_does_not_hold_says_why) {
  write("policy.toml", kRead);
  const std::string cases =
      write("cases.toml",
            "policy = \"policy.toml\"\n"
            "[[case]]\nname = \"right\"\npath = \"/week\"\nexpect = \"token_missing\"\n"
            "[[case]]\nname = \"wrong\"\npath = \"/week\"\nclaims = { sub = \"alice\" }\n"
            "expect = \"allow\"\nrule = \"other\"\nscopes = [\"x\"]\n");
  EXPECT_EQ(run([&] { return test_policy({cases, {}, false}); }), kRefused);
  EXPECT_NE(out_.find("ok    right"), std::string::npos) << out_;
  EXPECT_NE(out_.find("FAIL  wrong"), std::string::npos) << out_;
  EXPECT_NE(
      out_.find("cases.toml:6: expected allow, got insufficient_scope (scope calendar.read is missing)"),
      std::string::npos)
      << out_;
  EXPECT_NE(out_.find("expected rule other, got rule read"), std::string::npos) << out_;
  EXPECT_NE(out_.find("expected scopes \"x\", got \"calendar.read\""), std::string::npos) << out_;
  EXPECT_NE(out_.find("2 cases, 1 failed"), std::string::npos) << out_;
  EXPECT_EQ(run([&] { return test_policy({cases, {}, true}); }), kRefused);
  const json::Value answer = json();
  EXPECT_EQ(answer.find("cases")->array()->size(), 2U);
  EXPECT_FALSE(*(*answer.find("cases")->array())[1].find("ok")->boolean());
  // Another policy than the one named.
  const std::string other = write("other.toml", "");
  EXPECT_EQ(run([&] { return test_policy({cases, other, false}); }), kRefused);
  EXPECT_NE(out_.find("wrong  denied, by no rule"), std::string::npos) << out_;
}

TEST_F(PolicyTest, faults_in_the_cases_are_told_all_at_once) {
  const std::string cases = write("cases.toml",
                                  "[[case]]\npath = \"/\"\nexpect = \"maybe\"\nmehtod = \"GET\"\n"
                                  "[[case]]\nname = \"x\"\nclaims = { sub = 1 }\nexpect = \"allow\"\n"
                                  "[[case]]\nname = \"y\"\npath = \"/\"\nclaims = { sub = \"a\", act = \"b\" "
                                  "}\nexpect = \"allow\"\nat = \"now\"\n");
  const auto read = read_policy_cases(cases, kNow);
  ASSERT_FALSE(read);
  const auto has = [&](const std::string& what) {
    for (const std::string& fault : read.reason()) {
      if (fault.find(what) != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_EQ(read.reason().size(), 7U);
  EXPECT_TRUE(has("cases.toml:1: a case must have a name"));
  EXPECT_TRUE(has("cases.toml:3: expect must be \"allow\", \"token_missing\""));
  EXPECT_TRUE(has("cases.toml:4: unknown key \"mehtod\" (did you mean \"method\"?)"));
  EXPECT_TRUE(has("cases.toml:5: a case must say its path"));
  EXPECT_TRUE(has("cases.toml:7: these are no claims of an access token"));
  EXPECT_TRUE(has("cases.toml:12: these are no claims of an access token"));
  EXPECT_TRUE(has("cases.toml:14: at must be a time"));
  EXPECT_EQ(run([&] { return test_policy({cases, {}, false}); }), kWrongUse);
  EXPECT_FALSE(read_policy_cases(write("empty.toml", ""), kNow)) << "no cases show nothing";
  EXPECT_FALSE(read_policy_cases(path_ + "/none.toml", kNow));
}

TEST_F(PolicyTest, a_case_has_its_own_time_and_claims) {
  const auto read = read_policy_cases(
      write("cases.toml",
            "[defaults]\nat = 2026-11-25T13:00:00+01:00\nhost = \"h\"\n"
            "claims = { sub = \"alice\", scope = \"a b\" }\n"
            "[[case]]\nname = \"x\"\npath = \"/\"\nexpect = \"allow\"\nsigned_in_ago = \"5m\"\n"
            "claims = { sub = \"bob\", act = { sub = \"x\", act = { sub = \"y\" } } }\n"
            "[[case]]\nname = \"y\"\npath = \"/\"\nexpect = \"allow\"\n"),
      0);
  ASSERT_TRUE(read);
  const PolicyCase& one = read->cases[0];
  EXPECT_EQ(one.at, kNow);
  EXPECT_EQ(one.action.host, "h");
  EXPECT_EQ(one.delegation->subject, "bob");
  EXPECT_EQ(one.delegation->scopes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(one.delegation->authenticated_at, kNow - 300'000);
  ASSERT_EQ(one.delegation->chain.size(), 2U);
  EXPECT_EQ(one.delegation->actor()->subject, "x");
  EXPECT_FALSE(read->cases[1].delegation) << "without claims there is no token";
}

std::string token_of(const std::string& claims) {
  return base64url(std::string_view(R"({"alg":"ES256","typ":"at+jwt","kid":"k"})")) + "." +
         base64url(std::string_view(claims)) + "." + base64url(std::string(64, 'x'));
}

const std::string kToken = token_of(
    R"({"iss":"https://i","sub":"alice","client_id":"c","aud":"https://a","jti":"t","iat":1,"exp":2,"scope":"calendar.read"})");

TEST_F(PolicyExplanation, says_loudly_that_the_token_is_believed) {
  ExplainOptions options;
  options.policy_path = write("policy.toml", kRead);
  options.token = kToken;
  options.path = "/week?when=now";
  EXPECT_EQ(run([&] { return explain_policy(options); }), kOk) << err_;
  EXPECT_TRUE(out_.starts_with("NOT VERIFIED")) << out_;
  EXPECT_NE(out_.find("decision: allow, by rule read"), std::string::npos) << out_;
  options.method = "POST";
  options.as_json = true;
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused);
  const json::Value answer = json();
  EXPECT_EQ(*answer.find_string("effect"), "denied");
  EXPECT_EQ(*answer.find("is_verified")->boolean(), false);
  EXPECT_EQ(*(*answer.find("steps")->array())[0].find_string("why"), "another method");
  options.token.clear();
  options.method = "GET";
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused);
  EXPECT_EQ(*json().find_string("effect"), "token_missing");
}

TEST_F(PolicyExplanation, verifies_if_keys_are_given) {
  ExplainOptions options;
  options.policy_path = write("policy.toml", kRead);
  options.token = kToken;
  options.path = "/week";
  options.jwks_path = write("jwks.json", R"({"keys":[]})");
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused);
  EXPECT_NE(err_.find("the guard would refuse this token before any policy"), std::string::npos) << err_;
  EXPECT_EQ(out_, "");
  namespace sdk_testing = sdk::testing;
  options.token =
      sdk_testing::sign(sdk_testing::with(sdk_testing::delegated_claims(), "scope", "calendar.read"));
  options.at = rfc3339(UnixTime{sdk_testing::kNowMs});
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused) << "not one of these keys";
  options.jwks_path = write("jwks.json", sdk_testing::jwks_of({sdk_testing::issuer_key()}));
  EXPECT_EQ(run([&] { return explain_policy(options); }), kOk) << err_ << out_;
  EXPECT_TRUE(out_.starts_with("verified with the given keys")) << out_;
  options.as_json = true;
  EXPECT_EQ(run([&] { return explain_policy(options); }), kOk);
  EXPECT_TRUE(*json().find("is_verified")->boolean());
  options.at = rfc3339(UnixTime{sdk_testing::kNowMs + 3'600'000});
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused);
  const json::Value said = json();
  const auto& problems = json::list_of(said, "problems");
  ASSERT_EQ(problems.size(), 1U) << out_;
  EXPECT_NE(problems[0].string()->find("expired"), std::string::npos) << out_;
  EXPECT_EQ(err_, "");
}

TEST_F(PolicyExplanation, knows_agents_bodies_and_times_it_is_given) {
  ExplainOptions options;
  options.policy_path =
      write("policy.toml",
            "[[rule]]\nname = \"tool\"\neffect = \"allow\"\nmethods = [\"POST\"]\npaths = [\"/mcp\"]\n"
            "tools = [\"search\"]\npublishers = [\"good.example\"]\ntimes = { from = \"12:00\", to = "
            "\"13:00\" }\n");
  options.token = token_of(
      R"({"iss":"https://i","sub":"alice","client_id":"c","aud":["x","https://a"],"jti":"t","iat":1,"exp":2,"act":{"sub":"a"}})");
  options.method = "POST";
  options.path = "/mcp";
  options.body_path =
      write("body.json", R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"}})");
  options.agents_path = write(
      "agents.json", R"({"agents":[{"id":"a","name":"A","publisher":"good.example","status":"active"}]})");
  options.at = "2026-11-25T12:30:00Z";
  EXPECT_EQ(run([&] { return explain_policy(options); }), kOk) << out_ << err_;
  options.at = "2026-11-25T13:00:00Z";
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused);
  options.at = "2026-11-25T12:30:00Z";
  options.content_type = "text/plain";
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused);
  EXPECT_NE(out_.find("its calls are not known"), std::string::npos) << out_;
  options.content_type = "application/json";
  options.agents_path.clear();
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused);
  EXPECT_NE(out_.find("publisher unknown"), std::string::npos) << out_;
}

TEST_F(PolicyExplanation, wrong_use_is_told) {
  ExplainOptions options;
  options.policy_path = write("policy.toml", kRead);
  options.path = "/week";
  for (const char* at : {"today", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-25T12:00:00",
                         "2026-11-25T12:00:00Zx", "2026-11-25T24:00:00Z"}) {
    options.at = at;
    EXPECT_EQ(run([&] { return explain_policy(options); }), kWrongUse) << at;
  }
  options.at.clear();
  options.agents_path = write("agents.json", "[]");
  EXPECT_EQ(run([&] { return explain_policy(options); }), kWrongUse);
  options.agents_path.clear();
  options.token = "x.y";
  EXPECT_EQ(run([&] { return explain_policy(options); }), kRefused);
  options.policy_path = path_ + "/none.toml";
  EXPECT_EQ(run([&] { return explain_policy(options); }), kWrongUse);
}

}  // namespace
}  // namespace behalf::app
