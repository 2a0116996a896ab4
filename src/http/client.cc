// The blocking client: one socket, one deadline a call, Beast's parser for the answer.
//
// A kept connection may have been closed by the server meanwhile. That shows before the request is sent (then
// a new one is opened unnoticed), or at the first read: a request that is safe to repeat is then sent once
// more, any other fails, because nobody can tell whether it was carried out (RFC 9112 §9.3.1).
#include "http/client.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>
#include <stdexcept>

#include "http/sockets.h"
#include "http/tls.h"

namespace behalf::http {
namespace {

namespace beast = boost::beast;
using Parser = beast::http::response_parser<beast::http::string_body>;
using Deadline = std::chrono::steady_clock::time_point;

constexpr size_t kMaxBody = 16 * 1024 * 1024;
constexpr std::uint32_t kMaxHeader = 64 * 1024;
constexpr size_t kReadBytes = 16 * 1024;
constexpr int kMaxInterim = 8;  // 1xx answers ahead of the real one

// The kept connection had been closed: nothing of an answer arrived.
struct StaleConnection : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

std::string name_of(const Target& target) {
  if (!target.unix_path.empty()) return target.unix_path;
  return target.host + ":" + std::to_string(target.port);
}

bool is_safe_to_repeat(std::string_view method) {
  static constexpr std::array<std::string_view, 5> kIdempotent = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
  return std::find(kIdempotent.begin(), kIdempotent.end(), method) != kIdempotent.end();
}

bool is_one_word(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char letter) { return letter > 0x20 && letter < 0x7f; });
}

bool is_one_line(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

std::string host_header(const Target& target) {
  std::string host = target.host.empty() ? "localhost" : target.host;
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  const uint16_t usual = target.tls ? 443 : 80;
  if (target.unix_path.empty() && target.port != usual) host += ":" + std::to_string(target.port);
  return host;
}

std::string write_request(const Target& target, const ClientRequest& request) {
  if (!is_one_word(request.method) || !is_one_word(request.path_and_query)) {
    throw std::invalid_argument("a request line holds no spaces or control characters");
  }
  std::string out = request.method + " " + request.path_and_query + " HTTP/1.1\r\n";
  if (request.headers.find("Host") == nullptr) out += "Host: " + host_header(target) + "\r\n";
  for (const Header& header : request.headers.list()) {
    if (!is_one_line(header.name) || !is_one_line(header.value)) {
      throw std::invalid_argument("a header holds no line breaks");
    }
    out += header.name + ": " + header.value + "\r\n";
  }
  const bool expects_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (!request.body.empty() || expects_body)
    out += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  return out + "\r\n" + request.body;
}

}  // namespace

struct Client::Impl {
  Impl(Target where, Seconds timeout_after, const Interrupt* stop)
      : target(std::move(where)), timeout(timeout_after), interrupt(stop) {
    ignore_write_signals();
    if (target.tls) trust.emplace(TlsContext::client(target.ca_file));
  }

  Response send(const ClientRequest& request) {
    const std::string bytes = write_request(target, request);
    deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout.count);
    const bool kept = socket && is_quiet();
    if (!kept) connect();
    try {
      return exchange(request, bytes);
    } catch (const StaleConnection&) {
      disconnect();
      if (!kept || !is_safe_to_repeat(request.method)) throw;
    } catch (...) {
      disconnect();
      throw;
    }
    try {
      connect();
      return exchange(request, bytes);
    } catch (...) {
      disconnect();
      throw;
    }
  }

 private:
  // A kept connection on which something happened (the server closed it, or said what nobody asked) is of no
  // use.
  bool is_quiet() {
    pollfd state{socket.get(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 0;
  }

  void disconnect() {
    tls.reset();
    socket.close();
  }

  void wait(short events) {
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now())
              .count();
      if (left <= 0) fail("no answer from " + name_of(target) + " in time");
      // poll() leaves out a descriptor below zero.
      std::array<pollfd, 2> states{pollfd{socket.get(), events, 0},
                                   pollfd{interrupt == nullptr ? -1 : interrupt->descriptor(), POLLIN, 0}};
      const int ready =
          ::poll(states.data(), states.size(), static_cast<int>(std::min<int64_t>(left, INT32_MAX)));
      if (states[1].revents != 0) fail("waiting for " + name_of(target) + " was ended");
      if (ready > 0) return;
      if (ready < 0 && errno != EINTR)
        fail("cannot wait for " + name_of(target) + ": " + std::strerror(errno));
    }
  }

  void connect() {
    disconnect();
    if (target.unix_path.empty()) {
      connect_to_host();
    } else {
      connect_to_path();
    }
    if (!target.tls) return;
    tls.emplace(*trust, socket.get(), target.host);
    for (;;) {
      const TlsStream::Step step = tls->handshake();
      if (step == TlsStream::Step::kDone) return;
      if (!wait_for(step)) fail("TLS with " + name_of(target) + " failed: " + tls->failure());
    }
  }

  bool wait_for(TlsStream::Step step) {
    if (step != TlsStream::Step::kWantRead && step != TlsStream::Step::kWantWrite) return false;
    wait(step == TlsStream::Step::kWantRead ? POLLIN : POLLOUT);
    return true;
  }

  void connect_to_path() {
    sockaddr_un address{};
    if (target.unix_path.size() >= sizeof(address.sun_path))
      fail("the socket path is too long: " + target.unix_path);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, target.unix_path.c_str(), target.unix_path.size() + 1);
    if (!try_address(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address))) {
      fail("cannot connect to " + target.unix_path + ": " + std::strerror(errno));
    }
  }

  void connect_to_host() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int status = getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found);
    if (status != 0) fail("cannot find " + target.host + ": " + gai_strerror(status));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
    for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
      if (!try_address(address->ai_family, address->ai_addr, address->ai_addrlen)) continue;
      const int on = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return;
    }
    fail("cannot connect to " + name_of(target) + ": " + std::strerror(errno));
  }

  // False with errno set if nobody answers there.
  bool try_address(int family, const sockaddr* address, socklen_t size) {
    socket = Descriptor(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return false;
    if (::connect(socket.get(), address, size) == 0) return true;
    if (errno == EINPROGRESS) {
      wait(POLLOUT);
      int failure = 0;
      socklen_t length = sizeof(failure);
      getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &failure, &length);
      if (failure == 0) return true;
      errno = failure;
    }
    const int failure = errno;
    socket.close();
    errno = failure;
    return false;
  }

  // False if the connection is closed.
  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      size_t count = 0;
      if (tls) {
        const TlsStream::Step step = tls->write(bytes, count);
        if (step != TlsStream::Step::kDone && !wait_for(step)) return false;
      } else {
        const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent > 0) {
          count = static_cast<size_t>(sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
          wait(POLLOUT);
        } else if (errno != EINTR) {
          return false;
        }
      }
      bytes.remove_prefix(count);
    }
    return true;
  }

  // Zero if the connection is closed.
  size_t read(std::span<char> into) {
    for (;;) {
      if (tls) {
        size_t count = 0;
        const TlsStream::Step step = tls->read(into, count);
        if (step == TlsStream::Step::kDone) return count;
        if (!wait_for(step)) return 0;
      } else {
        const ssize_t count = ::recv(socket.get(), into.data(), into.size(), 0);
        if (count >= 0) return static_cast<size_t>(count);
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
          wait(POLLIN);
        } else if (errno != EINTR) {
          return 0;
        }
      }
    }
  }

  Response exchange(const ClientRequest& request, const std::string& bytes) {
    // A server may refuse and close before it has read everything: its answer is then there to be read.
    const bool sent = write(bytes);
    std::string input;
    for (int interim = 0; interim < kMaxInterim; ++interim) {
      Parser parser;
      parser.eager(true);
      parser.body_limit(kMaxBody);
      parser.header_limit(kMaxHeader);
      parser.skip(request.method == "HEAD");
      read_answer(parser, input, interim == 0);
      if (parser.get().result_int() / 100 == 1) continue;

      const bool reusable = sent && parser.keep_alive() && !parser.need_eof() && input.empty();
      if (!reusable) disconnect();
      return take(parser.release(), reusable);
    }
    fail(name_of(target) + " sends nothing but interim answers");
  }

  void read_answer(Parser& parser, std::string& input, bool first) {
    std::array<char, kReadBytes> chunk{};
    bool anything = !input.empty() || !first;
    while (!parser.is_done()) {
      beast::error_code failure;
      if (!input.empty()) {
        const size_t used = parser.put(boost::asio::const_buffer(input.data(), input.size()), failure);
        input.erase(0, used);
        if (failure == beast::http::error::body_limit)
          fail("the answer of " + name_of(target) + " is too large");
        if (failure && failure != beast::http::error::need_more) {
          fail("the answer of " + name_of(target) + " is not HTTP: " + failure.message());
        }
        if (parser.is_done()) return;
      }
      const size_t count = read(chunk);
      if (count == 0) {
        if (!anything) throw StaleConnection(name_of(target) + " closed the connection without an answer");
        if (parser.got_some()) parser.put_eof(failure);
        if (!parser.is_done()) fail(name_of(target) + " closed the connection in the middle of its answer");
        return;
      }
      anything = true;
      input.append(chunk.data(), count);
    }
  }

  static Response take(Parser::value_type message, bool reusable) {
    Response response;
    response.status = static_cast<int>(message.result_int());
    for (const auto& field : message) {
      const auto name = field.name_string();
      response.headers.add({name.data(), name.size()}, {field.value().data(), field.value().size()});
    }
    response.body = std::move(message.body());
    response.close = !reusable;
    return response;
  }

  Target target;
  Seconds timeout;
  const Interrupt* interrupt;
  std::optional<TlsContext> trust;
  Descriptor socket;
  std::optional<TlsStream> tls;  // after the socket: goes first
  Deadline deadline;
};

Interrupt::Interrupt() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (descriptor_ < 0) fail(std::string("cannot make an event descriptor: ") + std::strerror(errno));
}
Interrupt::~Interrupt() { ::close(descriptor_); }
void Interrupt::raise() { eventfd_write(descriptor_, 1); }
void Interrupt::clear() {
  eventfd_t raised = 0;
  eventfd_read(descriptor_, &raised);
}

Client::Client(Target target, Seconds timeout, const Interrupt* interrupt)
    : impl_(std::make_unique<Impl>(std::move(target), timeout, interrupt)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;

Response Client::send(const ClientRequest& request) { return impl_->send(request); }

ParsedUrl parse_url(std::string_view url) {
  const auto refuse = [&](const char* why) -> void {
    throw std::invalid_argument("'" + std::string(url) + "' " + why);
  };
  ParsedUrl parsed;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    parsed.target.tls = true;
    parsed.target.port = 443;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    refuse("is not an http or https URL");
  }
  if (std::any_of(rest.begin(), rest.end(), [](char letter) { return letter <= 0x20 || letter >= 0x7f; })) {
    refuse("holds characters a URL has to escape");
  }
  if (rest.find('#') != std::string_view::npos) refuse("has a fragment, which is never sent");
  const size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, slash);
  parsed.path_and_query = rest.substr(slash);
  if (!parsed.path_and_query.starts_with('/')) parsed.path_and_query.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) refuse("holds a user name");

  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) refuse("has no valid host");
    parsed.target.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
    if (canonical_address(parsed.target.host).empty()) refuse("has no valid host");
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    parsed.target.host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (parsed.target.host.empty()) refuse("has no host");
  if (port.empty()) return parsed;
  if (port.front() != ':') refuse("has no valid host");
  port.remove_prefix(1);
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), parsed.target.port);
  if (failure != std::errc() || end != port.data() + port.size() || parsed.target.port == 0) {
    refuse("has no valid port");
  }
  return parsed;
}

Response fetch(std::string_view url, const ClientRequest& request) {
  ParsedUrl parsed = parse_url(url);
  ClientRequest addressed = request;
  addressed.path_and_query = std::move(parsed.path_and_query);
  return Client(std::move(parsed.target)).send(addressed);
}

}  // namespace behalf::http
