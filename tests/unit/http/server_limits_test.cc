// What the server does with those who are too slow, too many, or ask more than it can answer in time.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "unit/http/server_fixture.h"

namespace behalf::http {
namespace {

using std::chrono::steady_clock;

TEST(Deadlines, a_header_that_does_not_end_is_408) {
  Limits limits;
  limits.header_time = Seconds{1};
  Fixture fixture(echo, limits);
  const auto begin = steady_clock::now();
  const std::string answer = fixture.exchange("GET / HTTP/1.1\r\nHost:");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << answer;
  EXPECT_NE(answer.find("\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(4));
}

TEST(Deadlines, a_header_that_drips_is_408_too) {
  Limits limits;
  limits.header_time = Seconds{1};
  Fixture fixture(echo, limits);
  RawClient client = fixture.connect();
  std::string answer;
  const auto begin = steady_clock::now();
  client.send("GET / HTTP/1.1\r\nX: ");
  while (answer.empty() && steady_clock::now() - begin < std::chrono::seconds(5)) {
    client.send("a");
    answer = client.read_to_end(100);
  }
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408")) << answer;
}

TEST(Deadlines, a_body_that_does_not_end_is_408) {
  Limits limits;
  limits.body_time = Seconds{1};
  Fixture fixture(echo, limits);
  const std::string answer = fixture.exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408")) << answer;
}

TEST(Deadlines, an_idle_connection_is_closed_without_a_word) {
  Limits limits;
  limits.idle_time = Seconds{1};
  Fixture fixture(echo, limits);
  RawClient silent = fixture.connect();
  const std::string answer = fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(RawClient::occurrences(answer, "HTTP/1.1"), 1U) << answer;
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_TRUE(silent.saw_close());
}

TEST(Deadlines, a_reader_too_slow_is_cut) {
  Limits limits;
  limits.request_time = Seconds{1};
  const std::string body(32 * 1024 * 1024, 'z');  // more than both socket buffers hold
  Fixture fixture([&](Request&) -> Task<Response> { co_return text_response(200, body); }, limits);
  RawClient client = fixture.connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  pollfd state{client.descriptor(), POLLRDHUP, 0};
  EXPECT_EQ(::poll(&state, 1, 5'000), 1);  // reads nothing meanwhile
  EXPECT_LT(client.read_to_end().size(), body.size());
}

TEST(Deadlines, an_answer_is_to_be_taken_in_a_time_of_its_own) {
  Limits limits;
  limits.send_time = Seconds{1};
  const std::string body(32 * 1024 * 1024, 'z');
  Fixture fixture([&](Request&) -> Task<Response> { co_return text_response(200, body); }, limits);
  RawClient client = fixture.connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  pollfd state{client.descriptor(), POLLRDHUP, 0};
  EXPECT_EQ(::poll(&state, 1, 5'000), 1);
  EXPECT_LT(client.read_to_end().size(), body.size());
}

TEST(Deadlines, a_handler_too_slow_costs_the_connection_and_not_the_server) {
  Limits limits;
  limits.request_time = Seconds{1};
  Gatekeeper keeper;
  Fixture fixture(
      [&](Request& request) -> Task<Response> {
        if (request.path == "/slow") co_await keeper.wait();
        co_return text_response(200, request.body);
      },
      limits);
  EXPECT_EQ(fixture.exchange("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"), "");
  keeper.let_go();
  EXPECT_TRUE(fixture.exchange("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
}

TEST(Connections, over_the_limit_the_newest_is_shed) {
  Limits limits;
  limits.connections = 2;
  Fixture fixture(echo, limits);
  const auto ask = [](RawClient& client) {
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    return client.read_until("plain");
  };
  RawClient one = fixture.connect();
  auto two = std::make_unique<RawClient>(fixture.server.port());
  EXPECT_NE(ask(one), "");
  EXPECT_NE(ask(*two), "");
  const std::string refused = fixture.exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
  EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ")) << refused;
  EXPECT_NE(refused.find("\r\nRetry-After: 1\r\n"), std::string::npos);
  EXPECT_NE(refused.find("\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_NE(ask(one), "") << "who is here is served";
  two.reset();
  std::string answer;
  for (int attempt = 0; attempt < 100 && !answer.starts_with("HTTP/1.1 200"); ++attempt) {
    answer =
        fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");  // until it has noticed
  }
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
}

TEST(Connections, over_the_limit_health_can_be_asked_for_once) {
  Limits limits;
  limits.connections = 1;
  limits.vital = {"/livez"};
  Fixture fixture(echo, limits);
  RawClient one = fixture.connect();
  one.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(one.read_until("plain"), "");
  const std::string answer = fixture.exchange(
      "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_EQ(RawClient::occurrences(answer, "HTTP/1.1"), 1U) << answer;
  EXPECT_NE(answer.find("\r\nConnection: close\r\n"), std::string::npos);
}

TEST(Connections, over_the_limit_the_silent_give_way_to_the_next) {
  Limits limits;
  limits.connections = 1;
  limits.vital = {"/livez"};
  Fixture fixture(echo, limits);
  RawClient one = fixture.connect();
  one.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(one.read_until("plain"), "");
  RawClient silent = fixture.connect();
  const auto begin = steady_clock::now();
  const std::string answer = fixture.exchange("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_TRUE(silent.saw_close());
  EXPECT_LT(steady_clock::now() - begin, std::chrono::milliseconds(1500)) << "not only after its time";
  // Without anybody who needs its place it has two seconds.
  RawClient quiet = fixture.connect();
  EXPECT_EQ(quiet.read_to_end(), "");
  EXPECT_TRUE(quiet.saw_close());
}

// Each answer takes 3 ms of the loop.
Task<Response> slow_echo(Request&) {
  const auto until = steady_clock::now() + std::chrono::milliseconds(3);
  while (steady_clock::now() < until) {
  }
  co_return text_response(200, "");
}

// Somebody who asks for /hold keeps the loop until all the others have asked: how many wait does not depend
// on how fast this process is.
class Hold {
 public:
  Handler handler() {
    return [this](Request& request) {
      if (request.path == "/here") return echo(request);
      return request.path == "/hold" ? hold() : slow_echo(request);
    };
  }
  // Connected, and accepted.
  static RawClient enter(const Fixture& fixture) {
    RawClient client = fixture.connect();
    client.send("GET /here HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_until("plain");
    return client;
  }
  static void ask(RawClient& client) { client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"); }
  void wait_until_held(int times) const {
    while (held_ < times) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void release() { ++released_; }

 private:
  Task<Response> hold() {
    const int mine = ++held_;
    while (released_ < mine) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    co_return text_response(200, "");
  }

  std::atomic<int> held_ = 0;
  std::atomic<int> released_ = 0;
};

// 400 who ask at once wait longer than a second each, and who has been answered asks again.
std::vector<std::string> ask_in_a_crowd(const Fixture& fixture, Hold& hold, int count,
                                        std::string_view path) {
  RawClient holder = Hold::enter(fixture);
  std::vector<RawClient> crowd;
  for (int i = 0; i < count; ++i) crowd.push_back(Hold::enter(fixture));
  const std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  Hold::ask(holder);
  hold.wait_until_held(1);
  for (RawClient& one : crowd) one.send(request);
  hold.release();
  std::vector<std::string> answers;
  for (int round = 0; round < 3; ++round) {
    for (RawClient& one : crowd) {
      answers.push_back(one.read_until("\r\n\r\n"));
      if (round < 2) one.send(request);
    }
  }
  return answers;
}
size_t refused_of(const std::vector<std::string>& answers) {
  size_t count = 0;
  for (const std::string& answer : answers) {
    if (answer.starts_with("HTTP/1.1 200")) continue;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 503")) << answer;
    EXPECT_NE(answer.find("\r\nRetry-After: 1\r\n"), std::string::npos) << answer;
    ++count;
  }
  return count;
}

Limits shedding(std::vector<std::string> vital) {
  Limits limits;
  limits.sheds_load = true;
  limits.vital = std::move(vital);
  return limits;
}

TEST(Load, more_than_can_be_answered_in_time_is_refused_in_part) {
  Hold hold;
  Fixture fixture(hold.handler(), shedding({}));
  const auto answers = ask_in_a_crowd(fixture, hold, 400, "/");
  const size_t refused = refused_of(answers);
  EXPECT_GT(refused, 0U);
  EXPECT_LT(refused, answers.size());
  // The crowd has gone: nobody is refused any more.
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  EXPECT_TRUE(fixture.exchange("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
}

TEST(Load, a_hundred_who_wait_long_are_no_overload) {
  Hold hold;
  Fixture fixture(hold.handler(), shedding({}));
  EXPECT_EQ(refused_of(ask_in_a_crowd(fixture, hold, 100, "/")), 0U);
}

TEST(Load, what_is_vital_is_never_refused) {
  Hold hold;
  Fixture fixture(hold.handler(), shedding({"/livez"}));
  EXPECT_EQ(refused_of(ask_in_a_crowd(fixture, hold, 400, "/livez")), 0U);
}

// What looks like a request is the body of another, and of some comes late: whoever is refused must not be
// answered twice.
TEST(Load, who_is_refused_is_read_to_the_end) {
  Hold hold;
  Fixture fixture(hold.handler(), shedding({"/livez", "/hold"}));
  const std::string body = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string head =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  RawClient first = Hold::enter(fixture), second = Hold::enter(fixture);
  std::vector<RawClient> crowd, late;
  for (int i = 0; i < 400; ++i) crowd.push_back(Hold::enter(fixture));
  for (int i = 0; i < 100; ++i) late.push_back(Hold::enter(fixture));
  Hold::ask(first);
  hold.wait_until_held(1);
  for (RawClient& one : crowd) one.send(head + body);
  Hold::ask(second);
  hold.release();
  std::vector<std::string> answers;
  for (RawClient& one : crowd) answers.push_back(one.read_until("\r\n\r\n"));
  hold.wait_until_held(2);
  // How long those had to wait is known by now.
  for (RawClient& one : crowd) one.send(head + body);
  for (RawClient& one : late) one.send(head);
  hold.release();
  for (RawClient& one : crowd) answers.push_back(one.read_until("\r\n\r\n"));
  EXPECT_GT(refused_of(answers), 0U);
  for (RawClient& one : late) {
    one.send(body);
    one.read_until("\r\n\r\n");
    crowd.push_back(std::move(one));
  }
  for (RawClient& one : crowd) {
    one.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string rest = one.read_to_end();
    size_t count = 0;
    for (size_t at = rest.find("HTTP/1.1 "); at != std::string::npos; at = rest.find("HTTP/1.1 ", at + 1))
      ++count;
    EXPECT_EQ(count, 1U) << rest;
  }
}

TEST(Load, where_it_is_not_wanted_nothing_is_refused) {
  Hold hold;
  Fixture fixture(hold.handler());
  EXPECT_EQ(refused_of(ask_in_a_crowd(fixture, hold, 400, "/")), 0U);
}

TEST(Connections, running_out_of_descriptors_pauses_the_server_and_does_not_end_it) {
  Fixture fixture;
  RawClient kept = fixture.connect();
  kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(kept.read_until("plain"), "");
  // The client's own descriptor is the last one to be had.
  std::vector<Descriptor> hoard;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  Descriptor probe(::dup(0));
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(probe.get()) + 1;
  probe.close();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  RawClient waiting = fixture.connect();
  ASSERT_TRUE(waiting.is_connected());
  waiting.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  rusage start{}, end{};
  getrusage(RUSAGE_SELF, &start);
  EXPECT_EQ(waiting.read_to_end(400), "");
  EXPECT_FALSE(waiting.saw_close());
  getrusage(RUSAGE_SELF, &end);
  const auto microseconds = [](const rusage& usage) {
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
  };
  EXPECT_LT(microseconds(end) - microseconds(start), 200'000) << "it spins";
  kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(kept.read_until("plain"), "") << "who is here is served";
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_NE(waiting.read_until("plain"), "");
}

}  // namespace
}  // namespace behalf::http
