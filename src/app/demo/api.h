// The demo's APIs, a planner and a mail box, as their own HTTP server on a socket that only their guards
// open.
//
// They know nothing of tokens: who asks, for whom and through which agents stands in the headers that the
// guard before them writes (docs/guard.md), and a request that reaches them is one it let through.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "app/demo/world.h"
#include "http/server.h"

namespace behalf::app {

class DemoApi {
 public:
  explicit DemoApi(const World& world);
  // One line an answered call: who it was for, through which app, and who acted.
  std::vector<std::string> log() const;

 private:
  http::Response answer(const http::Request& request);

  mutable std::mutex mutex_;
  std::vector<std::string> log_;          // guarded by mutex_
  std::unique_ptr<http::Server> server_;  // last: its threads use the rest
};

// Listens on `preferred`, or anywhere if that is taken.
std::unique_ptr<http::Server> listen_near(uint16_t preferred, http::Handler handler);

}  // namespace behalf::app
