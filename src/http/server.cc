// Loops, connections and their deadlines. One thread is one event loop with a listening socket of its own; a
// connection stays on the loop that accepted it, so nothing below a Worker is shared or locked.
//
// A connection's life:  kHandshake → kIdle → kHead → kBody → kAnswering → kIdle … → kLingering → closed
// Every phase has a deadline, kept as a tick number and compared once a tick for all
// connections: a timer for each operation costs a sixth of the throughput. Refusals end in kLingering:
// closing over unread bytes would reset the connection and take the answer with it (RFC 9112 §9.6).
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic ignored "-Wtsan"  // Asio's fences, which that sanitizer does not model
#endif

#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "base/environment.h"
#include "base/loop.h"
#include "http/gate.h"
#include "http/sockets.h"
#include "http/tls.h"
#include "http/writer.h"

namespace behalf::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
// The concrete executor type throughout: the type-erased default costs a fifth of the throughput.
using Executor = asio::io_context::executor_type;
template <class T>
using Awaitable = asio::awaitable<T, Executor>;
using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Resume = asio::async_result<asio::use_awaitable_t<Executor>, void()>::handler_type;
constexpr asio::use_awaitable_t<Executor> kAwait{};

constexpr std::chrono::milliseconds kTick{500};
constexpr uint64_t kTicksPerSecond = 2;
constexpr uint64_t kNever = UINT64_MAX;
constexpr std::chrono::milliseconds kAcceptPause{100};  // when descriptors or memory are short
constexpr int kAcceptBatch = 64;
constexpr size_t kInputBytes = 4 * 1024;
constexpr size_t kIdleBytes = 16 * 1024;  // what an idle connection may keep of its buffers
constexpr size_t kLingerBytes = 1024 * 1024;
constexpr Seconds kLingerTime{2};
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// What all loops share; nothing of it changes while they run, but the count.
struct Shared {
  Limits limits;
  Handler handler;
  std::vector<std::string> trusted_proxies;
  std::optional<TlsContext> tls;
  std::atomic<size_t> connections = 0;

  std::mutex mutex;
  std::condition_variable drained;
  size_t busy_loops = 0;  // guarded by `mutex`
};

class Connection;

class Worker final : public Loop {
 public:
  Worker(Shared& shared, Descriptor listening)
      : shared_(shared), listener_(io_, listening.release()), sweep_timer_(io_), pause_(io_) {}

  void post(std::function<void()> work) override { asio::post(io_, std::move(work)); }

  void run();
  // On the loop's thread: no new connection, none kept alive.
  void begin_stop();
  // On the loop's thread: every connection ends, whatever it is doing.
  void cut_all();

  Shared& shared() { return shared_; }
  bool is_stopping() const { return stopping_; }
  const std::string& date() const { return date_; }
  uint64_t tick_in(Seconds span) const {
    return tick_ + static_cast<uint64_t>(span.count) * kTicksPerSecond + 1;
  }
  std::list<Connection*>::iterator add(Connection* connection);
  void remove(std::list<Connection*>::iterator place);

 private:
  Awaitable<void> accept_all();
  bool accept_some();
  Awaitable<void> sweep();
  void tell_time();
  void finish_if_drained();

  Shared& shared_;
  asio::io_context io_{1};
  asio::posix::basic_stream_descriptor<Executor> listener_;
  Timer sweep_timer_;
  Timer pause_;
  std::list<Connection*> connections_;
  uint64_t tick_ = 0;
  int64_t second_ = 0;
  std::string date_;
  bool stopping_ = false;
  bool drained_ = false;
};

class Connection {
 public:
  Connection(Worker& worker, Socket socket, std::string peer)
      : worker_(worker), socket_(std::move(socket)), peer_(std::move(peer)), place_(worker.add(this)) {}
  ~Connection() { worker_.remove(place_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Owns its connection until the end; the handler's Request lives in it and so outlives the task.
  static Awaitable<void> serve(std::unique_ptr<Connection> connection);

  void check_deadline(uint64_t tick);
  void begin_stop();
  // Wakes whatever waits here. The descriptor stays open until the coroutine ends, so that its number is not
  // taken by another connection while somebody still means this one.
  void cut() { ::shutdown(socket_.native_handle(), SHUT_RDWR); }

 private:
  enum class Phase { kHandshake, kIdle, kHead, kBody, kAnswering, kLingering };
  // What a step came to, beside HTTP statuses to refuse with.
  static constexpr int kGone = -1;
  static constexpr int kFine = 0;

  const Limits& limits() const { return worker_.shared().limits; }
  std::string_view received() const { return {input_.data() + begin_, end_ - begin_}; }
  void enter(Phase phase, Seconds span) {
    phase_ = phase;
    deadline_ = worker_.tick_in(span);
  }
  void make_room();
  void release_memory();
  void name_peer();
  void begin_handler();
  void complete(std::optional<Response> response);
  bool write_response(const Response& response);
  bool send_now(std::string_view& bytes);

  Awaitable<bool> shake_hands();
  Awaitable<int> fill();
  Awaitable<int> receive();
  Awaitable<int> receive_body();
  Awaitable<bool> send(std::string_view bytes);
  Awaitable<void> close_gently();

  Worker& worker_;
  Socket socket_;
  std::optional<TlsStream> tls_;  // after the socket: goes first
  std::string peer_;
  std::list<Connection*>::iterator place_;

  Phase phase_ = Phase::kHandshake;
  uint64_t deadline_ = kNever;
  uint64_t request_deadline_ = kNever;
  bool timed_out_ = false;

  std::vector<char> input_;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::string output_;
  HeadScanner scanner_;
  Head head_;
  Request request_;
  std::optional<Response> response_;
  std::optional<Resume> waiting_;
};

// --- Worker ---

std::list<Connection*>::iterator Worker::add(Connection* connection) {
  const auto place = connections_.insert(connections_.end(), connection);
  shared_.connections.fetch_add(1, std::memory_order_relaxed);
  return place;
}

void Worker::remove(std::list<Connection*>::iterator place) {
  connections_.erase(place);
  shared_.connections.fetch_sub(1, std::memory_order_relaxed);
  finish_if_drained();
}

void Worker::run() {
  set_current(this);
  tell_time();
  asio::co_spawn(io_, accept_all(), asio::detached);
  asio::co_spawn(io_, sweep(), asio::detached);
  io_.run();  // ends when the last connection has, after begin_stop()
  set_current(nullptr);
}

void Worker::begin_stop() {
  stopping_ = true;
  error_code ignored;
  listener_.close(ignored);
  pause_.cancel();
  for (Connection* connection : connections_) connection->begin_stop();
  finish_if_drained();
}

void Worker::cut_all() {
  for (Connection* connection : connections_) connection->cut();
}

void Worker::finish_if_drained() {
  if (!stopping_ || drained_ || !connections_.empty()) return;
  drained_ = true;
  sweep_timer_.cancel();
  const std::lock_guard lock(shared_.mutex);
  --shared_.busy_loops;
  shared_.drained.notify_all();
}

Awaitable<void> Worker::accept_all() {
  while (!stopping_) {
    error_code failure;
    co_await listener_.async_wait(asio::posix::descriptor_base::wait_read,
                                  asio::redirect_error(kAwait, failure));
    if (stopping_ || failure) co_return;
    const bool exhausted = !accept_some();
    if (exhausted) {
      // The connection that could not be accepted keeps the listener readable: without a pause this would
      // spin.
      pause_.expires_after(kAcceptPause);
      co_await pause_.async_wait(asio::redirect_error(kAwait, failure));
    }
  }
}

bool Worker::accept_some() {
  for (int count = 0; count < kAcceptBatch; ++count) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    Descriptor accepted(::accept4(listener_.native_handle(), reinterpret_cast<sockaddr*>(&address), &size,
                                  SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
      if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
      return false;
    }
    // Over the limit the newest is shed: those who are here are served.
    if (shared_.connections.load(std::memory_order_relaxed) >= shared_.limits.connections) continue;
    try {
      const int protocol = address.ss_family == AF_UNIX ? 0 : IPPROTO_TCP;
      if (protocol == IPPROTO_TCP) {
        const int on = 1;
        ::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      }
      Socket socket(io_, asio::generic::stream_protocol(address.ss_family, protocol), accepted.get());
      accepted.release();
      error_code ignored;
      socket.native_non_blocking(true, ignored);
      auto connection = std::make_unique<Connection>(*this, std::move(socket), peer_name(address));
      asio::co_spawn(io_, Connection::serve(std::move(connection)), asio::detached);
    } catch (const std::exception&) {
      return false;  // out of memory: as if the system could not give us one
    }
  }
  return true;
}

Awaitable<void> Worker::sweep() {
  while (!drained_) {
    error_code failure;
    sweep_timer_.expires_after(kTick);
    co_await sweep_timer_.async_wait(asio::redirect_error(kAwait, failure));
    ++tick_;
    tell_time();
    for (Connection* connection : connections_) connection->check_deadline(tick_);
  }
}

void Worker::tell_time() {
  const int64_t second = SystemClock().now().seconds();
  if (second != second_) date_ = http_date(second);
  second_ = second;
}

// --- Connection ---

Awaitable<void> Connection::serve(std::unique_ptr<Connection> connection) {
  Connection& self = *connection;
  const Shared& shared = self.worker_.shared();
  bool open = true;
  if (shared.tls) open = co_await self.shake_hands();
  while (open && !self.worker_.is_stopping()) {
    const int status = co_await self.receive();
    if (status == kGone) break;
    if (status != kFine) {
      self.head_.keep_alive = false;
      self.write_response(text_response(status, reason_phrase(status)));
      self.enter(Phase::kAnswering, kLingerTime);
      const bool sent = co_await self.send(self.output_);
      if (sent) co_await self.close_gently();
      break;
    }
    self.phase_ = Phase::kAnswering;
    self.deadline_ = self.request_deadline_;
    self.begin_handler();
    if (!self.response_) {
      co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
          [&self](auto resume) { self.waiting_.emplace(std::move(resume)); }, kAwait);
    }
    open = self.write_response(*self.response_);
    std::string_view rest = self.output_;
    // Nearly every answer fits the socket's buffer, and then nothing has to wait.
    if (!self.send_now(rest)) break;
    if (!rest.empty()) {
      const bool sent = co_await self.send(rest);
      if (!sent) break;
    }
    self.release_memory();
  }
  if (self.tls_) self.tls_->close();
}

void Connection::check_deadline(uint64_t tick) {
  if (tick < deadline_) return;
  deadline_ = kNever;
  switch (phase_) {
    case Phase::kHead:
    case Phase::kBody: {
      timed_out_ = true;
      error_code ignored;
      socket_.cancel(ignored);  // wakes the reader, who can still say 408
      break;
    }
    case Phase::kHandshake:
    case Phase::kAnswering:
    case Phase::kLingering: {
      // Reset, not finished: otherwise the kernel would go on holding megabytes for a client that does not
      // read.
      const linger at_once{1, 0};
      ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
      cut();
      break;
    }
    case Phase::kIdle:
      cut();
      break;
  }
}

void Connection::begin_stop() {
  switch (phase_) {
    case Phase::kHandshake:
    case Phase::kIdle:
    case Phase::kLingering:
      cut();
      break;
    case Phase::kHead:
    case Phase::kBody:
    case Phase::kAnswering:
      break;  // write_response sees that we are stopping
  }
}

void Connection::make_room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ > 0 && end_ == input_.size()) {
    std::copy(received().begin(), received().end(), input_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  // The gate refuses a head that outgrows its limit, and bodies leave this buffer as they arrive.
  if (end_ == input_.size()) input_.resize(std::max(kInputBytes, input_.size() * 2));
}

void Connection::release_memory() {
  if (begin_ == end_ && input_.size() > kIdleBytes) {
    input_ = std::vector<char>(kInputBytes);
    begin_ = end_ = 0;
  }
  if (output_.capacity() > kIdleBytes) output_ = std::string();
  response_.reset();
}

Awaitable<bool> Connection::shake_hands() {
  enter(Phase::kHandshake, limits().header_time);
  tls_.emplace(*worker_.shared().tls, socket_.native_handle());
  for (;;) {
    const TlsStream::Step step = tls_->handshake();
    if (step == TlsStream::Step::kDone) co_return true;
    if (step != TlsStream::Step::kWantRead && step != TlsStream::Step::kWantWrite) co_return false;
    error_code failure;
    const auto ready = step == TlsStream::Step::kWantRead ? Socket::wait_read : Socket::wait_write;
    co_await socket_.async_wait(ready, asio::redirect_error(kAwait, failure));
    if (failure) co_return false;
  }
}

// Reads what there is behind what is already here.
Awaitable<int> Connection::fill() {
  make_room();
  size_t count = 0;
  error_code failure;
  if (!tls_) {
    count = co_await socket_.async_read_some(asio::buffer(input_.data() + end_, input_.size() - end_),
                                             asio::redirect_error(kAwait, failure));
  } else {
    for (;;) {
      const TlsStream::Step step = tls_->read({input_.data() + end_, input_.size() - end_}, count);
      if (step != TlsStream::Step::kWantRead && step != TlsStream::Step::kWantWrite) break;
      const auto ready = step == TlsStream::Step::kWantRead ? Socket::wait_read : Socket::wait_write;
      co_await socket_.async_wait(ready, asio::redirect_error(kAwait, failure));
      if (failure) break;
    }
  }
  if (timed_out_) co_return 408;
  if (failure || count == 0) co_return kGone;
  end_ += count;
  co_return kFine;
}

Awaitable<int> Connection::receive() {
  enter(Phase::kIdle, limits().idle_time);
  scanner_.reset();
  head_ = Head();
  request_.method.clear();
  request_.headers.clear();
  request_.body.clear();
  size_t size = 0;
  for (;;) {
    if (begin_ != end_) {
      if (phase_ == Phase::kIdle) {
        enter(Phase::kHead, limits().header_time);
        request_deadline_ = worker_.tick_in(limits().request_time);
        deadline_ = std::min(deadline_, request_deadline_);
      }
      const auto found = scanner_.scan(received(), limits());
      if (found && !*found) co_return found->reason();
      if (found) {
        size = found->value();
        break;
      }
    }
    const int status = co_await fill();
    if (status != kFine) co_return status;
  }
  const auto head = read_head(received().substr(0, size), limits(), request_);
  if (!head) co_return head.reason();
  head_ = *head;
  begin_ += size;
  name_peer();
  if (head_.content_length == 0 && !head_.chunked) co_return kFine;
  const int status = co_await receive_body();
  co_return status;
}

Awaitable<int> Connection::receive_body() {
  enter(Phase::kBody, limits().body_time);
  deadline_ = std::min(deadline_, request_deadline_);
  if (head_.wants_continue && begin_ == end_) {
    const bool sent = co_await send(kContinue);
    if (!sent) co_return kGone;
  }
  ChunkedBody chunks;
  for (;;) {
    std::string_view rest = received();
    if (head_.chunked) {
      const ChunkedBody::State state = chunks.take(rest, request_.body, limits().body_bytes);
      if (state == ChunkedBody::State::kMalformed) co_return 400;
      if (state == ChunkedBody::State::kTooLarge) co_return 413;
      begin_ = end_ - rest.size();
      if (state == ChunkedBody::State::kComplete) co_return kFine;
    } else {
      const size_t part = std::min(head_.content_length - request_.body.size(), rest.size());
      request_.body.append(rest.substr(0, part));
      begin_ += part;
      if (request_.body.size() == head_.content_length) co_return kFine;
    }
    const int status = co_await fill();
    if (status != kFine) co_return status;
  }
}

// Who is asking, and over what. A proxy's word counts only where the operator has said so, and only its last:
// what stands further left came from the client.
void Connection::name_peer() {
  request_.peer = peer_;
  request_.secure = tls_.has_value();
  const auto& trusted = worker_.shared().trusted_proxies;
  if (trusted.empty() || std::find(trusted.begin(), trusted.end(), peer_) == trusted.end()) return;
  std::string client = canonical_address(last_element(request_.headers, "X-Forwarded-For"));
  if (!client.empty()) request_.peer = std::move(client);
  if (last_element(request_.headers, "X-Forwarded-Proto") == "https") request_.secure = true;
}

void Connection::begin_handler() {
  const auto done = [this](std::optional<Response> response, const std::exception_ptr&) {
    if (Loop::current() == &worker_) return complete(std::move(response));
    worker_.post([this, ended = std::move(response)]() mutable { complete(std::move(ended)); });
  };
  try {
    start(worker_.shared().handler(request_), done);
  } catch (...) {
    complete(std::nullopt);  // it threw before it was a task
  }
}

// May end the connection and free it before it returns.
void Connection::complete(std::optional<Response> response) {
  response_ = response ? std::move(*response) : json_response(500, R"({"error":"server_error"})");
  if (!waiting_) return;  // still within begin_handler(): serve() goes on by itself
  Resume resume = std::move(*waiting_);
  waiting_.reset();
  std::move(resume)();
}

// True if the connection may serve another request.
bool Connection::write_response(const Response& response) {
  output_.clear();
  const bool close = !head_.keep_alive || response.close || worker_.is_stopping();
  const Persistence persistence = close ? Persistence::kClose : Persistence::kKeepAlive;
  const BodyRule rule = request_.method == "HEAD" ? BodyRule::kLeaveOut : BodyRule::kSend;
  if (!write_answer(output_, response, rule, persistence, worker_.date())) {
    const Response fault = json_response(500, R"({"error":"server_error"})");
    return write_answer(output_, fault, rule, persistence, worker_.date()) && !close;
  }
  return !close;
}

// Sends as much as the socket takes and shortens `bytes` by it; false if the connection is gone.
bool Connection::send_now(std::string_view& bytes) {
  while (!bytes.empty()) {
    if (tls_) {
      size_t count = 0;
      const TlsStream::Step step = tls_->write(bytes, count);
      if (step == TlsStream::Step::kWantRead || step == TlsStream::Step::kWantWrite) return true;
      if (step != TlsStream::Step::kDone) return false;
      bytes.remove_prefix(count);
    } else {
      const ssize_t count =
          ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
      if (count < 0 && errno != EINTR) return false;
      if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
    }
  }
  return true;
}

Awaitable<bool> Connection::send(std::string_view bytes) {
  for (;;) {
    if (!send_now(bytes)) co_return false;
    if (bytes.empty()) co_return true;
    error_code failure;
    co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(kAwait, failure));
    if (failure) co_return false;
  }
}

Awaitable<void> Connection::close_gently() {
  enter(Phase::kLingering, kLingerTime);
  if (tls_) tls_->close();
  ::shutdown(socket_.native_handle(), SHUT_WR);
  input_.resize(std::max(input_.size(), kInputBytes));
  size_t unread = 0;
  while (unread < kLingerBytes && !worker_.is_stopping()) {
    error_code failure;
    const size_t count =
        co_await socket_.async_read_some(asio::buffer(input_), asio::redirect_error(kAwait, failure));
    if (failure) co_return;
    unread += count;
  }
}

}  // namespace

struct Server::Impl {
  Impl(const Listen& listen, const Limits& limits, unsigned threads, Handler handler)
      : unix_path(listen.unix_path) {
    shared.limits = limits;
    shared.limits.connections = affordable_connections(limits.connections);
    shared.handler = std::move(handler);
    shared.trusted_proxies = canonical_addresses(listen.trusted_proxies);
    if (listen.tls) shared.tls.emplace(TlsContext::server(*listen.tls));
    Listening listening = listen_on(listen, std::max(1U, threads));
    port = listening.port;
    for (Descriptor& socket : listening.sockets) {
      workers.push_back(std::make_unique<Worker>(shared, std::move(socket)));
    }
  }

  ~Impl() { stop(Seconds{0}); }

  void start() {
    for (auto& worker : workers) {
      {
        const std::lock_guard lock(shared.mutex);
        ++shared.busy_loops;
      }
      loops.emplace_back([&loop = *worker] { loop.run(); });
    }
  }

  void stop(Seconds grace) {
    const std::lock_guard one_at_a_time(stop_mutex);
    if (stopped) return;
    stopped = true;
    // Before the listener closes: afterwards the file may be that of our successor.
    if (!unix_path.empty()) ::unlink(unix_path.c_str());
    for (auto& worker : workers) worker->post([&loop = *worker] { loop.begin_stop(); });
    {
      std::unique_lock lock(shared.mutex);
      shared.drained.wait_for(lock, std::chrono::seconds(grace.count),
                              [this] { return shared.busy_loops == 0; });
    }
    for (auto& worker : workers) worker->post([&loop = *worker] { loop.cut_all(); });
    for (std::thread& loop : loops) loop.join();
  }

  std::string unix_path;
  uint16_t port = 0;
  Shared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> loops;
  std::mutex stop_mutex;
  bool stopped = false;
};

Server::Server(const Listen& listen, const Limits& limits, unsigned threads, Handler handler) {
  ignore_write_signals();
  impl_ = std::make_unique<Impl>(listen, limits, threads, std::move(handler));
  impl_->start();
}

Server::~Server() = default;

uint16_t Server::port() const { return impl_->port; }

void Server::stop(Seconds grace) { impl_->stop(grace); }

}  // namespace behalf::http
