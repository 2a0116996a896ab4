// RFC 8935: SETs carried to receivers that have an address. A thread for each
// such stream, because a receiver that is slow or away must not hold up the
// others; there are few of them.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "model/signal_stream.h"

namespace behalf::oauth {

class Transmitter;

class Pusher {
 public:
  static constexpr size_t kMostStreams = 32;  // of all clients

  explicit Pusher(Transmitter& transmitter);
  ~Pusher() { stop(); }
  Pusher(const Pusher&) = delete;
  Pusher& operator=(const Pusher&) = delete;

  // Looks which streams there are, and begins with those that are new. Not on a
  // loop's thread.
  void review();
  // Ends every thread; what is under way is waited for. Idempotent.
  void stop();

 private:
  struct Line {
    std::thread thread;
    bool has_ended = false;  // guarded by mutex_
  };
  void run(const StreamId& id, Line& line);
  // True if it may go on at once; false: wait a while.
  bool deliver_some(const StreamId& id, bool& is_over);
  bool take_lease(const StreamId& id, SignalStream& stream);
  bool is_stopping() const;

  Transmitter& transmitter_;
  const std::string name_;  // of this process, for leases
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool is_stopping_ = false;                         // guarded by mutex_
  std::map<StreamId, std::unique_ptr<Line>> lines_;  // guarded by mutex_
};

}  // namespace behalf::oauth
