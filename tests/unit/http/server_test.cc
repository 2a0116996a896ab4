// The server on a loopback port: framing on the wire, handlers that wait, and how it ends.
#include <atomic>
#include <thread>

#include "unit/http/server_fixture.h"

namespace behalf::http {
namespace {

using std::chrono::steady_clock;

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

TEST(Server, says_no_continue_to_http_1_0) {  // RFC 9110 §10.1.1
  Fixture fixture;
  RawClient client = fixture.connect();
  client.send("POST / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  client.send("abc");
  const std::string answer = client.read_until("[abc]");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
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
