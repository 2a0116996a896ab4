// RFC 8935: SETs carried to receivers that have an address. A few threads take the streams in turns: who was
// served longest ago is next, and first of all who belongs to a client that holds the fewest threads, because
// a receiver that is slow or away must not hold up the others.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "model/signal_stream.h"

namespace behalf::oauth {

class Transmitter;

class Pusher {
 public:
  static constexpr size_t kMostThreads = 32;

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
  using Time = std::chrono::steady_clock::time_point;
  struct Line {
    ClientId client;
    Time due;     // not before
    Time served;  // when its last turn ended
    std::chrono::milliseconds pause;
    bool is_running = false;
    bool is_gone = false;  // it ends after this turn
  };
  using Lines = std::map<StreamId, Line>;
  void work();
  // Whose turn it is; the end if nobody's. Under the mutex.
  Lines::iterator next_line(Time now);
  // True if it may go on at once; false: wait a while. `patience` is for one that has nothing to say.
  bool deliver_some(const StreamId& id, std::chrono::milliseconds patience, bool& is_over);
  bool take_lease(const StreamId& id, SignalStream& stream);
  bool is_stopping() const;

  Transmitter& transmitter_;
  const std::string name_;  // of this process, for leases
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool is_stopping_ = false;          // guarded by mutex_
  Lines lines_;                       // guarded by mutex_
  std::vector<std::thread> threads_;  // guarded by mutex_
};

}  // namespace behalf::oauth
