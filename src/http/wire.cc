#include "http/wire.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

namespace behalf::http {

Awaitable<bool> Wire::shake_hands() {
  for (;;) {
    const TlsStream::Step step = tls->handshake();
    if (step == TlsStream::Step::kDone) co_return true;
    if (step != TlsStream::Step::kWantRead && step != TlsStream::Step::kWantWrite) co_return false;
    error_code failure;
    const auto ready = step == TlsStream::Step::kWantRead ? Socket::wait_read : Socket::wait_write;
    co_await socket.async_wait(ready, asio::redirect_error(kAwait, failure));
    if (failure) co_return false;
  }
}

void Wire::make_room(size_t room) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ > 0 && end_ == input_.size()) {
    std::copy(received().begin(), received().end(), input_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (begin_ == end_ && input_.size() < room) input_.resize(room);
  // The gate refuses a head that outgrows its limit, and bodies leave this buffer as they arrive.
  if (end_ == input_.size()) input_.resize(std::max(kInputBytes, input_.size() * 2));
}

asio::mutable_buffer Wire::room_to_read(size_t room) {
  make_room(room);
  return asio::buffer(input_.data() + end_, input_.size() - end_);
}

void Wire::took(size_t count) {
  end_ += count;
  used_ = std::max(used_, end_);
}

Awaitable<bool> Wire::fill(size_t room) {
  size_t count = 0;
  error_code failure;
  const asio::mutable_buffer free = room_to_read(room);
  if (!tls) {
    count = co_await socket.async_read_some(free, asio::redirect_error(kAwait, failure));
  } else {
    for (;;) {
      const TlsStream::Step step = tls->read({static_cast<char*>(free.data()), free.size()}, count);
      if (step != TlsStream::Step::kWantRead && step != TlsStream::Step::kWantWrite) break;
      const auto ready = step == TlsStream::Step::kWantRead ? Socket::wait_read : Socket::wait_write;
      co_await socket.async_wait(ready, asio::redirect_error(kAwait, failure));
      if (failure) break;
    }
  }
  if (failure || count == 0) co_return false;
  took(count);
  co_return true;
}

bool Wire::send_now(std::string_view& bytes) {
  while (!bytes.empty()) {
    if (tls) {
      size_t count = 0;
      const TlsStream::Step step = tls->write(bytes, count);
      if (step == TlsStream::Step::kWantRead || step == TlsStream::Step::kWantWrite) return true;
      if (step != TlsStream::Step::kDone) return false;
      bytes.remove_prefix(count);
    } else {
      const ssize_t count =
          ::send(socket.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
      if (count < 0 && errno != EINTR) return false;
      if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
    }
  }
  return true;
}

Awaitable<bool> Wire::send(std::string_view bytes) {
  for (;;) {
    if (!send_now(bytes)) co_return false;
    if (bytes.empty()) co_return true;
    error_code failure;
    co_await socket.async_wait(Socket::wait_write, asio::redirect_error(kAwait, failure));
    if (failure) co_return false;
  }
}

Awaitable<void> Wire::drain(size_t most) {
  input_.resize(std::max(input_.size(), kInputBytes));
  size_t unread = 0;
  while (unread < most) {
    error_code failure;
    const size_t count =
        co_await socket.async_read_some(asio::buffer(input_), asio::redirect_error(kAwait, failure));
    if (failure) co_return;
    unread += count;
  }
}

void Wire::cut() { ::shutdown(socket.native_handle(), SHUT_RDWR); }

void Wire::reset() {
  const linger at_once{1, 0};
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  cut();
}

void Wire::finish() {
  if (tls) tls->close();
  ::shutdown(socket.native_handle(), SHUT_WR);
}

bool Wire::peer_left() {
  pollfd state{socket.native_handle(), POLLRDHUP, 0};
  return ::poll(&state, 1, 0) > 0;
}

bool Wire::is_quiet() {
  pollfd state{socket.native_handle(), POLLIN | POLLRDHUP, 0};
  return begin_ == end_ && ::poll(&state, 1, 0) == 0;
}

void Wire::release_memory() {
  // Credentials stand in what was read (RFC 6749 §2.3.1); what has not been looked at yet stays.
  if (!input_.empty()) explicit_bzero(input_.data(), begin_ == end_ ? used_ : begin_);
  if (begin_ == end_) used_ = 0;
  if (begin_ == end_ && input_.size() > kIdleBytes) {
    input_ = std::vector<char>(kInputBytes);
    begin_ = end_ = 0;
  }
}

}  // namespace behalf::http
