// One decision from end to end: token, policy, challenge and record (section I, security 2.12), without a
// network.
#include "guard/judge.h"

#include <gtest/gtest.h>

#include "behalf/keys.h"
#include "behalf/revocations.h"
#include "unit/sdk/fixtures.h"

namespace behalf::guard {
namespace {

using namespace sdk::testing;

constexpr const char* kPolicy = R"(
[[rule]]
name = "open"
effect = "allow"
methods = ["GET"]
paths = ["/open"]
token = "none"

[[rule]]
name = "read"
effect = "allow"
methods = ["GET", "POST"]
paths = ["/mail/**"]
scopes = ["mail.read"]

[[rule]]
name = "admin"
effect = "allow"
methods = ["GET"]
paths = ["/admin"]
scopes = ["mail.admin"]

[[rule]]
name = "tool"
effect = "allow"
methods = ["POST"]
paths = ["/mcp"]
rpc_methods = ["tools/call"]
tools = ["search"]
scopes = ["mail.read"]

[[rule]]
name = "stream"
effect = "allow"
methods = ["GET"]
paths = ["/mcp"]
scopes = ["mail.read"]

[[rule]]
name = "pay"
effect = "allow"
methods = ["POST"]
paths = ["/pay"]
budget = { per = "person", count = 1, in = "total" }
)";

struct Bench {
  explicit Bench(bool shadow = false) {
    settings.resource.id = kApi;
    settings.resource.public_url = kApi;
    settings.shadow = shadow;
    std::vector<sdk::Policy::Fault> faults;
    judge.use(sdk::Policy::parse(kPolicy, "policy.toml", faults));
    EXPECT_TRUE(faults.empty());
  }
  Ruling ask(std::string_view method, std::string_view path, const std::string& authorization = "",
             std::string_view query = "") {
    Asked asked;
    asked.method = method;
    asked.path = path;
    asked.query = query;
    if (!authorization.empty()) asked.authorization.push_back(authorization);
    return judge.rule(asked, Size::kFits, kNowMs);
  }
  Ruling call(const std::string& authorization, std::string_view body, Size size = Size::kFits) {
    Asked asked;
    asked.method = "POST";
    asked.path = "/mcp";
    asked.content_type = "application/json";
    asked.body = body;
    asked.authorization.push_back(authorization);
    return judge.rule(asked, size, kNowMs);
  }

  Settings settings;
  sdk::KeySource keys = sdk::KeySource::fixed(jwks_of({issuer_key()}));
  sdk::Revocations revocations{0};
  sdk::Verifier verifier{api_options(), keys, &revocations};
  Judge judge{
      settings, verifier, sdk::Challenger("https://api.example/.well-known/oauth-protected-resource"), {}};
};

const std::string& good() {
  static const std::string header = "Bearer " + sign(delegated_claims());
  return header;
}

TEST(Judge, allows_and_remembers_who_did_what) {
  Bench bench;
  const Ruling ruling = bench.ask("GET", "/mail/1", good());
  EXPECT_TRUE(ruling.allowed);
  ASSERT_TRUE(ruling.who);
  EXPECT_EQ(ruling.who->subject, "alice");
  const Record& record = ruling.record;
  EXPECT_TRUE(record.allowed);
  EXPECT_EQ(record.person, "alice");
  EXPECT_EQ(record.client, "app");
  EXPECT_EQ(record.chain, (std::vector<std::string>{"mail-agent", "planner"}));
  EXPECT_EQ(record.rule, "read");
  EXPECT_EQ(record.reason, "allow");
  EXPECT_EQ(record.jti, "token-1");
  EXPECT_EQ(record.resource, kApi);
}

// I-01, I-02, I-04, I-15.
TEST(Judge, refuses_with_the_challenge_that_fits) {
  Bench bench;
  struct Case {
    Ruling ruling;
    int status;
    const char* error;
  };
  const Case cases[] = {
      {bench.ask("GET", "/mail/1"), 401, ""},
      {bench.ask("GET", "/mail/1", "Basic eDp5"), 401, ""},
      {bench.ask("GET", "/mail/1", good() + "x"), 401, "invalid_token"},
      {bench.ask("GET", "/mail/1", "DPoP " + good().substr(7)), 401, "invalid_token"},
      {bench.ask("GET", "/mail/1", "Bearer\t" + good().substr(7)), 400, "invalid_request"},
      {bench.ask("GET", "/mail/1", good() + ", " + good()), 400, "invalid_request"},
      {bench.ask("GET", "/mail/1", good(), "access_token=x"), 400, "invalid_request"},
      {bench.ask("GET", "/mail/1", good(), "a=b&%61ccess_token=x"), 400, "invalid_request"},
      {bench.ask("GET", "/mail/1", "Bearer " + std::string(Judge::kMaxToken + 1, 'a')), 400,
       "invalid_request"},
      {bench.ask("GET", "/admin", good()), 403, "insufficient_scope"},
      {bench.ask("GET", "/nowhere", good()), 403, "access_denied"},
      {bench.ask("DELETE", "/mail/1", good()), 403, "access_denied"},
  };
  for (const Case& one : cases) {
    EXPECT_FALSE(one.ruling.allowed);
    EXPECT_EQ(one.ruling.challenge.status, one.status) << one.ruling.record.reason;
    const std::string quoted = "\"" + std::string(one.error) + "\"";
    EXPECT_EQ(one.ruling.challenge.body.find(quoted) != std::string::npos, *one.error != '\0') << one.error;
    EXPECT_FALSE(one.ruling.record.allowed);
    EXPECT_FALSE(one.ruling.record.reason.empty());
    EXPECT_EQ(one.ruling.record.status, one.status);
  }
  EXPECT_TRUE(bench.ask("GET", "/open").allowed);
}

TEST(Judge, a_revoked_token_is_refused_and_its_record_says_whose_it_was) {
  Bench bench;
  const std::string token = good().substr(7);
  EXPECT_TRUE(bench.ask("GET", "/mail/1", good()).allowed);
  EXPECT_FALSE(bench.judge.ended(token, kNowMs));
  bench.revocations.add({sdk::RevokedKind::kGrant, "grant-1", kNowMs, kNowMs + 3'600'000});
  const Ruling ruling = bench.ask("GET", "/mail/1", good());
  EXPECT_FALSE(ruling.allowed);
  EXPECT_EQ(ruling.challenge.status, 401);
  EXPECT_EQ(ruling.record.reason, "revoked");
  EXPECT_EQ(ruling.record.person, "alice");
  EXPECT_FALSE(ruling.who) << "nobody is vouched for";
  EXPECT_EQ(bench.judge.ended(token, kNowMs), sdk::Refusal::kRevoked);
}

// Security 264.
TEST(Judge, a_stream_ends_with_its_token) {
  Bench bench;
  const std::string token = good().substr(7);
  EXPECT_FALSE(bench.judge.ended(token, kNowMs + 599'000));
  EXPECT_EQ(bench.judge.ended(token, kNowMs + 601'000), sdk::Refusal::kExpired);
}

// Security 263.
TEST(Judge, a_body_it_could_not_read_whole_is_no_call_that_is_allowed) {
  Bench bench;
  const std::string search = R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"}})";
  const Ruling allowed = bench.call(good(), search);
  EXPECT_TRUE(allowed.allowed);
  EXPECT_EQ(allowed.record.calls, std::vector<std::string>{"tools/call search"});
  EXPECT_FALSE(bench.call(good(), search, Size::kTooLargeNow).allowed) << "more than was read";
  EXPECT_FALSE(bench.call(good(), search + search).allowed);
  EXPECT_FALSE(
      bench.call(good(), R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"send"}})")
          .allowed);
  Asked unread;
  unread.method = "POST";
  unread.path = "/mcp";
  unread.authorization.push_back(good());
  EXPECT_TRUE(bench.judge.needs_body(unread));
  EXPECT_FALSE(bench.judge.rule(unread, Size::kFits, kNowMs).allowed);
}

TEST(Judge, a_form_is_looked_at_before_it_passes) {
  Bench bench;
  Asked form;
  form.method = "POST";
  form.path = "/mail/send";
  form.content_type = "application/x-www-form-urlencoded";
  form.authorization.push_back(good());
  EXPECT_TRUE(bench.judge.needs_body(form));
  form.body = "a=b";
  EXPECT_TRUE(bench.judge.rule(form, Size::kFits, kNowMs).allowed);
  form.body = "a=b&access_token=x";
  EXPECT_EQ(bench.judge.rule(form, Size::kFits, kNowMs).challenge.status, 400);
  form.body.reset();
  EXPECT_FALSE(bench.judge.rule(form, Size::kTooLargeNow, kNowMs).allowed) << "too large to be looked at";
}

TEST(Judge, shadow_lets_through_what_it_would_deny_and_vouches_for_nobody_it_does_not_know) {
  Bench bench(true);
  const Ruling denied = bench.ask("GET", "/admin", good());
  EXPECT_TRUE(denied.allowed);
  EXPECT_FALSE(denied.record.allowed);
  EXPECT_TRUE(denied.record.shadow);
  EXPECT_EQ(denied.record.reason, "insufficient_scope");
  const Ruling forged = bench.ask("GET", "/mail/1", good() + "x");
  EXPECT_TRUE(forged.allowed);
  EXPECT_FALSE(forged.who);
  EXPECT_TRUE(forged.token.empty());
}

TEST(Judge, a_body_that_is_too_large_is_413_and_what_happens_is_what_is_remembered) {
  for (const bool shadow : {false, true}) {
    Bench bench(shadow);
    const Ruling gone = bench.call(good(), "", Size::kTooLargeNow);
    EXPECT_FALSE(gone.allowed) << "a part of it has been read and cannot go on, in shadow mode either";
    EXPECT_EQ(gone.challenge.status, 413);
    EXPECT_NE(gone.challenge.body.find("\"error\""), std::string::npos);
    EXPECT_FALSE(gone.record.allowed);
    EXPECT_FALSE(gone.record.shadow);
    EXPECT_EQ(gone.record.status, 413);
    EXPECT_EQ(gone.record.reason, "body_too_large");
    EXPECT_EQ(gone.record.person, "alice");
    const Ruling unread = bench.call(good(), "", Size::kTooLarge);
    EXPECT_EQ(unread.allowed, shadow);
    EXPECT_EQ(unread.record.shadow, shadow);
    EXPECT_FALSE(unread.record.allowed);
  }
  Bench bench;
  Asked form;
  form.method = "POST";
  form.path = "/pay";
  form.content_type = "application/x-www-form-urlencoded";
  EXPECT_EQ(bench.judge.rule(form, Size::kTooLargeNow, kNowMs).challenge.status, 401) << "no token";
  form.authorization.push_back(good());
  EXPECT_EQ(bench.judge.rule(form, Size::kTooLargeNow, kNowMs).challenge.status, 413);
  form.body = "a=b";
  EXPECT_TRUE(bench.judge.rule(form, Size::kFits, kNowMs).allowed) << "what was refused has used nothing up";
  EXPECT_EQ(bench.judge.rule(form, Size::kFits, kNowMs).challenge.status, 429);
}

TEST(Judge, what_is_refused_after_the_rules_uses_nothing_up) {
  Bench bench;
  Ruling ruling = bench.ask("POST", "/pay", good());
  ASSERT_TRUE(ruling.allowed);
  bench.judge.settle(ruling, sdk::AuthzenAnswer::kDeny, kNowMs);
  EXPECT_FALSE(ruling.allowed);
  Ruling again = bench.ask("POST", "/pay", good());
  ASSERT_TRUE(again.allowed) << "the decision point said no, and nothing was paid";
  bench.judge.give_back(again, kNowMs);
  Ruling last = bench.ask("POST", "/pay", good());
  ASSERT_TRUE(last.allowed) << "its record could not be kept";
  bench.judge.settle(last, sdk::AuthzenAnswer::kPermit, kNowMs);
  const Ruling over = bench.ask("POST", "/pay", good());
  EXPECT_EQ(over.challenge.status, 429);
  EXPECT_EQ(over.retry_after, 0);
  EXPECT_NE(over.challenge.body.find("does not come back"), std::string::npos) << over.challenge.body;
}

TEST(Judge, no_tunnel_goes_where_calls_are_looked_at) {
  Bench bench;
  Asked asked;
  asked.method = "GET";
  asked.path = "/mcp";
  asked.authorization.push_back(good());
  EXPECT_TRUE(bench.judge.rule(asked, Size::kFits, kNowMs).allowed);
  asked.wants_tunnel = true;
  const Ruling refused = bench.judge.rule(asked, Size::kFits, kNowMs);
  EXPECT_EQ(refused.challenge.status, 403);
  EXPECT_EQ(refused.record.reason, "tunnel_refused");
  asked.path = "/MCP/";
  EXPECT_EQ(bench.judge.rule(asked, Size::kFits, kNowMs).record.reason, "tunnel_refused");
  asked.path = "/mail/1";
  EXPECT_TRUE(bench.judge.rule(asked, Size::kFits, kNowMs).allowed);
  asked.path = "/mcp";
  asked.authorization.clear();
  EXPECT_EQ(bench.judge.rule(asked, Size::kFits, kNowMs).challenge.status, 401);
}

TEST(Judge, who_has_no_token_is_challenged_whatever_is_asked_for) {
  Bench bench;
  Asked asked;
  asked.method = "POST";
  asked.path = "/mcp";
  asked.content_type = "text/plain";
  asked.body = "x";
  EXPECT_EQ(bench.judge.rule(asked, Size::kFits, kNowMs).challenge.status, 401);
  asked.body.reset();
  EXPECT_EQ(bench.judge.rule(asked, Size::kFits, kNowMs).challenge.status, 401);
  EXPECT_EQ(bench.ask("GET", "//x").challenge.status, 401);
  EXPECT_EQ(bench.ask("GET", "//x", good()).challenge.status, 403);
}

TEST(Judge, what_can_be_read_in_two_ways_is_refused) {
  Bench bench;
  Asked asked;
  asked.method = "GET";
  asked.path = "/mail/1";
  asked.authorization.push_back(good());
  asked.doubt = "there are two Content-Type headers";
  const Ruling ruling = bench.judge.rule(asked, Size::kFits, kNowMs);
  EXPECT_EQ(ruling.challenge.status, 400);
  EXPECT_EQ(ruling.record.reason, "unclear_request");
}

TEST(Judge, what_a_proxy_asks_unclearly_is_remembered) {
  for (const bool shadow : {false, true}) {
    Bench bench(shadow);
    bench.settings.dialect = Dialect::kNginx;
    http::Request request;
    request.headers.add("X-Original-Method", "GET");
    request.headers.add("X-Original-URI", "/mail/x#y?secret");
    request.peer = "192.0.2.9";
    const Ruling ruling = bench.judge.unclear(request, kNowMs);
    EXPECT_EQ(ruling.allowed, shadow);
    EXPECT_EQ(ruling.challenge.status, 403);
    EXPECT_EQ(ruling.record.reason, "unclear_request");
    EXPECT_EQ(ruling.record.method, "GET");
    EXPECT_EQ(ruling.record.path, "/mail/x");
    EXPECT_EQ(ruling.record.peer, "192.0.2.9");
    EXPECT_FALSE(ruling.record.allowed);
  }
}

}  // namespace
}  // namespace behalf::guard
