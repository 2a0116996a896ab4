// The server on a loopback port: framing on the wire, limits, deadlines, handlers that wait, and how it ends.
#include "http/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/loop.h"
#include "http/client.h"
#include "unit/http/raw_client.h"

namespace behalf::http {
namespace {

using std::chrono::steady_clock;

// "METHOD path?query [body] peer secure", so that a test sees what the handler saw.
Task<Response> echo(Request& request) {
  std::string text = request.method + " " + request.path;
  if (!request.query.empty()) text += "?" + request.query;
  text += " [" + request.body + "] " + request.peer + (request.secure ? " secure" : " plain");
  co_return text_response(200, text);
}

Listen loopback() {
  Listen listen;
  listen.address = "127.0.0.1";
  return listen;
}

struct Fixture {
  explicit Fixture(Handler handler = echo, const Limits& limits = {}, unsigned threads = 1)
      : server(loopback(), limits, threads, std::move(handler)) {}
  RawClient connect() const { return RawClient(server.port()); }
  // Sends and reads until the server closes.
  std::string exchange(std::string_view bytes) const {
    RawClient client = connect();
    client.send(bytes);
    std::string answer = client.read_to_end();
    EXPECT_TRUE(client.saw_close()) << answer;
    return answer;
  }
  Server server;
};

std::string temporary_path(std::string_view name) {
  return testing::TempDir() + "behalf-http-" + std::to_string(getpid()) + "-" + std::string(name);
}

// A place where a task waits until somebody lets it go on, on the loop it waits on.
class Gatekeeper {
 public:
  struct Wait {
    Gatekeeper& keeper;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiting) const {
      const std::lock_guard lock(keeper.mutex_);
      keeper.loop_ = Loop::current();
      keeper.waiting_ = waiting;
      keeper.arrived_.notify_all();
    }
    void await_resume() const {}
  };
  Wait wait() { return {*this}; }
  void await_arrival() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return static_cast<bool>(waiting_); });
  }
  void let_go() {
    await_arrival();
    const std::lock_guard lock(mutex_);
    loop_->post([waiting = std::exchange(waiting_, nullptr)] { waiting.resume(); });
  }
  std::coroutine_handle<> take() {
    await_arrival();
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, nullptr);
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  Loop* loop_ = nullptr;
  std::coroutine_handle<> waiting_;
};

// --- Framing on the wire ---

TEST(Server, answers_and_keeps_the_connection) {
  Fixture fixture;
  RawClient client = fixture.connect();
  for (int round = 0; round < 3; ++round) {
    client.send("POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    const std::string answer = client.read_until("plain");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\nPOST /a?b=c [abc] 127.0.0.1 plain")) << answer;
    EXPECT_NE(answer.find("\r\nContent-Length: 33\r\n"), std::string::npos) << answer;
    EXPECT_NE(answer.find("\r\nDate: "), std::string::npos);
    EXPECT_EQ(answer.find("\r\nConnection:"), std::string::npos);
    EXPECT_EQ(answer.find("\r\nServer:"), std::string::npos);
  }
}

TEST(Server, answers_pipelined_requests_in_order) {
  Fixture fixture;
  const std::string answer = fixture.exchange(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
      "POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\n\r\n"
      "GET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      "GET /5 HTTP/1.1\r\nHost: x\r\n\r\n");
  const size_t one = answer.find("GET /1 []"), two = answer.find("POST /2 [hi]"),
               three = answer.find("POST /3 [yo]"), four = answer.find("GET /4 []");
  EXPECT_LT(one, two);
  EXPECT_LT(two, three);
  EXPECT_LT(three, four);
  EXPECT_NE(four, std::string::npos);
  EXPECT_EQ(answer.find("/5"), std::string::npos) << "nothing is served after Connection: close";
}

TEST(Server, reads_a_request_that_arrives_byte_by_byte) {
  Fixture fixture;
  RawClient client = fixture.connect();
  for (const char letter : std::string_view(
           "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")) {
    ASSERT_TRUE(client.send({&letter, 1}));
  }
  EXPECT_NE(client.read_until("plain").find("[abc]"), std::string::npos);
}

TEST(Server, a_get_with_a_body_does_not_leave_it_as_the_next_request) {
  Fixture fixture;
  const std::string answer = fixture.exchange(
      "GET /outer HTTP/1.1\r\nHost: x\r\nContent-Length: 34\r\nConnection: close\r\n\r\n"
      "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n\r\n");
  EXPECT_EQ(RawClient::occurrences(answer, "HTTP/1.1 200"), 1U) << answer;
}

TEST(Server, after_a_framing_error_it_closes_and_no_leftover_byte_is_a_request) {
  std::atomic<int> calls = 0;
  Fixture fixture([&](Request& request) {
    ++calls;
    return echo(request);
  });
  const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
  const struct {
    std::string_view head, status;
  } rows[] = {
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "400"},
      {"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0;ext\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\nx0\r\n\r\n", "400"},
      {"GET / HTTP/1.1\nHost: x\n\n", "400"},
      {"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", "415"},
      {"POST / HTTP/1.1\r\nHost: x\r\nExpect: y 100-continue\r\nContent-Length: 0\r\n\r\n", "417"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", "413"},
  };
  for (const auto& row : rows) {
    const std::string answer = fixture.exchange(std::string(row.head) + smuggled);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::string(row.status))) << row.head << answer;
    EXPECT_EQ(RawClient::occurrences(answer, "HTTP/1.1 "), 1U) << row.head << answer;
    EXPECT_NE(answer.find("\r\nConnection: close\r\n"), std::string::npos) << answer;
  }
  EXPECT_EQ(calls, 0);
}

TEST(Server, body_at_the_limit_passes_and_one_over_is_413_and_still_heard) {
  Limits limits;
  limits.body_bytes = 64 * 1024;
  Fixture fixture(
      [](Request& request) -> Task<Response> {
        co_return text_response(200, std::to_string(request.body.size()));
      },
      limits);
  const auto request = [](size_t size) {
    return "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + std::to_string(size) +
           "\r\n\r\n" + std::string(size, 'a');
  };
  EXPECT_TRUE(fixture.exchange(request(64 * 1024)).ends_with("\r\n\r\n65536"));
  // The whole body is sent, though nobody reads it: the answer must not be lost to a reset.
  EXPECT_TRUE(fixture.exchange(request(64 * 1024 + 1)).starts_with("HTTP/1.1 413"));
  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
  EXPECT_TRUE(
      fixture.exchange(chunked + "10000\r\n" + std::string(65536, 'a') + "\r\n0\r\n\r\n").ends_with("65536"));
  EXPECT_TRUE(fixture.exchange(chunked + "10000\r\n" + std::string(65536, 'a') + "\r\n1\r\na\r\n0\r\n\r\n")
                  .starts_with("HTTP/1.1 413"));
}

TEST(Server, too_much_header_is_431_and_a_long_target_414) {
  Fixture fixture;
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int count = 0; count < 100; ++count) many += "A: b\r\n";
  EXPECT_TRUE(fixture.exchange(many + "\r\n").starts_with("HTTP/1.1 431"));
  std::string large = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int count = 0; count < 10; ++count) large += "A: " + std::string(7000, 'b') + "\r\n";
  EXPECT_TRUE(fixture.exchange(large + "\r\n").starts_with("HTTP/1.1 431"));
  EXPECT_TRUE(fixture.exchange("GET /" + std::string(8192, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n")
                  .starts_with("HTTP/1.1 414"));
}

TEST(Server, says_continue_when_it_will_read_the_body) {
  Fixture fixture;
  RawClient client = fixture.connect();
  client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_NE(client.read_until("plain").find("[abc]"), std::string::npos);
}

TEST(Server, says_no_continue_when_the_body_is_there_or_too_large) {
  Fixture fixture;
  const std::string head =
      "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: ";
  EXPECT_TRUE(fixture.exchange(head + "3\r\n\r\nabc").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(fixture.exchange(head + "65537\r\n\r\n").starts_with("HTTP/1.1 413"));
}

TEST(Server, speaks_http_1_0_and_closes_after_it) {
  Fixture fixture;
  const std::string answer = fixture.exchange("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK")) << answer;
  EXPECT_NE(answer.find("\r\nConnection: close\r\n"), std::string::npos);
}

TEST(Server, head_has_the_length_of_get_and_no_body) {
  Fixture fixture;
  const std::string answer = fixture.exchange("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
  EXPECT_NE(answer.find("\r\nContent-Length: 25\r\n"), std::string::npos) << answer;
}

TEST(Server, every_method_reaches_the_handler_as_a_token) {
  Fixture fixture;
  for (const std::string method : {"TRACE", "CONNECT", "BREW", "OPTIONS", "PATCH", "get"}) {
    const std::string answer =
        fixture.exchange(method + " / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_NE(answer.find("\r\n\r\n" + method + " / "), std::string::npos) << answer;
  }
}

TEST(Server, answers_a_client_that_has_shut_its_sending_side) {
  Fixture fixture;
  RawClient client = fixture.connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  client.half_close();
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(client.saw_close());
}

TEST(Server, survives_clients_that_leave_in_the_middle) {
  Fixture fixture;
  for (const std::string_view part : {"", "GE", "GET / HTTP/1.1\r\nHost: x\r\n",
                                      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"}) {
    fixture.connect().send(part);
  }
  EXPECT_TRUE(fixture.exchange("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
}

// --- Handlers ---

TEST(Handler, that_throws_is_answered_500_with_nothing_of_it) {
  Fixture fixture([](Request& request) -> Task<Response> {
    if (request.path == "/early") throw std::runtime_error("secret detail");
    co_await std::suspend_never();
    throw std::runtime_error("secret detail");
  });
  RawClient client = fixture.connect();
  for (int round = 0; round < 2; ++round) {
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = client.read_until("}");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n")) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\n{\"error\":\"server_error\"}")) << answer;
    EXPECT_EQ(answer.find("secret"), std::string::npos);
  }
}

TEST(Handler, that_throws_before_it_is_a_task_is_answered_500) {
  Fixture fixture([](Request&) -> Task<Response> { throw std::runtime_error("secret detail"); });
  Fixture plain([](Request& request) {
    if (request.path == "/") throw std::runtime_error("secret detail");
    return echo(request);
  });
  EXPECT_TRUE(fixture.exchange("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 500"));
  EXPECT_TRUE(plain.exchange("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 500"));
}

TEST(Handler, cannot_split_the_answer) {
  Fixture fixture([](Request&) -> Task<Response> { co_return redirect("/a\r\nSet-Cookie: admin=1"); });
  const std::string answer = fixture.exchange("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 500")) << answer;
  EXPECT_EQ(answer.find("Set-Cookie"), std::string::npos);
}

TEST(Handler, may_ask_to_close) {
  Fixture fixture([](Request&) -> Task<Response> {
    Response response = text_response(200, "bye");
    response.close = true;
    co_return response;
  });
  const std::string answer = fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(answer.find("\r\nConnection: close\r\n"), std::string::npos) << answer;
}

TEST(Handler, may_end_later_through_its_loop_while_others_are_served) {
  Gatekeeper keeper;
  Fixture fixture([&](Request& request) -> Task<Response> {
    if (request.path == "/slow") co_await keeper.wait();
    co_return text_response(200, request.path + (Loop::current() != nullptr ? " on its loop" : " astray"));
  });
  RawClient slow = fixture.connect();
  slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /after HTTP/1.1\r\nHost: x\r\n\r\n");
  keeper.await_arrival();
  EXPECT_NE(fixture.exchange("GET /quick HTTP/1.0\r\n\r\n").find("/quick on its loop"), std::string::npos);
  keeper.let_go();
  const std::string answer = slow.read_until("/after on its loop");
  EXPECT_LT(answer.find("/slow on its loop"), answer.find("/after on its loop")) << answer;
}

TEST(Handler, that_ends_on_another_thread_is_answered_all_the_same) {
  Gatekeeper keeper;
  Fixture fixture([&](Request&) -> Task<Response> {
    co_await keeper.wait();
    co_return text_response(200, "from afar");
  });
  RawClient client = fixture.connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  std::thread([&] { keeper.take().resume(); }).join();
  EXPECT_TRUE(client.read_until("afar").ends_with("from afar"));
}

TEST(Handler, keeps_its_request_when_the_client_has_gone) {
  Gatekeeper keeper;
  std::atomic<bool> ended = false;
  std::string seen;
  {
    Fixture fixture([&](Request& request) -> Task<Response> {
      co_await keeper.wait();
      seen = request.body;
      ended = true;
      co_return text_response(200, "nobody hears this");
    });
    {
      const RawClient client = fixture.connect();
      client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n" + std::string(40, 'q'));
      keeper.await_arrival();
    }
    keeper.let_go();
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(seen, std::string(40, 'q'));
}

TEST(Handler, sends_large_answers_whole) {
  const std::string body(8 * 1024 * 1024, 'z');
  Fixture fixture([&](Request&) -> Task<Response> { co_return text_response(200, body); });
  RawClient client = fixture.connect();
  client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.read_to_end().ends_with("\r\n\r\n" + body));
}

TEST(Threads, all_serve_one_port) {
  std::mutex mutex;
  std::vector<std::thread::id> threads;
  Fixture fixture(
      [&](Request& request) {
        const std::lock_guard lock(mutex);
        const auto self = std::this_thread::get_id();
        if (std::find(threads.begin(), threads.end(), self) == threads.end()) threads.push_back(self);
        return echo(request);
      },
      {}, 2);
  // The kernel picks the thread by a hash of the addresses: 64 connections all on one has a chance of 2^-63.
  for (int count = 0; count < 64; ++count) {
    ASSERT_TRUE(fixture.exchange("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
  }
  EXPECT_EQ(threads.size(), 2U);
}

// --- Limits of time and number ---

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

// Each answer takes 3 ms of the loop; 400 who ask at once would wait longer than a second each.
std::vector<std::string> ask_in_a_crowd(const Fixture& fixture, int count, std::string_view path) {
  std::vector<RawClient> crowd;
  for (int i = 0; i < count; ++i) crowd.push_back(fixture.connect());
  const std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<std::string> answers;
  for (int round = 0; round < 3; ++round) {
    for (RawClient& one : crowd) one.send(request);
    for (RawClient& one : crowd) answers.push_back(one.read_until("\r\n\r\n"));
  }
  return answers;
}
Task<Response> slow_echo(Request&) {
  const auto until = steady_clock::now() + std::chrono::milliseconds(3);
  while (steady_clock::now() < until) {
  }
  co_return text_response(200, "");
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

TEST(Load, more_than_can_be_answered_in_time_is_refused_in_part) {
  Limits limits;
  limits.sheds_load = true;
  Fixture fixture(slow_echo, limits);
  const auto answers = ask_in_a_crowd(fixture, 400, "/");
  const size_t refused = refused_of(answers);
  EXPECT_GT(refused, 0U);
  EXPECT_LT(refused, answers.size());
  // The crowd has gone: nobody is refused any more, at the latest when the loop has looked twice.
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  EXPECT_TRUE(fixture.exchange("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
}

TEST(Load, a_hundred_who_wait_long_are_no_overload) {
  Limits limits;
  limits.sheds_load = true;
  Fixture fixture(slow_echo, limits);
  EXPECT_EQ(refused_of(ask_in_a_crowd(fixture, 100, "/")), 0U);
}

TEST(Load, what_is_vital_is_never_refused) {
  Limits limits;
  limits.sheds_load = true;
  limits.vital = {"/livez"};
  Fixture fixture(slow_echo, limits);
  EXPECT_EQ(refused_of(ask_in_a_crowd(fixture, 400, "/livez")), 0U);
}

TEST(Load, where_it_is_not_wanted_nothing_is_refused) {
  Fixture fixture(slow_echo);
  EXPECT_EQ(refused_of(ask_in_a_crowd(fixture, 400, "/")), 0U);
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

// --- Where it listens ---

TEST(Listening, on_a_port_in_use_is_an_error_with_one_thread_and_with_two) {
  Fixture fixture;
  Fixture shared(echo, {}, 2);
  for (const uint16_t port : {fixture.server.port(), shared.server.port()}) {
    for (const unsigned threads : {1U, 2U}) {
      Listen listen = loopback();
      listen.port = port;
      EXPECT_THROW(Server(listen, {}, threads, echo), std::system_error) << threads;
    }
  }
}

TEST(Listening, on_what_is_no_address_is_an_error) {
  Listen listen;
  for (const std::string address : {"", "localhost", "127.0.0.1.5", "1.2.3.4:80"}) {
    listen.address = address;
    EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error) << address;
  }
  listen = loopback();
  listen.trusted_proxies = {"proxy.example"};
  EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error);
}

TEST(Listening, on_a_unix_socket_only_its_owner_may_use) {
  Listen listen;
  listen.unix_path = temporary_path("owner");
  {
    Server server(listen, {}, 2, echo);
    struct stat status {};
    ASSERT_EQ(stat(listen.unix_path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    Target target;
    target.unix_path = listen.unix_path;
    EXPECT_EQ(Client(target).send({}).body, "GET / [] unix plain");
  }
  EXPECT_FALSE(std::filesystem::exists(listen.unix_path)) << "it is taken away at the end";
}

TEST(Listening, on_a_unix_socket_replaces_a_stale_file_and_spares_a_live_one) {
  Listen listen;
  listen.unix_path = temporary_path("stale");
  {
    const Listening abandoned = listen_on(listen, 1);  // closes, and leaves its file
  }
  ASSERT_TRUE(std::filesystem::exists(listen.unix_path));
  Server server(listen, {}, 1, echo);
  EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error);
  Target target;
  target.unix_path = listen.unix_path;
  EXPECT_EQ(Client(target).send({}).status, 200);
}

TEST(Listening, on_a_unix_socket_never_removes_another_kind_of_file) {
  Listen listen;
  listen.unix_path = temporary_path("file");
  Descriptor(::open(listen.unix_path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error);
  EXPECT_TRUE(std::filesystem::exists(listen.unix_path));
  std::filesystem::remove(listen.unix_path);
  listen.unix_path = std::string(200, 'a');
  EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error);
}

// --- Proxies ---

std::string seen_through(const std::vector<std::string>& trusted, std::string_view headers) {
  Listen listen = loopback();
  listen.trusted_proxies = trusted;
  Server server(listen, {}, 1, echo);
  RawClient client(server.port());
  client.send("GET / HTTP/1.0\r\n" + std::string(headers) + "\r\n");
  const std::string answer = client.read_to_end();
  return answer.substr(answer.find("[] ") + 3);
}

TEST(Proxy, is_believed_only_where_it_is_trusted_and_only_in_its_last_word) {
  const std::string_view forwarded =
      "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: http, https\r\n";
  EXPECT_EQ(seen_through({}, forwarded), "127.0.0.1 plain");
  EXPECT_EQ(seen_through({"127.0.0.2", "::1"}, forwarded), "127.0.0.1 plain");
  EXPECT_EQ(seen_through({"127.0.0.2", "127.0.0.1"}, forwarded), "192.0.2.7 secure");
  EXPECT_EQ(seen_through({"127.0.0.1"}, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.8\r\n"),
            "192.0.2.8 plain");
  EXPECT_EQ(seen_through({"127.0.0.1"}, "X-Forwarded-For: 2001:DB8:0::1\r\n"), "2001:db8::1 plain");
  EXPECT_EQ(seen_through({"127.0.0.1"}, "X-Forwarded-Proto: https, http\r\n"), "127.0.0.1 plain");
}

TEST(Proxy, that_names_no_address_is_itself_the_peer) {
  for (const std::string_view value : {"unknown", "192.0.2.7, _hidden", "", "192.0.2.7:80", "<script>"}) {
    EXPECT_EQ(seen_through({"127.0.0.1"}, "X-Forwarded-For: " + std::string(value) + "\r\n"),
              "127.0.0.1 plain");
  }
}

// --- The end ---

TEST(Stop, lets_requests_under_way_finish_and_closes_idle_connections) {
  Gatekeeper keeper;
  Fixture fixture([&](Request& request) -> Task<Response> {
    if (request.path == "/slow") co_await keeper.wait();
    co_return text_response(200, "served");
  });
  RawClient idle = fixture.connect();
  idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(idle.read_until("served"), "");
  RawClient busy = fixture.connect();
  busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  keeper.await_arrival();

  std::thread stopping([&] { fixture.server.stop(Seconds{10}); });
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_TRUE(idle.saw_close());
  EXPECT_FALSE(fixture.connect().is_connected()) << "nothing new is accepted";
  keeper.let_go();
  const std::string answer = busy.read_to_end();
  EXPECT_TRUE(busy.saw_close());
  EXPECT_NE(answer.find("\r\nConnection: close\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("served")) << answer;
  stopping.join();
  fixture.server.stop(Seconds{10});  // again, and at once
}

TEST(Stop, after_its_grace_cuts_who_is_not_done) {
  Fixture fixture;
  RawClient client = fixture.connect();
  client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_NE(client.read_until("100 Continue\r\n\r\n"), "");
  const auto begin = steady_clock::now();
  fixture.server.stop(Seconds{0});
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(3));
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_TRUE(client.saw_close());
}

TEST(Stop, at_once_after_the_start_is_no_trouble) {
  for (int round = 0; round < 20; ++round) {
    Fixture fixture(echo, {}, 2);
    const RawClient client = fixture.connect();
  }
}

}  // namespace
}  // namespace behalf::http
