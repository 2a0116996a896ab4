// The same over the wire: 64 connections to a real server, each with the one code, refresh token, assertion
// or request_uri there is, all at the same moment.
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "race/race.h"
#include "support/postgres_fixture.h"
#include "support/test_server.h"

namespace behalf::test {
namespace {

constexpr int kClients = 64;
constexpr int kHttpRounds = 3;

enum class On { sqlite, postgres };

class HttpRace : public testing::TestWithParam<On> {
 protected:
  void SetUp() override {
    if (GetParam() == On::postgres) {
      REQUIRE_POSTGRES();
      server_ = std::make_unique<TestServer>(PostgresCluster::shared()->fresh_database());
    } else {
      server_ = std::make_unique<TestServer>();
    }
    // All but one fail on purpose.
    server_->configure([](oauth::Settings& settings) { settings.limits.failures = 0; });
  }
  TestServer& server() { return *server_; }

  // What every client was answered; the requests are made beforehand, so that nothing but the sending is in
  // the race.
  std::vector<Reply> race(const std::vector<Fields>& requests, const std::string& client,
                          const std::string& path = "/token") {
    std::vector<Reply> replies(requests.size());
    all_at_once(static_cast<int>(requests.size()), [&](int i) {
      const auto at = static_cast<size_t>(i);
      replies[at] = server().post(path, requests[at], server().basic(client));
    });
    return replies;
  }
  static long with_status(const std::vector<Reply>& replies, int status) {
    return std::count_if(replies.begin(), replies.end(),
                         [&](const Reply& reply) { return reply.status == status; });
  }
  // Exactly one 200; everybody else was refused with this error, and not by a fault.
  static const Reply* the_only_one(const std::vector<Reply>& replies, const std::string& error) {
    EXPECT_EQ(with_status(replies, 200), 1);
    const Reply* won = nullptr;
    for (const Reply& reply : replies) {
      if (reply.status == 200) {
        won = &reply;
      } else {
        EXPECT_EQ(reply.error(), error) << reply.status << " " << reply.body;
      }
    }
    return won;
  }

 private:
  std::unique_ptr<TestServer> server_;
};
INSTANTIATE_TEST_SUITE_P(Race, HttpRace, testing::Values(On::sqlite, On::postgres),
                         [](const auto& parameter) {
                           return parameter.param == On::sqlite ? "SQLite" : "PostgreSQL";
                         });

TEST_P(HttpRace, OneCode) {
  for (int round = 0; round < kHttpRounds; ++round) {
    const TestServer::Code code = server().get_code("ca", "a1", "r1.read");
    std::vector<Fields> requests;
    for (int i = 0; i < kClients; ++i)
      requests.push_back(server().redemption(code, "a1"));  // a proof of its own each
    const std::vector<Reply> replies = race(requests, "ca");
    const Reply* won = the_only_one(replies, "invalid_grant");
    ASSERT_NE(won, nullptr);
    // Whoever came second had everything that was needed: the code has leaked, and what came of it ends (RFC
    // 6749 4.1.2).
    EXPECT_FALSE(server().is_active("r1-server", won->text("access_token")));
  }
  EXPECT_TRUE(server().audit_chain_verifies());
}

TEST_P(HttpRace, OneRefreshToken) {
  for (int round = 0; round < kHttpRounds; ++round) {
    const Reply first = server().flow("ca", "a1", "r1.read offline_access");
    ASSERT_EQ(first.status, 200) << first.body;
    ASSERT_NE(first.text("refresh_token"), "");
    std::vector<Fields> requests;
    for (int i = 0; i < kClients; ++i) {
      requests.push_back({{"grant_type", "refresh_token"},
                          {"refresh_token", first.text("refresh_token")},
                          {"actor_token", server().assertion("a1")},
                          {"actor_token_type", kJwtType}});
    }
    const std::vector<Reply> replies = race(requests, "ca");
    std::set<std::string> successors;
    for (const Reply& reply : replies) {
      EXPECT_EQ(reply.status, 200) << reply.body;
      successors.insert(reply.text("refresh_token"));
    }
    ASSERT_EQ(successors.size(), 1U) << "an honest client's retries all find the one successor";
    EXPECT_NE(*successors.begin(), first.text("refresh_token"));
    const Reply next = server().token("ca", {{"grant_type", "refresh_token"},
                                             {"refresh_token", *successors.begin()},
                                             {"actor_token", server().assertion("a1")},
                                             {"actor_token_type", kJwtType}});
    EXPECT_EQ(next.status, 200) << next.body;
  }
  EXPECT_TRUE(server().audit_chain_verifies());
}

TEST_P(HttpRace, OneActorAssertion) {
  for (int round = 0; round < kHttpRounds; ++round) {
    const Reply subject = server().flow("ca", "a1", "r1.read");
    ASSERT_EQ(subject.status, 200) << subject.body;
    const Fields exchange{{"grant_type", kExchange},
                          {"subject_token", subject.text("access_token")},
                          {"subject_token_type", kAccessTokenType},
                          {"actor_token", server().assertion("a1")},
                          {"actor_token_type", kJwtType}};
    const std::vector<Reply> replies = race(std::vector<Fields>(kClients, exchange), "ca");
    const long granted = with_status(replies, 200);
    EXPECT_EQ(granted, 1) << replies.front().body;
    for (const Reply& reply : replies) {
      EXPECT_TRUE(reply.status == 200 || (reply.status >= 400 && reply.status < 500))
          << reply.status << " " << reply.body;
    }
  }
  EXPECT_TRUE(server().audit_chain_verifies());
}

TEST_P(HttpRace, OneClientAssertion) {
  for (int round = 0; round < kHttpRounds; ++round) {
    Fields request{{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}};
    for (auto& field : server().client_fields("cg")) request.push_back(std::move(field));
    const std::vector<Reply> replies = race(std::vector<Fields>(kClients, request), "cg");
    const Reply* won = the_only_one(replies, "invalid_client");
    ASSERT_NE(won, nullptr);
    EXPECT_TRUE(server().is_active("r1-server", won->text("access_token")));
  }
  EXPECT_TRUE(server().audit_chain_verifies());
}

TEST_P(HttpRace, OnePushedRequestForManyBrowsers) {
  for (int round = 0; round < kHttpRounds; ++round) {
    const Pkce pkce = make_pkce();
    const Reply pushed = server().as("ca", "/par", server().authorization("ca", "a1", "r1.read", pkce));
    ASSERT_EQ(pushed.status, 201) << pushed.body;
    const std::string address =
        "/authorize?" + http::write_form({{"client_id", "ca"}, {"request_uri", pushed.text("request_uri")}});
    std::vector<Reply> replies(kClients);
    all_at_once(kClients, [&](int i) { replies[static_cast<size_t>(i)] = Browser(server()).get(address); });
    EXPECT_EQ(with_status(replies, 303), 1) << "the one browser that goes on to sign in";
    EXPECT_EQ(with_status(replies, 400), kClients - 1);
  }
  EXPECT_TRUE(server().audit_chain_verifies());
}

TEST_P(HttpRace, OneConsentGivesOneCode) {
  for (int round = 0; round < kHttpRounds; ++round) {
    Browser browser(server());
    const Pkce pkce = make_pkce();
    Fields parameters = server().authorization("ca", "a1", "r1.read", pkce);
    parameters.emplace_back("prompt", "consent");
    Reply reply = browser.get("/authorize?" + http::write_form(parameters));
    reply = server().sign_in(browser, "u1", reply.location_parameter("request"));
    ASSERT_TRUE(reply.header("Location").starts_with("/consent")) << reply.status << reply.header("Location");
    const Reply page = browser.get(reply.header("Location"));
    const Fields form{{"csrf", hidden_input(page.body, "/consent", "csrf")},
                      {"request", hidden_input(page.body, "/consent", "request")},
                      {"decision", "allow"},
                      {"scope", "r1.read"}};
    std::vector<Reply> replies(kClients);
    all_at_once(kClients, [&](int i) {
      Browser copy = browser;  // the same person pressing the button again and again
      replies[static_cast<size_t>(i)] = copy.post("/consent", form);
    });
    std::set<std::string> codes;
    for (const Reply& each : replies) {
      EXPECT_LT(each.status, 500) << each.body;
      if (const std::string code = each.location_parameter("code"); !code.empty()) codes.insert(code);
    }
    EXPECT_EQ(codes.size(), 1U);
  }
  EXPECT_TRUE(server().audit_chain_verifies());
}

}  // namespace
}  // namespace behalf::test
