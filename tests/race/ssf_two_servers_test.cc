// Two servers over one PostgreSQL: a receiver that polls one of them hears what the other revoked.
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "protocol/ssf_receiver.h"
#include "support/postgres_fixture.h"

namespace behalf::test {
namespace {

class TwoServers : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_POSTGRES();
    const std::string address = PostgresCluster::shared()->fresh_database();
    one_ = std::make_unique<TestServer>(address);
    two_ = std::make_unique<TestServer>(address);
    receiver_ = std::make_unique<SsfReceiver>(*one_);
    receiver_->create();
    receiver_->drain();
    token_ = receiver_->token();
  }
  std::vector<json::Value> poll(TestServer& server, const std::string& body) {
    http::ClientRequest request{.method = "POST",
                                .path_and_query = "/ssf/poll?stream_id=" + receiver_->stream,
                                .headers = {},
                                .body = body};
    request.headers.set("Authorization", "Bearer " + token_);
    return SsfReceiver::sets_of(server.send(request));
  }
  std::unique_ptr<TestServer> one_;
  std::unique_ptr<TestServer> two_;
  std::unique_ptr<SsfReceiver> receiver_;
  std::string token_;
};

// What was acknowledged at one server a moment ago may come again at the other; what is new must come.
TEST_F(TwoServers, APollAfterTheAcknowledgementKnowsWhicheverServerItAsks) {
  std::set<std::string> seen;
  const auto news = [&](TestServer& asked) {
    std::vector<json::Value> fresh;
    for (const json::Value& set : poll(asked, R"({"returnImmediately":true})")) {
      if (seen.insert(text_at(set, "jti")).second) fresh.push_back(set);
    }
    return revoked_in_all(fresh);
  };
  news(*two_);
  for (int i = 0; i < 20; ++i) {
    TestServer& revoking = i % 2 == 0 ? *one_ : *two_;
    TestServer& asked = i % 2 == 0 ? *two_ : *one_;
    revoking.suspend("agent", "a1");
    EXPECT_EQ(news(asked), std::vector<std::string>{"application a1"}) << i;
    revoking.resume("agent", "a1");
  }
}

TEST_F(TwoServers, AClientThatOneSuspendedHearsNothingFromTheOther) {
  one_->suspend("client", "m1");
  http::ClientRequest request{.method = "POST",
                              .path_and_query = "/ssf/poll?stream_id=" + receiver_->stream,
                              .headers = {},
                              .body = "{}"};
  request.headers.set("Authorization", "Bearer " + token_);
  EXPECT_EQ(two_->send(request).status, 401);
  request = {.method = "GET", .path_and_query = "/directory", .headers = request.headers, .body = {}};
  EXPECT_EQ(two_->send(request).status, 401);
}

TEST_F(TwoServers, AHeldPollIsAnsweredWhenTheOtherServerRevokes) {
  poll(*two_, SsfReceiver::acknowledgement(poll(*two_, R"({"returnImmediately":true})")));
  std::vector<json::Value> heard;
  std::chrono::steady_clock::time_point when;
  std::thread waiting([&] {
    heard = poll(*two_, "{}");
    when = std::chrono::steady_clock::now();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  one_->suspend("agent", "a1");
  const auto revoked = std::chrono::steady_clock::now();
  waiting.join();
  EXPECT_EQ(revoked_in_all(heard), std::vector<std::string>{"application a1"});
  EXPECT_LT(when - revoked, std::chrono::milliseconds(1000));
}

}  // namespace
}  // namespace behalf::test
