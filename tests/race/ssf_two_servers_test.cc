// Two servers over one PostgreSQL: a receiver that polls one of them hears what the other revoked.
#include <gtest/gtest.h>

#include <chrono>
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

TEST_F(TwoServers, APollAfterTheAcknowledgementKnowsWhicheverServerItAsks) {
  std::string acknowledge = R"({"returnImmediately":true})";
  for (int i = 0; i < 20; ++i) {
    TestServer& revoking = i % 2 == 0 ? *one_ : *two_;
    TestServer& asked = i % 2 == 0 ? *two_ : *one_;
    revoking.suspend("agent", "a1");
    const auto sets = poll(asked, acknowledge);
    ASSERT_EQ(revoked_in_all(sets), std::vector<std::string>{"application a1"}) << i;
    acknowledge = SsfReceiver::acknowledgement(sets);
    poll(asked, acknowledge);
    acknowledge = R"({"returnImmediately":true,"ack":[")" + text_at(sets[0], "jti") + "\"]}";
    revoking.resume("agent", "a1");
  }
}

TEST_F(TwoServers, AHeldPollIsAnsweredWhenTheOtherServerRevokes) {
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
