// The Shared Signals transmitter (SSF 1.0): tells receivers what was revoked.
// docs/revocation-feed.md is its wire.
//
// The store's revocations are the queue, and a stream is a place in it
// (Progress); nothing is stored per receiver and event. A SET is made when it
// is delivered, and the same one serves every stream of a client.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "base/task.h"
#include "http/message.h"
#include "oauth/services.h"
#include "oauth/signals/progress.h"
#include "oauth/signals/push.h"

namespace behalf::oauth {

class Transmitter {
 public:
  static constexpr size_t kStreamsPerClient = 256;
  static constexpr size_t kPushStreamsPerClient = 8;
  static constexpr Seconds kIdleTimeout{3600};
  static constexpr Seconds kVerificationInterval{10};

  explicit Transmitter(Services& services);
  ~Transmitter();  // writes how far the receivers have come
  Transmitter(const Transmitter&) = delete;
  Transmitter& operator=(const Transmitter&) = delete;

  Services& services() { return services_; }
  Progress& progress() { return progress_; }

  // Signed for that receiver; made once for all its streams.
  std::string signed_event(const SignalStream& stream, const Revocation& item);
  std::string signed_verification(const SignalStream& stream);

  // Nobody has polled it for so long that it is as good as gone.
  bool is_idle(const SignalStream& stream, UnixTime now) const;
  // Ends every poll that waits, now and from now on.
  void close();
  // A stream was made or changed: whoever pushes looks anew, and whoever waits for it.
  void notice_change(std::string_view stream);
  // Is another after each change of this stream (and now and then after another's).
  uint64_t changes_of(const StreamId& stream) const { return changes_[slot_of(stream.text())]; }

 private:
  void keep_house();
  void write_progress();
  void remove_idle();

  static constexpr size_t kSlots = 1024;
  static size_t slot_of(std::string_view stream) { return std::hash<std::string_view>{}(stream) % kSlots; }

  Services& services_;
  Progress progress_;
  std::array<std::atomic<uint64_t>, kSlots> changes_{};
  std::mutex mutex_;
  std::unordered_map<std::string, std::string> signed_;  // guarded by mutex_
  std::condition_variable wake_;
  bool is_stopping_ = false;  // guarded by mutex_
  bool has_changed_ = true;   // guarded by mutex_
  Pusher pusher_;
  std::thread housekeeper_;  // last: it uses all of the above
};

// The endpoints (signals/configuration.cc, signals/poll.cc).
http::Response ssf_configuration(const Services& services);
Task<http::Response> ssf_create(Transmitter& transmitter, http::Request& request);
Task<http::Response> ssf_read(Transmitter& transmitter, http::Request& request);
Task<http::Response> ssf_update(Transmitter& transmitter, http::Request& request);
Task<http::Response> ssf_replace(Transmitter& transmitter, http::Request& request);
Task<http::Response> ssf_delete(Transmitter& transmitter, http::Request& request);
Task<http::Response> ssf_read_status(Transmitter& transmitter, http::Request& request);
Task<http::Response> ssf_set_status(Transmitter& transmitter, http::Request& request);
Task<http::Response> ssf_verify(Transmitter& transmitter, http::Request& request);
Task<http::Response> ssf_poll(Transmitter& transmitter, http::Request& request);

}  // namespace behalf::oauth
