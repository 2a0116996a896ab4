#include "support/expectations.h"

#include <gtest/gtest.h>

namespace behalf::test {
namespace {

void expect_denied(TestServer& server, const std::string& reason) {
  const json::Value record = server.last_audit();
  EXPECT_EQ(text_at(record, "outcome"), "denied") << json::write(record);
  const std::string recorded = text_at(record, "reason");
  EXPECT_TRUE(reason.empty() ? !recorded.empty() : recorded == reason) << "recorded reason: " << recorded;
  EXPECT_TRUE(server.audit_chain_verifies());
}

}  // namespace

void expect_sent_back(TestServer& server, const Reply& reply, const std::string& error,
                      const std::string& reason, const Return& to) {
  EXPECT_EQ(reply.status, 303) << reply.body;
  const std::string location = reply.header("Location");
  EXPECT_TRUE(
      location.starts_with(to.redirect_uri + (to.redirect_uri.find('?') == std::string::npos ? "?" : "&")))
      << location;
  EXPECT_EQ(reply.location_parameter("error"), error) << location;
  EXPECT_EQ(reply.location_parameter("state"), to.state) << location;
  EXPECT_EQ(location.find("state=") == std::string::npos, to.state.empty()) << location;
  EXPECT_EQ(reply.location_parameter("iss"), kIssuer) << location;
  EXPECT_EQ(reply.location_parameter("code"), "") << location;
  EXPECT_EQ(location.find('#'), std::string::npos) << location;
  EXPECT_EQ(location.find("token="), std::string::npos) << location;
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  EXPECT_EQ(reply.header("Referrer-Policy"), "no-referrer");
  EXPECT_EQ(text_at(server.last_audit(), "error"), error);
  expect_denied(server, reason);
}

void expect_page(TestServer& server, const Reply& reply, int status, const std::string& reason) {
  EXPECT_EQ(reply.status, status) << reply.body;
  EXPECT_EQ(reply.header("Location"), "");
  EXPECT_TRUE(reply.header("Content-Type").starts_with("text/html"));
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  EXPECT_NE(reply.header("Content-Security-Policy").find("frame-ancestors 'none'"), std::string::npos);
  EXPECT_EQ(reply.body.find("code="), std::string::npos);
  EXPECT_EQ(reply.body.find("evil.example"), std::string::npos) << "an unknown address is on the page";
  expect_denied(server, reason);
}

Reply ask(TestServer& server, const Fields& parameters) {
  Browser browser(server);
  return browser.get("/authorize?" + http::write_form(parameters));
}

TestServer::Code next_code(TestServer& server, Browser& browser, const std::string& client,
                           const std::string& agent, const std::string& scope, const std::string& resource,
                           const Decision& decision) {
  TestServer::Code code{.code = {}, .pkce = make_pkce()};
  const Reply reply =
      server.authorize(browser, server.authorization(client, agent, scope, code.pkce, resource), decision);
  code.code = reply.location_parameter("code");
  EXPECT_NE(code.code, "") << reply.status << " " << reply.header("Location") << "\n" << reply.body;
  return code;
}

json::Value claims(std::initializer_list<std::pair<std::string_view, json::Value>> members) {
  json::Value value{json::Value::Object{}};
  for (const auto& [name, member] : members) value.set(name, member);
  return value;
}

}  // namespace behalf::test
