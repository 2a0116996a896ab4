// One exchange between a client and an origin: the request goes on, its answer comes back, nothing is kept
// whole.
//
// The answer runs in the connection's own coroutine, a request's body in a second one beside it; each reads a
// piece only when the last has left, so that a slow side slows the other. Whatever ends one of the three
// (client, origin, permission) ends the exchange. For the .cc files of http/ and nobody else.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "http/asio.h"
#include "http/forward.h"
#include "http/gate.h"
#include "http/wire.h"

namespace behalf::http {

class Worker;

// A connection to an origin.
struct Link {
  explicit Link(Socket socket) : wire(std::move(socket)) {}
  Wire wire;
  uint64_t idle_since = 0;  // tick
};

// The idle connections of one loop.
class Links {
 public:
  // Null if there is none that can be used.
  std::unique_ptr<Link> take(const Origin& origin);
  void give_back(const std::shared_ptr<const Origin>& origin, std::unique_ptr<Link> link, uint64_t tick);
  // Closes what nobody has wanted for a while.
  void sweep(uint64_t tick);
  void clear() { idle_.clear(); }

 private:
  struct Idle {
    std::shared_ptr<const Origin> origin;  // keeps the key's address its own
    std::vector<std::unique_ptr<Link>> links;
  };
  std::map<const Origin*, Idle> idle_;
};

class Relay {
 public:
  // How it ended, or the status to answer with because nothing has been said yet.
  static constexpr int kDone = 0;     // and the client's connection can serve another request
  static constexpr int kClose = -1;   // and it cannot
  static constexpr int kBroken = -2;  // in the middle of an answer

  // `request.body` is what is sent if `body` is kRead. All of it must outlive the relay.
  Relay(Worker& worker, Wire& client, const Request& request, const Head& head, Body body, Forward forward);

  Awaitable<int> run();
  // Once a tick, on the loop: deadlines, and whether it may go on.
  void check(uint64_t tick);
  // Ends both connections.
  void cut();

 private:
  static constexpr int kNothing = -3;  // the origin closed without a word

  Awaitable<bool> connect();
  Awaitable<bool> connect_to(const asio::generic::stream_protocol::endpoint& endpoint);
  std::string write_head() const;
  Awaitable<int> ask();
  Awaitable<int> read_answer_head();
  Awaitable<int> pass_answer();
  Awaitable<int> tunnel();
  void begin_answer(bool chunked, bool close);

  void start(Awaitable<void> sending);
  Awaitable<void> send_body();
  Awaitable<void> send_on();
  Awaitable<void> await_sender();
  void end_sender();

  bool can_repeat() const;
  void wait_at_most(Seconds span);

  Worker& worker_;
  Wire& client_;
  const Request& request_;
  const Head& head_;
  const Body body_;
  const Forward forward_;

  std::unique_ptr<Link> link_;
  std::unique_ptr<asio::ip::basic_resolver<asio::ip::tcp, Executor>> resolver_;
  AnswerHead answer_;
  std::string output_;  // to the client
  std::string upload_;  // to the origin

  uint64_t deadline_ = UINT64_MAX;
  uint64_t sender_deadline_ = UINT64_MAX;
  bool answering_ = false;  // something of the answer has been sent
  bool late_ = false;
  bool cut_ = false;
  int client_fault_ = 0;  // the status that the client's own body earned

  Timer sender_ended_;
  bool sender_runs_ = false;
  bool body_sent_ = false;
};

}  // namespace behalf::http
