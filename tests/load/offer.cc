// Offers a server more than it can serve, as cheaply as can be: one request, again and again, over many
// connections, at a steady rate whatever is answered. Beside it the server has a core of its own, and this
// must not be what is short.
//
//   offer <port> <connections> <requests a second, or 0: as fast as they are answered> <seconds> <file with
//   the request>
//
// Prints one JSON line: how many requests were due, how many found no free connection ("unsent"), what was
// answered, and the good answers of each second. A request's time counts from when it was due. "pace" is how
// much a core did meanwhile in a second that it gave to us, in units of its own: where other machines share
// it, that changes from minute to minute.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Connection {
  int socket = -1;
  bool is_busy = false;
  double due = 0;
  std::string answer;
};

struct Counts {
  uint64_t due = 0, unsent = 0, good = 0, later = 0, later_without_time = 0, other = 0, cut = 0;
  std::vector<uint64_t> good_in_second;
  std::vector<float> good_ms, later_ms;
};

class Offer {
 public:
  Offer(uint16_t port, size_t connections, double rate, double seconds, std::string request)
      : port_(port), rate_(rate), seconds_(seconds), request_(std::move(request)), all_(connections) {
    counts_.good_in_second.resize(static_cast<size_t>(seconds) + 1);
    for (size_t index = 0; index < all_.size(); ++index) {
      open(index);
      free_.push_back(index);
    }
  }

  Counts run() {
    begin_ = Clock::now();
    if (rate_ == 0) {
      while (!free_.empty()) send_one(0);
    }
    std::vector<epoll_event> events(512);
    while (now() < seconds_) {
      send_what_is_due();
      // It never sleeps: whom the server had to wake would cost the server, on its core, what no client
      // across a network does.
      const int count = ::epoll_wait(loop_, events.data(), static_cast<int>(events.size()), 0);
      for (int i = 0; i < count; ++i) {
        receive(events[static_cast<size_t>(i)].data.u64);
        if (i % 32 == 31) send_what_is_due();
      }
    }
    return std::move(counts_);
  }

 private:
  double now() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  void open(size_t index) {
    Connection& connection = all_[index];
    connection.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connection.socket < 0 ||
        ::connect(connection.socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      std::perror("offer: cannot connect");
      std::exit(1);
    }
    const int on = 1;
    ::setsockopt(connection.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    ::epoll_ctl(loop_, EPOLL_CTL_ADD, connection.socket, &event);
  }

  void send_what_is_due() {
    if (rate_ == 0) return;
    const auto due = static_cast<uint64_t>(now() * rate_);
    while (counts_.due < due) send_one(static_cast<double>(counts_.due) / rate_);
  }

  void send_one(double due) {
    ++counts_.due;
    if (free_.empty()) {
      ++counts_.unsent;
      return;
    }
    const size_t index = free_.back();
    free_.pop_back();
    Connection& connection = all_[index];
    connection.is_busy = true;
    connection.due = due;
    connection.answer.clear();
    if (::send(connection.socket, request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size()))
      start_over(index);
  }

  // The server has closed it.
  void start_over(size_t index) {
    ::close(all_[index].socket);
    if (all_[index].is_busy) {
      ++counts_.cut;
      all_[index].is_busy = false;
      free_.push_back(index);
    }
    open(index);
    if (rate_ == 0) send_one(now());
  }

  void receive(size_t index) {
    Connection& connection = all_[index];
    char bytes[8192];
    const ssize_t count = ::recv(connection.socket, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count <= 0) return start_over(index);
    connection.answer.append(bytes, static_cast<size_t>(count));
    const std::string_view answer = connection.answer;
    const size_t head = answer.find("\r\n\r\n");
    if (head == std::string_view::npos) return;
    constexpr std::string_view kLength = "\r\nContent-Length: ";
    const size_t length = answer.find(kLength);
    if (length == std::string_view::npos) return start_over(index);
    const size_t body = std::strtoul(connection.answer.c_str() + length + kLength.size(), nullptr, 10);
    if (answer.size() < head + 4 + body) return;
    note(answer, connection.due);
    connection.is_busy = false;
    free_.push_back(index);
    if (rate_ == 0) send_one(now());
  }

  void note(std::string_view answer, double due) {
    const double at = now();
    const auto ms = static_cast<float>((at - due) * 1000);
    if (answer.starts_with("HTTP/1.1 200 ")) {
      ++counts_.good;
      ++counts_.good_in_second[std::min(static_cast<size_t>(at), counts_.good_in_second.size() - 1)];
      counts_.good_ms.push_back(ms);
    } else if (answer.starts_with("HTTP/1.1 503 ")) {
      ++counts_.later;
      if (answer.find("\r\nRetry-After: ") == std::string_view::npos) ++counts_.later_without_time;
      counts_.later_ms.push_back(ms);
    } else {
      ++counts_.other;
    }
  }

  const uint16_t port_;
  const double rate_;
  const double seconds_;
  const std::string request_;
  const int loop_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Connection> all_;
  std::vector<size_t> free_;
  Counts counts_;
  Clock::time_point begin_;
};

// Looks in on the server's core twenty times a second and times a little work there: 2 % of it.
class Pace {
 public:
  Pace() : watcher_([this] { watch(); }) {}
  // Units of work done in a second of processor time.
  double stop() {
    stopping_ = true;
    watcher_.join();
    return static_cast<double>(units_) / spent_;
  }

 private:
  static double processor_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }

  void watch() {
    constexpr int kServerCore = 0;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(kServerCore, &cores);
    ::sched_setaffinity(0, sizeof(cores), &cores);
    // Like a signature: products that do not wait for each other, as many as the core can make.
    uint64_t values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    while (!stopping_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      const double before = processor_time();
      for (int step = 0; step < 200'000; ++step) {
        for (uint64_t& value : values) value = value * 6364136223846793005 + 1442695040888963407;
      }
      spent_ += processor_time() - before;
      ++units_;
    }
    for (const uint64_t value : values) result_ = result_ + value;
  }

  std::atomic<bool> stopping_ = false;
  volatile uint64_t result_ = 0;  // so that the work is done
  uint64_t units_ = 0;
  double spent_ = 0;
  std::thread watcher_;
};

double percentile(std::vector<float>& values, double share) {
  if (values.empty()) return 0;
  const auto place =
      values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), place, values.end());
  return static_cast<double>(*place);
}

}  // namespace

int main(int count, char** words) {
  if (count != 6) {
    std::fprintf(stderr, "offer <port> <connections> <rate> <seconds> <file>\n");
    return 2;
  }
  std::ifstream file(words[5], std::ios::binary);
  std::string request{std::istreambuf_iterator<char>(file), {}};
  Offer offer(static_cast<uint16_t>(std::atoi(words[1])), std::strtoul(words[2], nullptr, 10),
              std::atof(words[3]), std::atof(words[4]), std::move(request));
  Pace pace;
  Counts counts = offer.run();
  std::printf(
      R"({"due":%llu,"unsent":%llu,"good":%llu,"later":%llu,"later_without_time":%llu,"other":%llu,"cut":%llu,)"
      R"("p50_ms":%.1f,"p99_ms":%.1f,"later_p50_ms":%.1f,"later_p99_ms":%.1f,"pace":%.1f,"good_in_second":[)",
      static_cast<unsigned long long>(counts.due), static_cast<unsigned long long>(counts.unsent),
      static_cast<unsigned long long>(counts.good), static_cast<unsigned long long>(counts.later),
      static_cast<unsigned long long>(counts.later_without_time),
      static_cast<unsigned long long>(counts.other), static_cast<unsigned long long>(counts.cut),
      percentile(counts.good_ms, 0.5), percentile(counts.good_ms, 0.99), percentile(counts.later_ms, 0.5),
      percentile(counts.later_ms, 0.99), pace.stop());
  for (size_t second = 0; second < counts.good_in_second.size(); ++second)
    std::printf("%s%llu", second == 0 ? "" : ",",
                static_cast<unsigned long long>(counts.good_in_second[second]));
  std::printf("]}\n");
}
