// What an external decision point is asked (AuthZEN Authorization API 1.0 §6), and which answers let in.
#include "behalf/authzen.h"

#include "base/json.h"
#include "unit/sdk/policy_support.h"

namespace behalf::sdk {
namespace {

using namespace testing;

TEST(Authzen, says_person_agent_and_what_they_want) {
  Delegation delegation = token({"agent-calendar", "agent-mail"});
  delegation.acr = "mfa";
  delegation.authenticated_at = kNoon - 5'000;
  const auto requests = authzen_requests(request("GET", "/week/7"), &delegation, kNoon);
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(
      requests[0],
      R"({"subject":{"type":"user","id":"alice","properties":{"issuer":"https://auth.example"}},)"
      R"("action":{"name":"GET"},)"
      R"("resource":{"type":"path","id":"/week/7","properties":{"host":"api.example","path":"/week/7","resource":"https://api.example"}},)"
      R"("context":{"client":"planner","agent":"agent-calendar",)"
      R"("chain":[{"sub":"agent-calendar","iss":"https://auth.example"},{"sub":"agent-mail","iss":"https://auth.example"}],)"
      R"("scopes":["calendar.read"],"grant_id":"g1","jti":"t1","acr":"mfa","auth_time":1795607995,"time":"2026-11-25T12:00:00Z"}})");
}

TEST(Authzen, asks_about_each_call_of_a_batch) {
  Action action = request("POST", "/mcp");
  action.calls = std::vector<RpcCall>{{"tools/call", "search"}, {"tools/list", {}}};
  const Delegation delegation = token();
  const auto requests = authzen_requests(action, &delegation, kNoon);
  ASSERT_EQ(requests.size(), 2U);
  const auto first = json::parse(requests[0]);
  const auto second = json::parse(requests[1]);
  EXPECT_EQ(*first->find("action")->find_string("name"), "tools/call");
  EXPECT_EQ(*first->find("resource")->find_string("type"), "tool");
  EXPECT_EQ(*first->find("resource")->find_string("id"), "search");
  EXPECT_EQ(*second->find("action")->find_string("name"), "tools/list");
  EXPECT_EQ(*second->find("resource")->find_string("id"), "/mcp");
}

TEST(Authzen, has_a_subject_even_without_a_token) {
  const auto parsed = json::parse(authzen_requests(request("GET", "/"), nullptr, kNoon).at(0));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed->find("subject")->find_string("type"), "anonymous");
}

TEST(Authzen, only_true_lets_in) {
  const auto read = [](int status, std::string_view type, std::string_view body) {
    return read_authzen_answer(status, type, body);
  };
  EXPECT_EQ(read(200, "application/json", R"({"decision":true})"), AuthzenAnswer::kPermit);
  EXPECT_EQ(read(200, "application/json; charset=utf-8", R"({"decision":true,"context":{}})"),
            AuthzenAnswer::kPermit);
  EXPECT_EQ(read(200, "application/json", R"({"decision":false})"), AuthzenAnswer::kDeny);
  for (const char* body :
       {"", "true", "[]", "{}", R"({"decision":"true"})", R"({"decision":1})", R"({"decision":null})",
        R"({"decision":false,"decision":true})", R"({"decision":true}x)", R"({"Decision":true})"})
    EXPECT_EQ(read(200, "application/json", body), AuthzenAnswer::kFailure) << body;
  for (const int status : {0, 201, 204, 302, 400, 401, 403, 500, 503})
    EXPECT_EQ(read(status, "application/json", R"({"decision":true})"), AuthzenAnswer::kFailure) << status;
  for (const char* type : {"", "text/html", "application/jsonx", "application/problem+json"})
    EXPECT_EQ(read(200, type, R"({"decision":true})"), AuthzenAnswer::kFailure) << type;
}

TEST(Authzen, an_agent_of_another_issuer_is_named_with_it) {
  Delegation delegation = token();
  delegation.chain.front().issuer = "https://evil.example";
  const std::string body = authzen_requests(request("GET", "/x"), &delegation, kNoon).front();
  EXPECT_NE(body.find(R"("agent":"https://evil.example#agent-calendar")"), std::string::npos) << body;
}

}  // namespace
}  // namespace behalf::sdk
