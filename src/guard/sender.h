// Brings the records that wait in the spool to the server's log (docs/evidence.md), on a thread of its own:
// in batches, each again and again until the server has it. The server takes every id once, so again costs
// nothing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/environment.h"
#include "guard/config.h"
#include "guard/spool.h"
#include "http/client.h"

namespace behalf::guard {

class Sender {
 public:
  Sender(const ServerSettings& server, Spool& spool, Clock& clock);
  // Sends what it can within a second, then leaves the rest for next time.
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // The last thing that went wrong; empty while all is well.
  std::string trouble() const;
  // Records that the server refused for what is in them; they are in the spool's `refused.jsonl`.
  uint64_t refused() const { return refused_; }

 private:
  enum class Outcome { kTaken, kNothing, kLater };
  void run();
  Outcome send_some(size_t most);
  void refresh_token();
  void set_aside(const std::string& line);
  http::Response call(const http::ClientRequest& request);

  const ServerSettings server_;
  Spool& spool_;
  Clock& clock_;
  http::ParsedUrl address_;
  http::Interrupt interrupt_;
  std::optional<http::Client> client_;
  Secret token_;
  int64_t token_until_ = 0;  // seconds
  bool one_by_one_ = false;  // the server refused a batch: find the record it means
  std::atomic<uint64_t> refused_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string trouble_;
  bool stopping_ = false;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace behalf::guard
