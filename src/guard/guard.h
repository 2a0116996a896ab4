// The guard: a decision point beside an API (nginx, Envoy, Traefik, Caddy ask it), or the proxy in front of
// it. Built on the SDK alone. Builds every part, owns them, and serves until it is stopped.
#pragma once

#include <memory>
#include <string>

#include "base/environment.h"
#include "base/time.h"
#include "guard/config.h"

namespace behalf::guard {

class Guard {
 public:
  // Reads the policy and opens the listener; throws std::runtime_error with a plain message. A server that is
  // not there yet is no error: nothing is allowed until its keys are known.
  Guard(Settings settings, Clock& clock, Random& random);
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  uint16_t port() const;
  // Reads the policy again and opens the evidence file anew; a faulty policy leaves the one in force.
  void reload();
  // To be called at once and then about once a second: sees that the policy file changed, forgets what has
  // expired, and fetches keys as long as there are none (which takes seconds where the server does not
  // answer).
  void tend();
  void stop(Seconds grace);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace behalf::guard
