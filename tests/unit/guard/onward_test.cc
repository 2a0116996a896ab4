// The request as the API gets it.
#include "guard/onward.h"

#include <gtest/gtest.h>

namespace behalf::guard {
namespace {

Settings proxy() {
  Settings settings;
  settings.origin = std::make_shared<http::Origin>();
  settings.origin_host = "api.example";
  settings.resource.public_url = "https://api.example/r";
  return settings;
}

http::Request request_with(std::initializer_list<http::Header> headers) {
  http::Request request;
  request.method = "GET";
  request.path = "/a/%20b";
  request.query = "c=d";
  request.peer = "192.0.2.9";
  for (const http::Header& header : headers) request.headers.add(header.name, header.value);
  return request;
}

TEST(Onward, carries_what_is_meant_for_the_api) {
  const http::Request request = request_with(
      {{"Host", "evil.example"}, {"Accept", "x"}, {"Cookie", "a=b"}, {"Authorization", "Bearer t"}});
  const http::Forward forward = onward(proxy(), request, {{"Behalf-Subject", "alice"}, {"Behalf-Grant", ""}});
  EXPECT_EQ(forward.target, "/a/%20b?c=d");
  EXPECT_EQ(*forward.headers.find("Accept"), "x");
  EXPECT_EQ(*forward.headers.find("Cookie"), "a=b");
  EXPECT_EQ(forward.headers.count("Host"), 1U);
  EXPECT_EQ(*forward.headers.find("Host"), "api.example");
  EXPECT_EQ(*forward.headers.find("Behalf-Subject"), "alice");
  EXPECT_EQ(forward.headers.find("Behalf-Grant"), nullptr);
  EXPECT_EQ(forward.headers.find("Authorization"), nullptr) << "the token stays here";
  EXPECT_EQ(*forward.headers.find("X-Forwarded-For"), "192.0.2.9");
  Settings passing = proxy();
  passing.pass_token = true;
  EXPECT_EQ(*onward(passing, request, {}).headers.find("Authorization"), "Bearer t");
}

// Security 253, 254.
TEST(Onward, carries_nothing_of_a_client_that_an_api_could_take_for_ours_or_for_the_request) {
  for (const char* name : {"Behalf-Subject",
                           "behalf_actor",
                           "Behalf.Grant",
                           "X-Forwarded-For",
                           "x_forwarded_host",
                           "X-Forwarded-Proto",
                           "Forwarded",
                           "X-Original-URI",
                           "X-Original-URL",
                           "X-Rewrite-URL",
                           "X-HTTP-Method-Override",
                           "X_HTTP_Method",
                           "X-Method-Override",
                           "X-Real-IP",
                           "X-Original-Method",
                           "X-Forwarded-Uri",
                           "Expect",
                           "X-Forwarded-User",
                           "x_forwarded.groups",
                           "X-Forwarded-Client-Cert",
                           "X-Original-Host",
                           "X-Original-Path",
                           "X-Rewrite-Path",
                           "X-Method",
                           "X-Auth-Request-User",
                           "X-Remote-User",
                           "Remote-User",
                           "Remote_Groups",
                           "X-Client-IP",
                           "X-Client-Cert",
                           "X-SSL-Client-Cert",
                           "Client-Cert",
                           "Proxy",
                           "Proxy-User",
                           "True-Client-IP",
                           "X-Envoy-Original-Path",
                           "Transfer_Encoding",
                           "transfer.encoding",
                           "Content_Length",
                           "keep_alive"}) {
    const http::Forward forward = onward(proxy(), request_with({{name, "evil"}}), {});
    for (const http::Header& header : forward.headers.list()) EXPECT_NE(header.value, "evil") << name;
  }
}

TEST(Onward, leaves_what_only_looks_like_such_a_header) {
  for (const char* name : {"X-Client-Version", "Remote", "X-Author", "X-Forward", "Forwarding",
                           "Content-Type", "Mcp-Session-Id", "Last-Event-ID", "Origin", "X-Request-Id"}) {
    const http::Forward forward = onward(proxy(), request_with({{name, "fine"}}), {});
    ASSERT_NE(forward.headers.find(name), nullptr) << name;
  }
}

// Security 267.
TEST(Onward, asks_for_a_tunnel_only_where_it_is_a_websocket) {
  const auto upgrade = [](const char* method, std::initializer_list<http::Header> headers,
                          bool offered = true) {
    Settings settings = proxy();
    settings.websocket = offered;
    http::Request request = request_with(headers);
    request.method = method;
    const http::Forward forward = onward(settings, request, {});
    EXPECT_EQ(forward.headers.find("Upgrade"), nullptr);
    return forward.upgrade;
  };
  EXPECT_EQ(upgrade("GET", {{"Connection", "keep-alive, Upgrade"}, {"Upgrade", "WebSocket"}}), "websocket");
  EXPECT_EQ(upgrade("GET", {{"Connection", "Upgrade"}, {"Upgrade", "h2c"}}), "");
  EXPECT_EQ(upgrade("GET", {{"Connection", "Upgrade"}, {"Upgrade", "websocket, h2c"}}), "");
  EXPECT_EQ(upgrade("GET", {{"Connection", "Upgrade"}, {"Upgrade", "websockey"}}), "");
  EXPECT_EQ(upgrade("GET", {{"Upgrade", "websocket"}}), "");
  EXPECT_EQ(upgrade("POST", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}), "");
  EXPECT_EQ(upgrade("GET", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Upgrade", "websocket"}}),
            "");
  EXPECT_EQ(upgrade("GET", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}, false), "");
}

}  // namespace
}  // namespace behalf::guard
