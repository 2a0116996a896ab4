#include "http/worker.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>

#include "base/environment.h"
#include "http/writer.h"

namespace behalf::http {
namespace {

constexpr std::chrono::milliseconds kTick{1000 / Worker::kTicksPerSecond};
constexpr std::chrono::milliseconds kAcceptPause{100};  // when descriptors or memory are short
constexpr int kAcceptBatch = 64;

}  // namespace

std::list<Connection*>::iterator Worker::add(Connection* connection) {
  const auto place = connections_.insert(connections_.end(), connection);
  shared_.connections.fetch_add(1, std::memory_order_relaxed);
  if (connection->is_brief()) {
    brief_.push_back(connection);
    shared_.brief.fetch_add(1, std::memory_order_relaxed);
  }
  return place;
}

void Worker::remove(std::list<Connection*>::iterator place) {
  if ((*place)->is_brief()) {
    std::erase(brief_, *place);
    shared_.brief.fetch_sub(1, std::memory_order_relaxed);
  }
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
  links_.clear();
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
    // Over the limit the newest is shed: those who are here are served. It may say what it wants, so that
    // health can be asked for and everybody else is told to come back, as far as the reserve goes.
    const size_t brief = shared_.brief.load(std::memory_order_relaxed);
    const size_t staying = shared_.connections.load(std::memory_order_relaxed) - brief;
    const bool is_full = staying >= shared_.limits.connections;
    const bool must_evict = is_full && brief_.size() >= shared_.reserve;
    if (must_evict && !evict_brief()) continue;
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
      const auto stay = is_full ? Connection::Stay::kBrief : Connection::Stay::kLong;
      auto connection = std::make_unique<Connection>(*this, std::move(socket), peer_name(address), stay);
      asio::co_spawn(io_, Connection::serve(std::move(connection)), asio::detached);
    } catch (const std::exception&) {
      return false;  // out of memory: as if the system could not give us one
    }
    // Who gave way has a descriptor until the loop comes round to it; and nobody gives way unheard.
    if (is_full && brief_.size() >= shared_.reserve) break;
  }
  return true;
}

// The oldest of the reserve has had its chance. False if all of them are on their way out, or being answered.
bool Worker::evict_brief() {
  return std::any_of(brief_.begin(), brief_.end(),
                     [](Connection* connection) { return connection->give_way(); });
}

bool Worker::is_behind() const { return backlog_ && backlog_->is_long(); }

bool Worker::sheds_this_one() { return backlog_ && backlog_->sheds_this_one(); }

Awaitable<void> Worker::sweep() {
  while (!drained_) {
    error_code failure;
    sweep_timer_.expires_after(kTick);
    co_await sweep_timer_.async_wait(asio::redirect_error(kAwait, failure));
    ++tick_;
    tell_time();
    for (Connection* connection : connections_) connection->check_deadline(tick_);
    links_.sweep(tick_);
  }
}

void Worker::tell_time() {
  const int64_t second = SystemClock().now().seconds();
  if (second == second_) return;
  second_ = second;
  date_ = http_date(second);
  come_back_text_.clear();
  if (!write_answer(come_back_text_, come_back(), BodyRule::kSend, Persistence::kKeepAlive, date_))
    throw std::logic_error("an answer of our own cannot be sent");
}

}  // namespace behalf::http
