// How long requests wait before their loop comes to them, and which of them are refused for that. A loop's
// own; for the .cc files of http/ and nobody else.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "http/asio.h"

namespace behalf::http {

class Backlog {
 public:
  // Throws std::system_error where there are no descriptors.
  explicit Backlog(asio::io_context& io);

  // The loop has come to a request. True if it is one of those to be refused.
  bool sheds_this_one();
  // Whether requests wait so long that some are refused.
  bool is_long() const { return known_wait_ > kNoticeable; }

 private:
  using Time = std::chrono::steady_clock;
  using Span = std::chrono::duration<double>;
  static constexpr Span kNoticeable{0.03};  // until here nothing is refused
  static constexpr Span kTolerable{0.06};   // and this is kept to by refusing

  // A descriptor that can always be read. Waiting for it puts it in line behind every connection on which
  // something has arrived so far: how long it stands there is how long a request does.
  struct Probe {
    explicit Probe(asio::io_context& io);
    asio::posix::basic_stream_descriptor<Executor> descriptor;
    Time::time_point sent;
    uint64_t handled_before = 0;  // requests
    bool is_out = false;
  };

  void send_probe(Time::time_point now);
  void came_back(Probe& probe);
  double share_to_shed(Span wait) const;
  // Zero where too few requests stood in that line: a process that was paused is late as well.
  Span waited(const Probe& probe, Time::time_point now) const;

  // Several, for while one of them stands in line the wait may have doubled.
  std::array<Probe, 8> probes_;
  size_t oldest_ = 0;  // of those that are out, which come back in the order in which they were sent
  size_t next_ = 0;
  Time::time_point last_sent_;
  Time::time_point last_back_;
  Span known_wait_{0};      // of the last that came back
  uint64_t handled_ = 0;    // requests
  double usual_share_ = 0;  // to be refused, as it has turned out
  double debt_ = 0;         // parts of requests that should have been refused
};

}  // namespace behalf::http
