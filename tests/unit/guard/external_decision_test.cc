// A whole guard whose policy wants an external decision point to agree: what rules allow is allowed only
// then.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/environment.h"
#include "crypto/hash.h"
#include "guard/guard.h"
#include "http/client.h"
#include "http/server.h"

namespace behalf::guard {
namespace {

class ExternalDecision : public testing::Test {
 protected:
  enum class Says { kYes, kNo, kNonsense };

  ExternalDecision()
      : pdp_(
            http::Listen{
                .address = "127.0.0.1", .port = 0, .unix_path = {}, .tls = {}, .trusted_proxies = {}},
            http::Limits(), 1, [this](http::Request& request) { return respond(request); }) {
    std::filesystem::create_directories(folder_);
  }
  ~ExternalDecision() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }

  // What a proxy that asks about GET `path` is answered.
  int decide(const std::string& path, const std::string& on_failure = "deny", const std::string& more = {}) {
    put("policy.toml",
        "[authzen]\nurl = \"http://127.0.0.1:" + std::to_string(pdp_.port()) +
            "/evaluate\"\ntimeout = \"5s\"\non_failure = \"" + on_failure +
            "\"\n[[rule]]\nname = \"open\"\neffect = \"allow\"\nmethods = [\"GET\"]\npaths = [\"/open\"]\n"
            "token = \"none\"\n[[rule]]\nname = \"alone\"\neffect = \"allow\"\nmethods = [\"GET\"]\n"
            "paths = [\"/alone\"]\ntoken = \"none\"\nauthzen = false\n");
    auto settings = parse_settings(
        "policy = \"policy.toml\"\ndialect = \"forward\"\n" + more +
            "[server]\nissuer = \"http://127.0.0.1:1\"\n[resource]\nid = \"https://api.example/r\"\n"
            "[listen]\nport = 0\nthreads = 1\n[decide]\ncredential = \"none\"\n"
            "[revocation]\nfeed = false\n[evidence]\nfile = \"log.jsonl\"\n",
        folder_ + "/guard.toml");
    if (!settings) throw std::runtime_error(settings.reason());
    SystemClock clock;
    crypto::SystemRandom random;
    Guard guard(std::move(*settings), clock, random);
    http::ClientRequest request;
    request.headers.set("X-Forwarded-Method", "GET");
    request.headers.set("X-Forwarded-Uri", path);
    const int status =
        http::fetch("http://127.0.0.1:" + std::to_string(guard.port()) + "/decide", request).status;
    guard.stop(Seconds{5});
    return status;
  }
  std::string log() const {
    std::ifstream file(folder_ + "/log.jsonl");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_ = testing::TempDir() + "behalf-external-" + std::to_string(getpid());
  std::atomic<Says> says_ = Says::kYes;
  std::atomic<int> asked_ = 0;

 private:
  Task<http::Response> respond(http::Request& request) {
    ++asked_;
    if (request.body.find(R"("resource":{"type":"path","id":"/open")") == std::string::npos)
      says_ = Says::kNonsense;
    std::string body = "{}";
    if (says_ == Says::kYes) body = R"({"decision":true})";
    if (says_ == Says::kNo) body = R"({"decision":false})";
    http::Response response = http::json_response(200, std::move(body));
    co_return response;
  }
  http::Server pdp_;
};

TEST_F(ExternalDecision, agrees) {
  EXPECT_EQ(decide("/open"), 200);
  EXPECT_EQ(asked_, 1);
}

TEST_F(ExternalDecision, says_no) {
  says_ = Says::kNo;
  EXPECT_EQ(decide("/open"), 403);
  EXPECT_NE(log().find("\"external_denied\""), std::string::npos) << log();
  EXPECT_EQ(decide("/open", "allow"), 403) << "a no is no failure";
}

TEST_F(ExternalDecision, fails) {
  says_ = Says::kNonsense;
  EXPECT_EQ(decide("/open"), 403);
  EXPECT_NE(log().find("\"external_unavailable\""), std::string::npos) << log();
  EXPECT_EQ(decide("/open", "allow"), 200);
}

TEST_F(ExternalDecision, is_not_asked_about_what_rules_refuse_or_keep_to_themselves) {
  EXPECT_EQ(decide("/closed"), 401);
  EXPECT_EQ(decide("/alone"), 200);
  EXPECT_EQ(asked_, 0);
}

TEST_F(ExternalDecision, its_no_is_only_told_in_shadow_mode) {
  says_ = Says::kNo;
  EXPECT_EQ(decide("/open", "deny", "shadow = true\n"), 200);
  EXPECT_NE(log().find("\"external_denied\""), std::string::npos) << log();
}

TEST_F(ExternalDecision, counters_are_kept_and_a_damaged_file_stops_the_guard) {
  EXPECT_EQ(decide("/alone", "deny", "counters = \"counters\"\n"), 200);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/counters")) << "written at the end";
  EXPECT_EQ(decide("/alone", "deny", "counters = \"counters\"\n"), 200);
  put("counters", "damaged");
  EXPECT_THROW(decide("/alone", "deny", "counters = \"counters\"\n"), std::runtime_error);
}

}  // namespace
}  // namespace behalf::guard
