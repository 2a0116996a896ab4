// What the registry says of each agent, asked for regularly and at once when something about one has changed,
// on a thread of its own: revocations must not wait for it.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "behalf/feed.h"
#include "sdk/server_access.h"

namespace behalf::sdk {

class Directory {
 public:
  Directory(ServerAccess& access, const http::Interrupt& interrupt)
      : access_(access), interrupt_(interrupt), thread_([this] { run(); }) {}
  // `interrupt` must have been raised.
  ~Directory();

  std::shared_ptr<const AgentInfo> find(std::string_view id) const;
  void renew();  // soon
  std::string trouble() const;

 private:
  using Agents = std::map<std::string, std::shared_ptr<const AgentInfo>, std::less<>>;
  void run();
  void fetch();

  ServerAccess& access_;
  const http::Interrupt& interrupt_;
  std::string tag_;  // of what we have (RFC 9110 §8.8.3)

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<const Agents> agents_ = std::make_shared<const Agents>();
  std::string trouble_;
  bool is_wanted_ = false;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace behalf::sdk
