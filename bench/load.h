// The load generator: keep-alive sockets on one epoll loop, one request under way on each. Requests are built
// before the clock starts, answers are parsed no further than status and length.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace behalf::bench {

// Where the load generator runs, and where the server and the raw signature rates do.
inline constexpr int kServerCore = 0;
inline constexpr int kLoadCore = 1;
void pin_this_thread(int core);

struct Answer {
  int status = 0;
  std::string_view head;
  std::string_view body;
};

struct Load {
  double seconds = 0;
  std::vector<double> latencies_ms;  // sorted
  double percentile(double share) const;
};

// Sends each request once over `connections` sockets. `each` sees every answer with the number of its
// request. Throws if a connection breaks, an answer has another status than `expected`, or nothing arrives
// for ten seconds.
Load run_load(uint16_t port, size_t connections, std::span<const std::string> requests, int expected,
              const std::function<void(size_t, const Answer&)>& each = {});
// The same at a steady pace: request n is due n / `per_second` after the start, whatever was answered by
// then, and its latency counts from there.
Load run_paced_load(uint16_t port, size_t connections, std::span<const std::string> requests, int expected,
                    double per_second);

}  // namespace behalf::bench
