// Bodies of JSON-RPC, and policies that name methods and tools (security 263): what cannot be read one way is
// denied.
#include "unit/sdk/policy_support.h"

namespace behalf::sdk {
namespace {

using namespace testing;

const std::string kSearch =
    R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"q":"x"}}})";
const std::string kDelete =
    R"({"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete","arguments":{}}})";
const std::string kList = R"({"jsonrpc":"2.0","id":3,"method":"tools/list"})";

std::string calls_in(std::string_view body, std::string_view type = "application/json",
                     std::string_view encoding = {}) {
  const auto calls = parse_rpc(type, encoding, body);
  if (!calls) return "nothing";
  std::string text;
  for (const RpcCall& call : *calls)
    text += "[" + call.method + (call.tool.empty() ? "" : " " + call.tool) + "]";
  return text;
}

TEST(ParseRpc, reads_calls_batches_notifications_and_answers) {
  EXPECT_EQ(calls_in(kSearch), "[tools/call search]");
  EXPECT_EQ(calls_in(" " + kSearch + "\n"), "[tools/call search]");
  EXPECT_EQ(calls_in("[" + kSearch + "," + kList + "]"), "[tools/call search][tools/list]");
  EXPECT_EQ(calls_in(R"({"jsonrpc":"2.0","method":"notifications/initialized"})"),
            "[notifications/initialized]");
  EXPECT_EQ(calls_in(R"({"jsonrpc":"2.0","id":"a","method":"m","params":[1]})"), "[m]");
  EXPECT_EQ(calls_in(R"({"jsonrpc":"2.0","id":7,"result":{}})"), "[<response>]");
  EXPECT_EQ(calls_in(R"({"jsonrpc":"2.0","id":7,"error":{"code":1,"message":""}})"), "[<response>]");
  EXPECT_EQ(calls_in(R"({"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"a\u0062"}})"),
            "[tools/call ab]");
}

TEST(ParseRpc, the_media_type_is_exact) {  // 263
  for (const char* type : {"application/json", " application/json ", "application/json;charset=utf-8",
                           "application/json; charset=UTF-8", "application/json; charset=\"utf-8\""})
    EXPECT_EQ(calls_in(kList, type), "[tools/list]") << type;
  for (const char* type :
       {"", "text/plain", "Application/JSON", "Application/JSON ;charset", "application/json;",
        "application/json; x=y", "application/json; charset=utf-16", "application/json; charset=utf-8; x=y",
        "application/json, text/plain", "application/json-rpc", "application/vnd.api+json", "text/json",
        "application/json charset=utf-8", "multipart/form-data; boundary=application/json"})
    EXPECT_EQ(calls_in(kList, type), "nothing") << type;
}

TEST(ParseRpc, what_is_compressed_is_not_read) {  // 263
  for (const char* encoding : {"gzip", "deflate", "br", "gzip, identity", "identity, identity", "x"})
    EXPECT_EQ(calls_in(kList, "application/json", encoding), "nothing") << encoding;
  EXPECT_EQ(calls_in(kList, "application/json", "identity"), "[tools/list]");
}

TEST(ParseRpc, what_two_parsers_could_read_differently_is_not_read) {  // 263
  for (
      const std::string& body : std::vector<std::string>{
          "", " ", "[]", "null", "1", "\"tools/call\"", "[[" + kList + "]]", "[1]", "[" + kList + ",]",
          kList + kList, kList + "x", "[" + kList + "," + "{}]", kList.substr(1), "\xEF\xBB\xBF" + kList,
          // doubled, or a name that a case-blind reader takes for one
          R"({"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"delete"}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","params":{"name":"delete"}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","name":"delete"}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","Name":"delete"}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"},"PARAMS":{"name":"delete"}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/list","\u006dethod":"tools/call"})",
          // the same to who folds case beyond ASCII
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"},"param\u017f":{"name":"delete"}})",
          "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
          "call\",\"params\":{\"name\":\"search\"},\"param\xC5\xBF\":{}}",
          R"({"jsonrpc":"2.0","j\u017fonrpc":"2.0","id":1,"method":"tools/list"})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/list","\u212a":1})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","\uff4eame":"delete"}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","argument\u017f":{}}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","Arguments":{}}})",
          // not of the protocol
          R"({"id":1,"method":"tools/list"})", R"({"jsonrpc":"1.0","id":1,"method":"tools/list"})",
          R"({"jsonrpc":2.0,"id":1,"method":"tools/list"})",
          R"({"jsonrpc":"2.0","id":{},"method":"tools/list"})",
          R"({"jsonrpc":"2.0","id":1.5,"method":"tools/list"})", R"({"jsonrpc":"2.0","id":1,"method":1})",
          R"({"jsonrpc":"2.0","id":1,"method":""})", R"({"jsonrpc":"2.0","id":1,"method":"<response>"})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/list "})",
          R"({"jsonrpc":"2.0","id":1,"method":"t\u0000"})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":"x"})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/list","result":{}})", R"({"jsonrpc":"2.0","result":{}})",
          R"({"jsonrpc":"2.0","id":1})", R"({"jsonrpc":"2.0","id":1,"method":"tools/call"})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":["search"]})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}})",
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"s\u00ebarch"}})"})
    EXPECT_EQ(calls_in(body), "nothing") << body;
}

TEST(ParseRpc, has_limits) {
  const auto batch = [](size_t count) {
    std::string text = "[";
    for (size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ",") + kList;
    return text + "]";
  };
  EXPECT_NE(calls_in(batch(100)), "nothing");
  EXPECT_EQ(calls_in(batch(101)), "nothing");
  const auto sized = [](size_t bytes) {
    return R"({"jsonrpc":"2.0","id":1,"method":"m","params":{"x":")" + std::string(bytes, 'x') + "\"}}";
  };
  EXPECT_EQ(calls_in(sized(1000 * 1024)), "[m]");
  EXPECT_EQ(calls_in(sized(1024 * 1024)), "nothing");
}

constexpr const char* kToolRules = R"(
[[rule]]
name = "no-delete"
effect = "deny"
paths = ["/mcp"]
tools = ["delete"]

[[rule]]
name = "search"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
tools = ["search", "fetch"]
scopes = ["search"]

[[rule]]
name = "book"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
tools = ["book"]
actors = ["agent-calendar"]
scopes = ["book"]

[[rule]]
name = "plumbing"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
rpc_methods = ["initialize", "ping", "tools/list", "<response>"]

[[rule]]
name = "stream"
effect = "allow"
methods = ["GET"]
paths = ["/mcp"]
)";

Action call_of(std::string_view body, std::string_view type = "application/json") {
  Action action = request("POST", "/mcp");
  action.calls = parse_rpc(type, {}, body);
  return action;
}

TEST(PolicyCalls, rules_name_methods_and_tools) {
  const auto policy = policy_of(kToolRules);
  EXPECT_TRUE(policy->needs_body("POST", "/mcp"));
  EXPECT_FALSE(policy->needs_body("POST", "/other"));
  const Delegation may_search = token({"agent-calendar"}, {"search"});
  EXPECT_EQ(decide(*policy, call_of(kSearch), may_search).rule, "search");
  EXPECT_EQ(effect_of(*policy, call_of(kSearch), token()), Effect::kInsufficientScope);
  EXPECT_EQ(decide(*policy, call_of(kDelete), may_search).rule, "no-delete");
  EXPECT_EQ(decide(*policy, call_of(kList), may_search).rule, "plumbing");
  EXPECT_EQ(decide(*policy, call_of(R"({"jsonrpc":"2.0","id":1,"method":"resources/read","params":{}})"),
                   may_search)
                .rule,
            "");
  EXPECT_EQ(effect_of(*policy,
                      call_of(R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"Search"}})"),
                      may_search),
            Effect::kDenied);
}

TEST(PolicyCalls, a_body_that_was_not_read_is_denied_where_a_rule_would_look) {  // 263
  const auto policy = policy_of(kToolRules);
  const Delegation may_search = token({"agent-calendar"}, {"search"});
  EXPECT_EQ(effect_of(*policy, request("POST", "/mcp"), may_search), Effect::kDenied);
  EXPECT_EQ(effect_of(*policy, call_of(kSearch, "text/plain"), may_search), Effect::kDenied);
  Action none = request("POST", "/mcp");
  none.calls.emplace();
  EXPECT_EQ(effect_of(*policy, none, may_search), Effect::kDenied);
  const auto allow_first = policy_of(R"(
[[rule]]
name = "search"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
tools = ["search"]

[[rule]]
name = "rest"
effect = "allow"
methods = ["POST"]
paths = ["/**"])");
  EXPECT_EQ(effect_of(*allow_first, request("POST", "/mcp"), may_search), Effect::kDenied);
  EXPECT_EQ(effect_of(*allow_first, request("POST", "/other"), may_search), Effect::kAllow);
}

TEST(PolicyCalls, a_batch_is_allowed_if_each_call_is) {  // 263
  const auto policy = policy_of(kToolRules);
  const Delegation may_search = token({"agent-calendar"}, {"search"});
  EXPECT_EQ(effect_of(*policy, call_of("[" + kList + "," + kSearch + "]"), may_search), Effect::kAllow);
  const Decision hidden = decide(*policy, call_of("[" + kSearch + "," + kDelete + "]"), may_search);
  EXPECT_EQ(hidden.effect, Effect::kDenied);
  EXPECT_EQ(hidden.rule, "no-delete");
  const std::string book = R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"book"}})";
  const Decision both = decide(*policy, call_of("[" + kSearch + "," + book + "]"), token());
  EXPECT_EQ(both.effect, Effect::kInsufficientScope);
  EXPECT_EQ(both.scopes, (std::vector<std::string>{"search", "book"})) << "all that the batch needs";
  EXPECT_EQ(effect_of(*policy, call_of("[" + kSearch + "," + book + "]"), token({"agent-mail"})),
            Effect::kActorUnauthorized)
      << "more scope would not help";
}

TEST(PolicyCalls, each_call_counts) {
  const auto policy = policy_of(R"(
[[rule]]
name = "search"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
tools = ["search"]
budget = { per = "actor", count = 3, in = "total" })");
  Policy::Counters counters;
  const Delegation delegation = token();
  const auto ask = [&](int calls) {
    std::string body = "[";
    for (int i = 0; i < calls; ++i) body += (i == 0 ? "" : ",") + kSearch;
    return policy->decide(call_of(body + "]"), &delegation, kNoon, {}, &counters).effect;
  };
  EXPECT_EQ(ask(4), Effect::kTooMany);
  EXPECT_EQ(ask(2), Effect::kAllow) << "what was refused has used nothing";
  EXPECT_EQ(ask(2), Effect::kTooMany);
  EXPECT_EQ(ask(1), Effect::kAllow);
  EXPECT_EQ(ask(1), Effect::kTooMany);
}

TEST(PolicyCalls, names_within_arguments_are_the_tools_own) {
  EXPECT_EQ(
      calls_in(
          R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"\u00e9":1,"Name":2}}})"),
      "[tools/call search]");
}

TEST(PolicyCalls, are_counted_and_asked_about_only_where_rules_look_at_them) {
  const auto policy = policy_of(R"(
[authzen]
url = "https://pdp.example/evaluation"

[[rule]]
name = "ping"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
rpc_methods = ["tools/list"]
authzen = false

[[rule]]
name = "search"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
tools = ["search"]

[[rule]]
name = "plain"
effect = "allow"
methods = ["POST"]
paths = ["/plain"]
authzen = false
budget = { per = "person", count = 2, in = "total" }
)");
  const Delegation who = token();
  Policy::Counters counters;
  Action action = request("POST", "/mcp");
  action.calls = parse_rpc("application/json", "", "[" + kList + "," + kSearch + "]");
  const Decision batch = policy->decide(action, &who, kNoon, {}, &counters);
  EXPECT_TRUE(batch.needs_external);
  EXPECT_EQ(batch.external_calls, std::vector<size_t>{1}) << "the other's rule keeps it to itself";
  action.path = "/plain";
  EXPECT_TRUE(policy->decide(action, &who, kNoon, {}, &counters).allowed());
  EXPECT_TRUE(policy->decide(action, &who, kNoon, {}, &counters).allowed()) << "a batch is one request here";
  EXPECT_FALSE(policy->decide(action, &who, kNoon, {}, &counters).allowed());
  EXPECT_TRUE(policy->looks_at_calls("/mcp"));
  EXPECT_TRUE(policy->looks_at_calls("/MCP/"));
  EXPECT_FALSE(policy->looks_at_calls("/plain"));
  EXPECT_FALSE(policy->looks_at_calls("//mcp"));
}

}  // namespace
}  // namespace behalf::sdk
