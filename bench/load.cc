// Sockets, epoll, and just enough HTTP to tell one answer from the next.
#include "load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace behalf::bench {
namespace {

using SteadyTime = std::chrono::steady_clock;
constexpr std::chrono::seconds kSilence{10};

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {
    if (fd < 0) fail("socket");
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Connection {
  Descriptor socket;
  size_t request = 0;
  SteadyTime::time_point sent_at;
  std::string input;
};

Descriptor connect_to(uint16_t port) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

// A request is smaller than the socket's buffer, and the server has read the one before.
void send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0) fail("send");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

// True once `input` holds one whole answer.
bool parse_answer(std::string_view input, Answer& answer) {
  const size_t end = input.find("\r\n\r\n");
  if (end == std::string_view::npos) return false;
  answer.head = input.substr(0, end + 2);
  if (!answer.head.starts_with("HTTP/1.1 ")) throw std::runtime_error("the answer is not HTTP/1.1");
  std::from_chars(answer.head.data() + 9, answer.head.data() + answer.head.size(), answer.status);
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const size_t at = answer.head.find(kLength);
  size_t length = 0;
  if (at != std::string_view::npos) {
    std::from_chars(answer.head.data() + at + kLength.size(), answer.head.data() + answer.head.size(),
                    length);
  }
  if (input.size() < end + 4 + length) return false;
  answer.body = input.substr(end + 4, length);
  return true;
}

}  // namespace

void pin_this_thread(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
}

double Load::percentile(double share) const {
  if (latencies_ms.empty()) return 0;
  const auto last = static_cast<double>(latencies_ms.size() - 1);
  return latencies_ms[static_cast<size_t>(last * share)];
}

namespace {

// `per_second` 0: each connection sends its next request as soon as it has an answer.
Load run(uint16_t port, size_t connections, std::span<const std::string> requests, int expected,
         const std::function<void(size_t, const Answer&)>& each, double per_second) {
  const Descriptor poll(::epoll_create1(EPOLL_CLOEXEC));
  std::vector<Connection> all;
  const size_t count = std::min(connections, requests.size());
  all.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    all.push_back({.socket = connect_to(port), .request = 0, .sent_at = {}, .input = {}});
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    if (::epoll_ctl(poll.get(), EPOLL_CTL_ADD, all[i].socket.get(), &event) != 0) fail("epoll_ctl");
  }

  Load load;
  load.latencies_ms.reserve(requests.size());
  size_t next = 0;
  const auto start = SteadyTime::now();
  const auto due = [&](size_t request) {
    return start + std::chrono::duration_cast<SteadyTime::duration>(
                       std::chrono::duration<double>(static_cast<double>(request) / per_second));
  };
  std::vector<Connection*> idle;
  const auto send_next = [&](Connection& connection) {
    if (next == requests.size()) return;
    connection.request = next++;
    connection.sent_at = per_second > 0 ? due(connection.request) : SteadyTime::now();
    send_all(connection.socket.get(), requests[connection.request]);
  };
  const auto send_due = [&] {
    const auto now = SteadyTime::now();
    while (!idle.empty() && next < requests.size() && (per_second <= 0 || due(next) <= now)) {
      Connection& connection = *idle.back();
      idle.pop_back();
      send_next(connection);
    }
  };
  for (Connection& connection : all) idle.push_back(&connection);
  send_due();
  std::vector<epoll_event> events(count);
  std::vector<char> buffer(64 * 1024);
  auto heard = SteadyTime::now();
  while (load.latencies_ms.size() < requests.size()) {
    // This core does nothing else than wait, and never sleeps: whom the server has to wake costs it, on its
    // own core, what no client across a network does.
    const int ready = ::epoll_wait(poll.get(), events.data(), static_cast<int>(events.size()), 0);
    if (per_second > 0) send_due();
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    if (ready <= 0) {
      const bool is_under_way = idle.size() < all.size();
      if (is_under_way && SteadyTime::now() - heard > kSilence)
        throw std::runtime_error("the server stopped answering");
      continue;
    }
    heard = SteadyTime::now();
    for (int i = 0; i < ready; ++i) {
      Connection& connection = all[events[static_cast<size_t>(i)].data.u64];
      const ssize_t got = ::recv(connection.socket.get(), buffer.data(), buffer.size(), 0);
      if (got <= 0) throw std::runtime_error("the server closed a connection");
      connection.input.append(buffer.data(), static_cast<size_t>(got));
      Answer answer;
      if (!parse_answer(connection.input, answer)) continue;
      load.latencies_ms.push_back(
          std::chrono::duration<double, std::milli>(SteadyTime::now() - connection.sent_at).count());
      if (answer.status != expected) {
        throw std::runtime_error("answered " + std::to_string(answer.status) + ": " +
                                 std::string(answer.head) + std::string(answer.body.substr(0, 500)));
      }
      if (each) each(connection.request, answer);
      connection.input.clear();
      idle.push_back(&connection);
      send_due();
    }
  }
  load.seconds = std::chrono::duration<double>(SteadyTime::now() - start).count();
  std::sort(load.latencies_ms.begin(), load.latencies_ms.end());
  return load;
}

}  // namespace

Load run_load(uint16_t port, size_t connections, std::span<const std::string> requests, int expected,
              const std::function<void(size_t, const Answer&)>& each) {
  return run(port, connections, requests, expected, each, 0);
}

Load run_paced_load(uint16_t port, size_t connections, std::span<const std::string> requests, int expected,
                    double per_second) {
  return run(port, connections, requests, expected, {}, per_second);
}

}  // namespace behalf::bench
