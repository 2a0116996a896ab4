// The external decision point over HTTP: agreed to by all or not at all, in time or not at all.
#include "guard/decision_point.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>

#include "http/server.h"

namespace behalf::guard {
namespace {

using sdk::AuthzenAnswer;

// A decision point that says what the body asks for.
class Pdp {
 public:
  Pdp()
      : server_(
            http::Listen{
                .address = "127.0.0.1", .port = 0, .unix_path = {}, .tls = {}, .trusted_proxies = {}},
            http::Limits(), 2, [this](http::Request& request) { return respond(request); }) {}

  sdk::Authzen address(sdk::Milliseconds timeout = 5'000) const {
    sdk::Authzen where;
    where.url = "http://127.0.0.1:" + std::to_string(server_.port()) + "/access/v1/evaluation";
    where.timeout = timeout;
    return where;
  }
  int asked() const { return asked_; }
  std::string last_authorization() {
    const std::lock_guard lock(mutex_);
    return authorization_;
  }
  void stay_silent(bool silent) { silent_ = silent; }

 private:
  Task<http::Response> respond(http::Request& request) {
    ++asked_;
    {
      const std::lock_guard lock(mutex_);
      const std::string* authorization = request.headers.find("Authorization");
      authorization_ = authorization == nullptr ? "" : *authorization;
    }
    while (silent_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const bool is_right = request.method == "POST" && request.path == "/access/v1/evaluation";
    http::Response response = http::json_response(is_right ? 200 : 404, request.body);
    co_return response;
  }

  std::atomic<int> asked_ = 0;
  std::atomic<bool> silent_ = false;
  std::mutex mutex_;
  std::string authorization_;
  http::Server server_;
};

const std::string kPermits = R"({"decision":true})";
const std::string kDenies = R"({"decision":false})";

std::future<AuthzenAnswer> begin(DecisionPoint& point, const sdk::Authzen& where,
                                 std::vector<std::string> requests) {
  auto promise = std::make_shared<std::promise<AuthzenAnswer>>();
  auto future = promise->get_future();
  start(point.ask(where, std::move(requests)),
        [promise](std::optional<AuthzenAnswer> answer, std::exception_ptr) {
          promise->set_value(answer.value());
        });
  return future;
}
AuthzenAnswer ask(DecisionPoint& point, const sdk::Authzen& where, std::vector<std::string> requests) {
  return begin(point, where, std::move(requests)).get();
}

TEST(DecisionPoint, agrees_if_all_are_permitted) {
  Pdp pdp;
  DecisionPoint point(2);
  EXPECT_EQ(ask(point, pdp.address(), {kPermits}), AuthzenAnswer::kPermit);
  EXPECT_EQ(ask(point, pdp.address(), {kPermits, kPermits, kPermits}), AuthzenAnswer::kPermit);
  EXPECT_EQ(ask(point, pdp.address(), {kDenies}), AuthzenAnswer::kDeny);
  EXPECT_EQ(ask(point, pdp.address(), {kPermits, kDenies}), AuthzenAnswer::kDeny);
  EXPECT_EQ(pdp.asked(), 7);
  EXPECT_EQ(ask(point, pdp.address(), {kPermits, "{}"}), AuthzenAnswer::kFailure);
  EXPECT_EQ(ask(point, pdp.address(), {"{}", kDenies}), AuthzenAnswer::kDeny) << "a no is a no";
  EXPECT_EQ(ask(point, pdp.address(), {}), AuthzenAnswer::kFailure) << "who asks nothing is told nothing";
  EXPECT_EQ(pdp.last_authorization(), "");
}

TEST(DecisionPoint, fails_where_nobody_answers) {
  DecisionPoint point(2);
  sdk::Authzen nobody;
  nobody.timeout = 5'000;
  for (const char* url :
       {"http://127.0.0.1:1/", "nonsense", "ftp://127.0.0.1/", "http://no-such-host.invalid/x"}) {
    nobody.url = url;
    EXPECT_EQ(ask(point, nobody, {kPermits}), AuthzenAnswer::kFailure) << url;
  }
  Pdp pdp;
  sdk::Authzen elsewhere = pdp.address();
  elsewhere.url += "/x";
  EXPECT_EQ(ask(point, elsewhere, {kPermits}), AuthzenAnswer::kFailure)
      << "404 is no permission, whatever it says";
}

TEST(DecisionPoint, takes_no_longer_than_it_may_and_is_there_for_the_next) {
  Pdp pdp;
  DecisionPoint point(1);
  EXPECT_EQ(ask(point, pdp.address(), {kPermits}), AuthzenAnswer::kPermit);
  pdp.stay_silent(true);
  const auto begun = std::chrono::steady_clock::now();
  auto running = begin(point, pdp.address(100), {kPermits});
  auto queued = begin(point, pdp.address(150), {kPermits});
  EXPECT_EQ(running.get(), AuthzenAnswer::kFailure);
  EXPECT_EQ(queued.get(), AuthzenAnswer::kFailure);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5))
      << "not the client's own time-out";
  pdp.stay_silent(false);
  EXPECT_EQ(ask(point, pdp.address(), {kPermits}), AuthzenAnswer::kPermit)
      << "the thread is free, the connection is new";
}

TEST(DecisionPoint, ends_while_it_is_asked) {
  Pdp pdp;
  pdp.stay_silent(true);
  std::future<AuthzenAnswer> running;
  std::future<AuthzenAnswer> queued;
  {
    DecisionPoint point(1);
    running = begin(point, pdp.address(10'000), {kPermits});
    queued = begin(point, pdp.address(10'000), {kPermits});
    while (pdp.asked() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(running.get(), AuthzenAnswer::kFailure);
  EXPECT_EQ(queued.get(), AuthzenAnswer::kFailure);
  pdp.stay_silent(false);
  DecisionPoint idle;  // no thread was ever needed
}

TEST(DecisionPoint, shows_the_token_of_its_file) {
  Pdp pdp;
  DecisionPoint point(1);
  sdk::Authzen where = pdp.address();
  where.token_file =
      (std::filesystem::temp_directory_path() / ("behalf-pdp-" + std::to_string(::getpid()))).string();
  EXPECT_EQ(ask(point, where, {kPermits}), AuthzenAnswer::kFailure) << "there is none";
  EXPECT_EQ(pdp.asked(), 0);
  std::ofstream(where.token_file) << "secret-token\n";
  EXPECT_EQ(ask(point, where, {kPermits}), AuthzenAnswer::kPermit);
  EXPECT_EQ(pdp.last_authorization(), "Bearer secret-token");
  std::filesystem::remove(where.token_file);
}

TEST(DecisionPoint, answers_many_at_once) {
  Pdp pdp;
  DecisionPoint point(4);
  std::vector<std::future<AuthzenAnswer>> answers;
  for (int i = 0; i < 200; ++i)
    answers.push_back(begin(point, pdp.address(30'000), {i % 2 == 0 ? kPermits : kDenies}));
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(answers[static_cast<size_t>(i)].get(),
              i % 2 == 0 ? AuthzenAnswer::kPermit : AuthzenAnswer::kDeny);
}

}  // namespace
}  // namespace behalf::guard
