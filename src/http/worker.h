// One event loop, and the connections on it. A thread is one loop with a listening socket of its own; a
// connection stays on the loop that accepted it, so nothing below a Worker is shared or locked.
// For the .cc files of http/ and nobody else.
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "http/asio.h"
#include "http/backlog.h"
#include "http/forward.h"
#include "http/gate.h"
#include "http/relay.h"
#include "http/server.h"
#include "http/sockets.h"
#include "http/tls.h"
#include "http/wire.h"

namespace behalf::http {

// What all loops share; nothing of it changes while they run, but the count.
struct Shared {
  Limits limits;
  Handler handler;  // one of the two
  Front front;
  std::vector<std::string> trusted_proxies;
  std::optional<TlsContext> tls;
  size_t reserve = 0;  // connections of each loop over the limit, for one request each
  std::atomic<size_t> connections = 0;
  std::atomic<size_t> brief = 0;  // of these, those of the reserve

  std::mutex mutex;
  std::condition_variable drained;
  size_t busy_loops = 0;  // guarded by `mutex`
};

class Connection;

class Worker final : public Loop {
 public:
  static constexpr uint64_t kTicksPerSecond = 2;

  Worker(Shared& shared, Descriptor listening)
      : shared_(shared), listener_(io_, listening.release()), sweep_timer_(io_), pause_(io_) {
    if (shared.limits.sheds_load) backlog_.emplace(io_);
  }

  void post(std::function<void()> work) override { asio::post(io_, std::move(work)); }

  void run();
  // On the loop's thread: no new connection, none kept alive.
  void begin_stop();
  // On the loop's thread: every connection ends, whatever it is doing.
  void cut_all();

  Shared& shared() { return shared_; }
  Links& links() { return links_; }
  asio::io_context& io() { return io_; }
  bool is_stopping() const { return stopping_; }
  const std::string& date() const { return date_; }
  // come_back() as it is sent on a connection that stays.
  const std::string& come_back_text() const { return come_back_text_; }
  uint64_t tick() const { return tick_; }
  // A deadline that is not before the span is over, and one that is not after.
  uint64_t tick_in(Seconds span) const {
    return tick_ + static_cast<uint64_t>(span.count) * kTicksPerSecond + 1;
  }
  uint64_t tick_within(Seconds span) const {
    return tick_ + static_cast<uint64_t>(span.count) * kTicksPerSecond;
  }
  std::list<Connection*>::iterator add(Connection* connection);
  void remove(std::list<Connection*>::iterator place);
  // Whether the request at hand is one of those to be refused because the loop is behind.
  bool sheds_this_one();
  // Whether requests wait so long that some are refused.
  bool is_behind() const;

 private:
  Awaitable<void> accept_all();
  bool accept_some();
  bool evict_brief();
  Awaitable<void> sweep();
  void tell_time();
  void finish_if_drained();

  Shared& shared_;
  asio::io_context io_{1};
  asio::posix::basic_stream_descriptor<Executor> listener_;
  Timer sweep_timer_;
  Timer pause_;
  Links links_;
  std::list<Connection*> connections_;
  std::vector<Connection*> brief_;  // oldest first
  std::optional<Backlog> backlog_;  // if load is shed
  uint64_t tick_ = 0;
  int64_t second_ = 0;
  std::string date_;
  std::string come_back_text_;
  bool stopping_ = false;
  bool drained_ = false;
};

class Connection {
 public:
  // kBrief: over the limit, and here for one request, at once; refused unless it is vital.
  enum class Stay { kLong, kBrief };

  Connection(Worker& worker, Socket socket, std::string peer, Stay stay)
      : worker_(worker),
        wire_(std::move(socket)),
        peer_(std::move(peer)),
        stay_(stay),
        place_(worker.add(this)) {}
  ~Connection() { worker_.remove(place_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Owns its connection until the end; the handler's Request lives in it and so outlives the task.
  static Awaitable<void> serve(std::unique_ptr<Connection> connection);

  void check_deadline(uint64_t tick);
  void begin_stop();
  void cut();
  bool is_brief() const { return stay_ == Stay::kBrief; }
  // Ends it for another's sake; false if that has been done already, or it is being answered.
  bool give_way();

 private:
  enum class Phase { kHandshake, kIdle, kHead, kBody, kAnswering, kRelaying, kLingering };
  // What a step came to, beside HTTP statuses to refuse with.
  static constexpr int kGone = -1;
  static constexpr int kFine = 0;
  static constexpr int kMore = 1;

  const Limits& limits() const { return worker_.shared().limits; }
  void enter(Phase phase, Seconds span) {
    phase_ = phase;
    deadline_ = worker_.tick_in(span);
  }
  bool has_body() const { return head_.content_length > 0 || head_.chunked; }
  bool is_vital(std::string_view path) const;
  // Whether this request is refused because there are too many; asked once.
  bool is_shed();
  Seconds patience(Seconds usual) const;
  void release_memory();
  void begin_to_receive();
  int took(size_t count, error_code failure);
  int look_for_head();
  int take_head();
  bool drop_in_a_crowd();
  void name_peer();
  void begin_handler();
  void ask_front(Body body);
  template <class Answer>
  void complete(std::optional<Answer> answer);
  bool write_response(const Response& response);

  Awaitable<void> wait_for_answer();
  Awaitable<int> fill();
  Awaitable<int> receive_body(size_t limit);
  // Does what the front says of this request, and asks again, until it is answered or relayed; true if
  // another may follow.
  Awaitable<bool> follow_front(Body body);
  Awaitable<bool> relay(Forward forward, Body body);
  Awaitable<bool> answer(const Response& response);
  bool answer_now(const Response& response);
  bool tell_to_come_back();
  bool begin_sending(std::string_view output, bool stays_open);
  Awaitable<bool> send_rest();
  // Answers and ends the connection, over whatever is still to come.
  Awaitable<void> refuse(Response response);
  Awaitable<void> close_gently();

  Worker& worker_;
  Wire wire_;
  std::string peer_;
  Stay stay_;
  std::list<Connection*>::iterator place_;
  bool gave_way_ = false;

  Phase phase_ = Phase::kHandshake;
  uint64_t deadline_ = UINT64_MAX;
  uint64_t request_deadline_ = UINT64_MAX;
  bool timed_out_ = false;

  std::string output_;
  std::string_view unsent_;  // of an answer
  bool stays_open_ = false;  // once that is sent
  HeadScanner scanner_;
  size_t head_size_ = 0;  // in bytes, once it is whole
  Head head_;
  std::optional<bool> shed_;  // nothing: not asked yet
  Request request_;
  std::optional<Plan> plan_;
  std::unique_ptr<Relay> relay_;
  std::optional<Resume> waiting_;
};

}  // namespace behalf::http
