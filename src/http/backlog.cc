#include "http/backlog.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace behalf::http {
namespace {

// As long as few wait there is no overload, however slow a machine is.
constexpr uint64_t kCrowd = 256;
constexpr std::chrono::milliseconds kOften{5};

int always_readable() {
  const int descriptor = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  return descriptor;
}

}  // namespace

Backlog::Probe::Probe(asio::io_context& io) : descriptor(io, always_readable()) {}

Backlog::Backlog(asio::io_context& io)
    : probes_{Probe(io), Probe(io), Probe(io), Probe(io), Probe(io), Probe(io), Probe(io), Probe(io)} {}

bool Backlog::sheds_this_one() {
  const auto now = Time::now();
  ++handled_;
  send_probe(now);
  Span wait = known_wait_;
  if (const Probe& probe = probes_[oldest_]; probe.is_out) wait = std::max(wait, waited(probe, now));
  debt_ += share_to_shed(wait);
  if (debt_ < 1) return false;
  debt_ -= 1;
  return true;
}

// What is refused is decided at the head of the line, so the line grows by (what is offered, as a multiple of
// what can be served) x (what should have been refused but was not) seconds a second. The proportional part
// answers a change, not so strongly that the next probe comes too late; the other finds the share at which
// the wait stays where it should.
double Backlog::share_to_shed(Span wait) const {
  constexpr double kPerSecond = 6;
  constexpr double kMostShed = 0.97;  // of what arrives: whoever waits for a commit must not run dry
  if (wait <= kNoticeable) return 0;
  return std::clamp(usual_share_ + kPerSecond * (wait - kTolerable).count(), 0.0, kMostShed);
}

void Backlog::send_probe(Time::time_point now) {
  Probe& probe = probes_[next_];
  if (probe.is_out || now - last_sent_ < std::max<Span>(kOften, known_wait_ / probes_.size())) return;
  // What was known of a line that has been empty since is no longer true.
  if (now - last_back_ > kTolerable && !probes_[oldest_].is_out) known_wait_ = Span{0};
  next_ = (next_ + 1) % probes_.size();
  last_sent_ = probe.sent = now;
  probe.handled_before = handled_;
  probe.is_out = true;
  probe.descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                              [this, &probe](error_code) { came_back(probe); });
}

void Backlog::came_back(Probe& probe) {
  constexpr double kPerSecondSquared = 10;
  constexpr Span kLongest{0.05};  // a gap says nothing of the time before it
  const auto now = Time::now();
  known_wait_ = waited(probe, now);
  const Span since = std::min<Span>(now - std::exchange(last_back_, now), kLongest);
  const Span error = std::min(known_wait_ - kTolerable, kTolerable);
  usual_share_ = std::clamp(usual_share_ + kPerSecondSquared * error.count() * since.count(), 0.0, 1.0);
  probe.is_out = false;
  oldest_ = (oldest_ + 1) % probes_.size();
}

Backlog::Span Backlog::waited(const Probe& probe, Time::time_point now) const {
  return handled_ - probe.handled_before < kCrowd ? Span{0} : now - probe.sent;
}

}  // namespace behalf::http
