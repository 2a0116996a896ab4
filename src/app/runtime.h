// The composition root: builds every object in order, owns them, and hands out the two handlers.
#pragma once

#include <memory>

#include "app/config.h"
#include "base/environment.h"
#include "http/server.h"
#include "oauth/services.h"

namespace behalf::app {

class Runtime {
 public:
  // Opens the store and reads the keys; throws std::runtime_error (or StoreUnavailable) with a plain message.
  Runtime(const Config& config, Clock& clock, Random& random);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  http::Handler public_handler();
  http::Handler admin_handler();
  oauth::Services& services();

  // Answers every request that waits for something to happen: before the servers stop, and for good.
  void stop_waiting();

  // Forgets what expired a day ago, a bounded amount a call; true if there may be more.
  bool purge();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace behalf::app
