// `behalf guard`: the decision point beside an API, or the proxy in front of it, until it is told to stop.
//
// It stands beside every API, so it is small: where `behalf-guard` is installed beside `behalf`, that one
// runs in its place, the same code without the server's libraries.
#include "guard/guard.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "app/commands.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "guard/config.h"

namespace behalf::app {
namespace {

constexpr Seconds kGrace{5};

}  // namespace

int guard(const std::string& config_path) {
  std::error_code unknown;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", unknown);
  if (!unknown && self.filename() != kSmallGuard) {
    const std::string beside = (self.parent_path() / kSmallGuard).string();
    ::execl(beside.c_str(), kSmallGuard, "--config", config_path.c_str(),
            nullptr);  // returns if it is not there
  }
  return guard_here(config_path);
}

int guard_here(const std::string& config_path) {
  auto settings = guard::read_settings(config_path);
  if (!settings) {
    std::fprintf(stderr, "%s\n", settings.reason().c_str());
    return kWrongUse;
  }
  umask(077);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit nothing{0, 0};
  setrlimit(RLIMIT_CORE, &nothing);
  // Blocked before any thread starts, so that this thread alone hears them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  try {
    SystemClock clock;
    crypto::SystemRandom random;
    const http::Listen listen = settings->listen;
    const std::string resource = settings->resource.id;
    guard::Guard guard(std::move(*settings), clock, random);
    if (listen.unix_path.empty()) {
      std::fprintf(stderr, "behalf guards %s on %s port %u\n", resource.c_str(), listen.address.c_str(),
                   static_cast<unsigned>(guard.port()));
    } else {
      std::fprintf(stderr, "behalf guards %s on %s\n", resource.c_str(), listen.unix_path.c_str());
    }
    for (;;) {
      try {
        guard.tend();
      } catch (const std::exception& fault) {
        log_fault("guard", fault.what());
      }
      const timespec wait{1, 0};
      const int signal = sigtimedwait(&signals, nullptr, &wait);
      if (signal == SIGHUP) {
        guard.reload();
      } else if (signal > 0) {
        break;
      }
    }
    guard.stop(kGrace);
    return kOk;
  } catch (const std::exception& fault) {
    std::fprintf(stderr, "behalf cannot guard: %s\n", fault.what());
    return kUnreachable;
  }
}

}  // namespace behalf::app
