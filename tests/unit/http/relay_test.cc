// Requests that go on to an origin: framing on both sides, streaming with back-pressure, tunnels, and every
// way an exchange can break.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "http/forward.h"
#include "http/server.h"
#include "unit/http/raw_client.h"

namespace behalf::http {
namespace {

using std::chrono::steady_clock;

// An origin that does with each connection exactly what it is told to, in the order they come.
class RawOrigin {
 public:
  using Script = std::function<void(RawClient&)>;
  explicit RawOrigin(std::deque<Script> scripts)
      : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listening_.get(), 16), 0);
    getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    thread_ = std::thread([this, plays = std::move(scripts)] {
      for (const Script& play : plays) {
        Descriptor accepted(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!accepted) return;
        ++connections;
        RawClient peer(std::move(accepted));
        play(peer);
      }
    });
  }
  ~RawOrigin() {
    shutdown(listening_.get(), SHUT_RDWR);
    thread_.join();
  }
  uint16_t port = 0;
  std::atomic<int> connections = 0;

 private:
  Descriptor listening_;
  std::thread thread_;
};

std::shared_ptr<Origin> origin_at(uint16_t port) {
  auto origin = std::make_shared<Origin>();
  origin->target.host = "127.0.0.1";
  origin->target.port = port;
  origin->answer_time = origin->stall_time = origin->quiet_time = origin->connect_time = Seconds{5};
  return origin;
}

// Passes everything on, as the headers and the target of the request say.
struct PassOn {
  std::shared_ptr<Origin> origin;
  std::shared_ptr<std::atomic<bool>> allowed = std::make_shared<std::atomic<bool>>(true);
  size_t read_first = 0;  // read bodies of at most this size before
  std::string upgrade = {};

  Task<Plan> operator()(Request& request, Body body) const {
    if (request.path == "/refused" || body == Body::kTooLarge) {
      Plan refused = text_response(403, "no");
      co_return refused;
    }
    if (read_first > 0 && body == Body::kWaiting) {
      Plan read = ReadBody{read_first};
      co_return read;
    }
    Forward forward;
    forward.origin = origin;
    forward.target = request.path + (request.query.empty() ? "" : "?" + request.query);
    forward.headers = end_to_end(request.headers);
    forward.headers.set("Host", "origin.example");
    forward.upgrade = request.path == "/socket" ? upgrade : "";
    forward.may_go_on = [flag = allowed] { return flag->load(); };
    Plan plan = std::move(forward);
    co_return plan;
  }
};

struct Relayed {
  explicit Relayed(PassOn pass, const Limits& limits = {}) : front(pass) {
    Listen listen;
    listen.address = "127.0.0.1";
    server.emplace(listen, limits, 1, Front(front));
  }
  explicit Relayed(uint16_t port) : Relayed(PassOn{origin_at(port)}) {}
  RawClient connect() const { return RawClient(server->port()); }
  std::string exchange(std::string_view bytes) const {
    RawClient client = connect();
    client.send(bytes);
    return client.read_to_end();
  }
  PassOn front;
  std::optional<Server> server;
};

constexpr std::string_view kGet = "GET /a?b=%20c HTTP/1.1\r\nHost: outside\r\nX-Mine: 1\r\n\r\n";
constexpr std::string_view kLast = "GET /a HTTP/1.1\r\nHost: outside\r\nConnection: close\r\n\r\n";

RawOrigin::Script answers(std::string answer, std::string* saw = nullptr) {
  return [answer = std::move(answer), saw](RawClient& peer) {
    const std::string head = peer.read_until("\r\n\r\n");
    if (saw != nullptr) *saw = head;
    peer.send(answer);
    peer.read_to_end(200);
  };
}

TEST(Relay, sends_on_what_is_meant_for_the_origin_and_nothing_else) {
  std::string saw;
  RawOrigin origin(
      {answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Theirs: 2\r\nConnection: x-hop\r\nX-Hop: 3\r\n"
               "Keep-Alive: timeout=5\r\n\r\nhello",
               &saw)});
  std::string answer;
  {
    Relayed fixture(origin.port);
    RawClient client = fixture.connect();
    client.send(
        "GET /a?b=%20c HTTP/1.1\r\nHost: outside\r\nX-Mine: 1\r\nConnection: keep-alive, X-Gone\r\nX-Gone: "
        "1\r\n"
        "TE: trailers\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\nKeep-Alive: 1\r\n\r\n");
    answer = client.read_until("hello");
  }
  EXPECT_EQ(saw, "GET /a?b=%20c HTTP/1.1\r\nX-Mine: 1\r\nHost: origin.example\r\n\r\n");
  EXPECT_EQ(answer, "HTTP/1.1 200 OK\r\nX-Theirs: 2\r\nContent-Length: 5\r\n\r\nhello");
}

TEST(Relay, keeps_both_connections_between_requests) {
  RawOrigin origin({[](RawClient& peer) {
    for (int round = 0; round < 3; ++round) {
      peer.read_until("\r\n\r\n");
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    peer.read_to_end(100);
  }});
  Relayed fixture(origin.port);
  RawClient client = fixture.connect();
  for (int round = 0; round < 3; ++round) {
    client.send(kGet);
    EXPECT_TRUE(client.read_until("ok").ends_with("\r\n\r\nok"));
  }
  EXPECT_EQ(origin.connections, 1);
}

TEST(Relay, frames_each_kind_of_answer) {
  struct Case {
    const char* request;
    const char* origin;
    const char* client;
  };
  const std::string get(kLast);
  const std::string old = "GET /a HTTP/1.0\r\n\r\n";
  const std::string head = "HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const Case cases[] = {
      {get.c_str(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"},
      {get.c_str(), "HTTP/1.1 200 OK\r\n\r\nto the end",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\na\r\nto the "
       "end\r\n0\r\n\r\n"},
      {old.c_str(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"},
      {head.c_str(), "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n",
       "HTTP/1.1 200 OK\r\nContent-Length: 77\r\nConnection: close\r\n\r\n"},
      {get.c_str(), "HTTP/1.1 204 No Content\r\n\r\n",
       "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
      {get.c_str(), "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 9\r\n\r\n",
       "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nConnection: close\r\n\r\n"},
      {get.c_str(), "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
  };
  for (const Case& one : cases) {
    RawOrigin origin({[&](RawClient& peer) {
      peer.read_until("\r\n\r\n");
      peer.send(one.origin);
      peer.half_close();
    }});
    Relayed fixture(origin.port);
    EXPECT_EQ(fixture.exchange(one.request), one.client) << one.origin;
  }
}

TEST(Relay, answers_502_for_an_origin_that_two_readers_could_read_differently) {
  for (const char* answer : {
           "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
           "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
           "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
           "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
           "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
           "nonsense\r\n\r\n",
           "HTTP/1.1 200",
           "",
       }) {
    RawOrigin origin({[&](RawClient& peer) {
      peer.read_until("\r\n\r\n");
      peer.send(answer);
    }});
    Relayed fixture(origin.port);
    EXPECT_TRUE(fixture.exchange(kLast).starts_with("HTTP/1.1 502 ")) << answer;
  }
}

TEST(Relay, never_completes_an_answer_that_was_cut_short) {
  for (const char* answer : {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n"}) {
    RawOrigin origin({[&](RawClient& peer) {
      peer.read_until("\r\n\r\n");
      peer.send(answer);
      peer.half_close();
    }});
    Relayed fixture(origin.port);
    RawClient client = fixture.connect();
    client.send(kGet);
    const std::string got = client.read_to_end();
    EXPECT_TRUE(client.saw_close());
    EXPECT_FALSE(got.ends_with("0\r\n\r\n")) << got;
  }
}

TEST(Relay, streams_a_body_with_length_and_a_chunked_one) {
  for (const bool chunked : {false, true}) {
    std::string saw;
    RawOrigin origin({[&](RawClient& peer) {
      saw = peer.read_until(chunked ? "0\r\n\r\n" : "seven77");
      peer.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
      peer.read_to_end(100);
    }});
    Relayed fixture(origin.port);
    RawClient client = fixture.connect();
    client.send(chunked ? "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
                        : "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nfirst");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    client.send(chunked ? "7\r\nseven77\r\n0\r\n\r\n" : "seven77");
    EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 201 Created\r\n"));
    EXPECT_TRUE(saw.ends_with(chunked ? "5\r\nfirst\r\n7\r\nseven77\r\n0\r\n\r\n" : "firstseven77")) << saw;
    EXPECT_NE(saw.find(chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: 12\r\n"),
              std::string::npos);
  }
}

TEST(Relay, says_continue_itself_and_only_when_the_request_goes_on) {
  RawOrigin origin({[](RawClient& peer) {
    peer.read_until("abc");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peer.read_to_end(100);
  }});
  Relayed fixture(origin.port);
  RawClient client = fixture.connect();
  client.send("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
  RawClient refused = fixture.connect();
  refused.send("POST /refused HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  const std::string answer = refused.read_to_end();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 Forbidden\r\n")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
}

TEST(Relay, sends_on_the_same_bytes_that_were_read_first) {
  std::string saw;
  RawOrigin origin({[&](RawClient& peer) {
    saw = peer.read_until("{\"a\":1}");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peer.read_to_end(100);
  }});
  PassOn pass{origin_at(origin.port)};
  pass.read_first = 64;
  Relayed fixture(pass);
  RawClient client = fixture.connect();
  client.send(
      "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n");
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(saw.ends_with("\r\nContent-Length: 7\r\n\r\n{\"a\":1}")) << saw;
  // Too large to be read: the front is told so, and what it says ends the connection.
  for (const char* large : {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n",
                            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n"}) {
    EXPECT_TRUE(fixture.exchange(large).starts_with("HTTP/1.1 403 ")) << large;
  }
  EXPECT_TRUE(fixture.exchange("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
                  .starts_with("HTTP/1.1 400 "));
}

TEST(Relay, a_broken_body_never_reaches_the_origin_as_a_whole_one) {
  std::string saw;
  RawOrigin origin({[&](RawClient& peer) { saw = peer.read_to_end(); }});
  {
    Relayed fixture(origin.port);
    const std::string answer = fixture.exchange(
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\nGET /b "
        "HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  }
  EXPECT_FALSE(saw.ends_with("0\r\n\r\n")) << saw;
  EXPECT_EQ(saw.find("/b"), std::string::npos) << saw;
}

TEST(Relay, a_refused_request_leaves_the_connection_usable_or_closed_never_confused) {
  RawOrigin origin({answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")});
  Relayed fixture(origin.port);
  RawClient client = fixture.connect();
  client.send("POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_TRUE(client.read_until("no").starts_with("HTTP/1.1 403 "));
  client.send(kGet);
  EXPECT_TRUE(client.read_until("ok").starts_with("HTTP/1.1 200 "));
  const std::string answer = fixture.exchange(
      "POST /refused HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 "));
  EXPECT_EQ(answer.find("200 OK"), std::string::npos);
}

TEST(Relay, tries_once_more_where_a_kept_connection_had_gone_and_the_request_can_be_repeated) {
  // The origin says "keep", then closes when the next request is on its way.
  const auto once_then_gone = [](RawClient& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    peer.read_until("\r\n\r\n");
  };
  RawOrigin origin(
      {once_then_gone, answers("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"), once_then_gone});
  {
    Relayed fixture(origin.port);
    RawClient client = fixture.connect();
    client.send(kGet);
    client.read_until("ok");
    client.send(kGet);
    EXPECT_TRUE(client.read_until("new").ends_with("new"));
    EXPECT_EQ(origin.connections, 2);
  }
  Relayed fixture(origin.port);
  RawClient client = fixture.connect();
  client.send(kGet);
  client.read_until("ok");
  client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 502 "));
}

TEST(Relay, a_slow_reader_slows_the_origin) {
  std::atomic<size_t> written = 0;
  std::atomic<bool> stop = false;
  RawOrigin origin({[&](RawClient& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
    const std::string piece(64 * 1024, 'x');
    const timeval patience{0, 300'000};
    setsockopt(peer.descriptor(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    while (!stop && written < size_t{256} * 1024 * 1024) {
      const ssize_t count = ::send(peer.descriptor(), piece.data(), piece.size(), MSG_NOSIGNAL);
      if (count < 0 && errno != EAGAIN) return;
      if (count > 0) written += static_cast<size_t>(count);
    }
  }});
  Relayed fixture(origin.port);
  RawClient client = fixture.connect();
  client.send(kGet);
  client.read_until("\r\n\r\n");
  // Whatever the sockets' buffers hold: when they are full it grows no more.
  size_t before = 1;
  for (int tries = 0; tries < 50 && before != written; ++tries) {
    before = written;
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  EXPECT_EQ(written, before);
  EXPECT_LT(written, size_t{64} * 1024 * 1024);
  stop = true;
}

TEST(Relay, cuts_an_open_answer_when_it_may_not_go_on) {
  RawOrigin origin({[](RawClient& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    peer.read_to_end(5000);
  }});
  Relayed fixture(origin.port);
  RawClient client = fixture.connect();
  client.send(kGet);
  EXPECT_NE(client.read_until("data: 1").find("data: 1"), std::string::npos);
  const auto begin = steady_clock::now();
  *fixture.front.allowed = false;
  const std::string rest = client.read_to_end();
  EXPECT_TRUE(client.saw_close());
  EXPECT_LT(steady_clock::now() - begin, std::chrono::milliseconds(900));
  EXPECT_FALSE(rest.ends_with("0\r\n\r\n"));
}

TEST(Relay, leaves_the_origin_when_the_client_has_left) {
  std::atomic<bool> origin_saw_close = false;
  RawOrigin origin({[&](RawClient& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n");
    peer.read_to_end(5000);
    origin_saw_close = peer.saw_close();
  }});
  {
    Relayed fixture(origin.port);
    {
      RawClient client = fixture.connect();
      client.send(kGet);
      client.read_until("data: 1");
    }
    for (int tries = 0; tries < 200 && !origin_saw_close; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(origin_saw_close);
  }
}

TEST(Relay, becomes_a_tunnel_both_ways_and_ends_with_either_side) {
  std::string saw;
  const auto websocket = [&](RawClient& peer) {
    saw = peer.read_until("\r\n\r\n");
    peer.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nX-A: b\r\n\r\nhi");
    for (std::string got = peer.read_until("!"); got.ends_with('!'); got = peer.read_until("!"))
      peer.send("<" + got + ">");
  };
  RawOrigin origin({websocket, websocket});
  PassOn pass{origin_at(origin.port)};
  pass.upgrade = "websocket";
  Relayed fixture(pass);
  const std::string opening =
      "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
      "k\r\n\r\n";
  {
    RawClient client = fixture.connect();
    client.send(opening);
    EXPECT_EQ(
        client.read_until("hi"),
        "HTTP/1.1 101 Switching Protocols\r\nX-A: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
    client.send("one!");
    EXPECT_EQ(client.read_until(">"), "<one!>");
    client.send("two!");
    EXPECT_EQ(client.read_until(">"), "<two!>");
  }
  EXPECT_NE(saw.find("Connection: Upgrade\r\nUpgrade: websocket\r\n"), std::string::npos) << saw;
  RawClient client = fixture.connect();
  client.send(opening);
  client.read_until("hi");
  const auto begin = steady_clock::now();
  *fixture.front.allowed = false;
  client.read_to_end();
  EXPECT_TRUE(client.saw_close());
  EXPECT_LT(steady_clock::now() - begin, std::chrono::milliseconds(900));
}

TEST(Relay, refuses_what_follows_an_upgrade_before_the_origin_agreed) {
  RawOrigin origin({});
  PassOn pass{origin_at(origin.port)};
  pass.upgrade = "websocket";
  Relayed fixture(pass);
  const std::string opening =
      "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
  EXPECT_TRUE(fixture.exchange(opening + "\r\nGET /a HTTP/1.1\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(fixture.exchange(opening + "Content-Length: 1\r\n\r\nx").starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(origin.connections, 0);
}

TEST(Relay, a_front_may_refuse_http_1_0) {
  RawOrigin origin({answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")});
  Limits limits;
  limits.refuse_http_1_0 = true;
  Relayed fixture(PassOn{origin_at(origin.port)}, limits);
  EXPECT_TRUE(fixture.exchange("GET /a HTTP/1.0\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(fixture.exchange(kLast).starts_with("HTTP/1.1 200 "));
}

TEST(Relay, gives_up_on_an_origin_that_is_not_there_or_says_nothing) {
  PassOn pass;
  {
    RawOrigin gone({});
    pass.origin = origin_at(gone.port);
  }
  EXPECT_TRUE(Relayed(pass).exchange(kLast).starts_with("HTTP/1.1 502 "));
  RawOrigin silent({[](RawClient& peer) { peer.read_to_end(5000); }});
  pass.origin = origin_at(silent.port);
  pass.origin->answer_time = Seconds{1};
  EXPECT_TRUE(Relayed(pass).exchange(kLast).starts_with("HTTP/1.1 504 "));
}

TEST(Relay, a_server_that_stops_cuts_what_is_still_open) {
  RawOrigin origin({[](RawClient& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\n\r\ndata");
    peer.read_to_end(5000);
  }});
  Relayed fixture(origin.port);
  RawClient client = fixture.connect();
  client.send(kGet);
  client.read_until("data");
  fixture.server->stop(Seconds{0});
  EXPECT_FALSE(client.read_to_end().ends_with("0\r\n\r\n"));
  EXPECT_TRUE(client.saw_close());
}

}  // namespace
}  // namespace behalf::http
