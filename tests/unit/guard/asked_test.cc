// What a proxy asked, and what it did not: the decision port believes its proxy and nobody else.
#include "guard/asked.h"

#include <gtest/gtest.h>

namespace behalf::guard {
namespace {

constexpr const char* kSecret = "a-secret-of-the-proxy";

Settings settings_for(Dialect dialect) {
  Settings settings;
  settings.dialect = dialect;
  settings.decide_path = "/decide";
  settings.needs_credential = true;
  settings.credential = Secret(kSecret);
  return settings;
}

http::Request nginx_request() {
  http::Request request;
  request.method = "GET";
  request.path = "/decide";
  request.headers.add("Behalf-Guard-Credential", kSecret);
  request.headers.add("X-Original-Method", "PATCH");
  request.headers.add("X-Original-URI", "/a/%20b?c=d&e");
  request.headers.add("Authorization", "Bearer x");
  return request;
}

NotAsked reason_of(const Settings& settings, const http::Request& request) {
  const auto read = read_asked(settings, request);
  EXPECT_TRUE(std::holds_alternative<NotAsked>(read));
  return std::holds_alternative<NotAsked>(read) ? std::get<NotAsked>(read) : NotAsked::kElsewhere;
}

TEST(Asked, nginx_says_the_original_method_and_target) {
  const http::Request request = nginx_request();
  const auto read = read_asked(settings_for(Dialect::kNginx), request);
  ASSERT_TRUE(std::holds_alternative<Asked>(read));
  const Asked& asked = std::get<Asked>(read);
  EXPECT_EQ(asked.method, "PATCH");
  EXPECT_EQ(asked.path, "/a/%20b");
  EXPECT_EQ(asked.query, "c=d&e");
  ASSERT_EQ(asked.authorization.size(), 1U);
  EXPECT_FALSE(asked.body);
}

TEST(Asked, forward_auth_says_them_in_its_own_headers_and_no_other_counts) {
  const Settings settings = settings_for(Dialect::kForward);
  http::Request request = nginx_request();
  EXPECT_EQ(reason_of(settings, request), NotAsked::kUnclear);
  request.headers.add("X-Forwarded-Method", "GET");
  request.headers.add("X-Forwarded-Uri", "/week");
  const auto read = read_asked(settings, request);
  ASSERT_TRUE(std::holds_alternative<Asked>(read));
  EXPECT_EQ(std::get<Asked>(read).method, "GET");
  EXPECT_EQ(std::get<Asked>(read).path, "/week");
}

// Security 254: X-Original-*, X-Forwarded-*, X-HTTP-Method-Override mean nothing to Envoy's dialect.
TEST(Asked, envoy_asks_with_the_request_itself_behind_a_prefix) {
  const Settings settings = settings_for(Dialect::kEnvoy);
  http::Request request = nginx_request();
  request.method = "DELETE";
  request.path = "/decide/calendars/1";
  request.query = "q=1";
  request.headers.add("X-HTTP-Method-Override", "GET");
  request.body = "{}";
  const auto read = read_asked(settings, request);
  ASSERT_TRUE(std::holds_alternative<Asked>(read));
  EXPECT_EQ(std::get<Asked>(read).method, "DELETE");
  EXPECT_EQ(std::get<Asked>(read).path, "/calendars/1");
  EXPECT_EQ(std::get<Asked>(read).query, "q=1");
  EXPECT_EQ(std::get<Asked>(read).body, "{}");
  request.headers.add("x-envoy-auth-partial-body", "true");
  EXPECT_FALSE(std::get<Asked>(read_asked(settings, request)).body) << "half a body is none";
  request.path = "/decided";
  EXPECT_EQ(reason_of(settings, request), NotAsked::kElsewhere);
}

// Security 254, 269.
TEST(Asked, without_the_proxys_secret_nothing_is_said) {
  const Settings settings = settings_for(Dialect::kNginx);
  http::Request request = nginx_request();
  request.headers.set("Behalf-Guard-Credential", "a-secret-of-the-Proxy");
  EXPECT_EQ(reason_of(settings, request), NotAsked::kNoCredential);
  request.headers.set("Behalf-Guard-Credential", "");
  EXPECT_EQ(reason_of(settings, request), NotAsked::kNoCredential);
  http::Request twice = nginx_request();
  twice.headers.add("Behalf-Guard-Credential", kSecret);
  EXPECT_EQ(reason_of(settings, twice), NotAsked::kNoCredential);
  http::Request none = nginx_request();
  none.headers.clear();
  none.headers.add("X-Original-Method", "GET");
  none.headers.add("X-Original-URI", "/");
  EXPECT_EQ(reason_of(settings, none), NotAsked::kNoCredential);
}

TEST(Asked, what_the_proxy_says_twice_or_unclearly_it_did_not_say) {
  const Settings settings = settings_for(Dialect::kNginx);
  for (const char* name : {"X-Original-Method", "X-Original-URI"}) {
    http::Request request = nginx_request();
    request.headers.add(name, "/x");
    EXPECT_EQ(reason_of(settings, request), NotAsked::kUnclear) << name;
  }
  for (const char* target : {"", "week", "http://api.example/week", "/a b", "/a#b", "/\xC3\xA9", "*"}) {
    http::Request request = nginx_request();
    request.headers.set("X-Original-URI", target);
    EXPECT_EQ(reason_of(settings, request), NotAsked::kUnclear) << target;
  }
  for (const char* method : {"", "GE T", "GET\t", "G(T"}) {
    http::Request request = nginx_request();
    request.headers.set("X-Original-Method", method);
    EXPECT_EQ(reason_of(settings, request), NotAsked::kUnclear) << method;
  }
}

// Security 258, I-15.
TEST(Asked, a_token_in_query_or_form_is_noticed_however_it_is_spelled) {  // 258, I-15, D-42
  for (const char* query : {"access_token=x", "a=b&access_token=x", "access_token", "access%5ftoken=x",
                            "access%5Ftoken", "%61ccess_token=x", "a=b;access_token=x", "Access_Token=x"}) {
    Asked asked;
    asked.query = query;
    EXPECT_TRUE(has_stray_token(asked)) << query;
    Asked form;
    form.content_type = "Application/x-www-form-urlencoded ; charset=utf-8";
    form.body = query;
    EXPECT_TRUE(has_stray_token(form)) << query;
    form.content_type = "text/plain";
    EXPECT_FALSE(has_stray_token(form)) << query;
  }
  for (const char* query : {"", "a=access_token", "xaccess_token=1", "access_tokens=1", "access%token"}) {
    Asked asked;
    asked.query = query;
    EXPECT_FALSE(has_stray_token(asked)) << query;
  }
}

TEST(Asked, a_head_that_two_readers_read_differently_is_in_doubt) {
  http::Request request;
  request.method = "POST";
  request.path = "/x";
  request.headers.add("Content-Type", "application/json");
  request.headers.add("Connection", "keep-alive");
  EXPECT_EQ(read_own(request, std::nullopt).doubt, "");
  for (const char* named : {"Content-Type", "close, content-length", "Host", "authorization", "x, Cookie"}) {
    http::Request other = request;
    other.headers.add("Connection", named);
    EXPECT_NE(read_own(other, std::nullopt).doubt, "") << named;
  }
  for (const char* named : {"close", "Upgrade", "keep-alive, X-Mine", "Behalf-Actor"}) {
    http::Request other = request;
    other.headers.add("Connection", named);
    EXPECT_EQ(read_own(other, std::nullopt).doubt, "") << named;
  }
  request.headers.add("content-type", "text/plain");
  EXPECT_NE(read_own(request, std::nullopt).doubt, "");
}

TEST(Asked, who_wants_a_tunnel_says_so) {
  http::Request request = nginx_request();
  request.headers.add("Connection", "Upgrade");
  EXPECT_FALSE(std::get<Asked>(read_asked(settings_for(Dialect::kNginx), request)).wants_tunnel);
  EXPECT_FALSE(read_own(request, std::nullopt).wants_tunnel);
  request.headers.add("Upgrade", "WebSocket");
  EXPECT_TRUE(std::get<Asked>(read_asked(settings_for(Dialect::kNginx), request)).wants_tunnel);
  EXPECT_TRUE(read_own(request, std::nullopt).wants_tunnel);
  request.headers.set("Upgrade", "h2c");
  EXPECT_TRUE(std::get<Asked>(read_asked(settings_for(Dialect::kNginx), request)).wants_tunnel)
      << "what the proxy makes of it is not known";
  EXPECT_FALSE(read_own(request, std::nullopt).wants_tunnel) << "no tunnel is made of that here";
}

}  // namespace
}  // namespace behalf::guard
