// `behalf serve`: the server, until it is told to stop.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "app/commands.h"
#include "app/config.h"
#include "app/routes.h"
#include "app/runtime.h"
#include "base/log.h"
#include "crypto/hash.h"

namespace behalf::app {
namespace {

constexpr Seconds kGrace{10};
constexpr int kPurgeSeconds = 30;

// Secrets live in this process: no core dump, no debugger, no file that others can read.
void harden() {
  umask(077);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit nothing{0, 0};
  setrlimit(RLIMIT_CORE, &nothing);
}

}  // namespace

int serve(const std::string& config_path) {
  auto config = read_config(config_path);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.reason().c_str());
    return kWrongUse;
  }
  harden();
  // Blocked before any thread starts, so that this thread alone hears them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  try {
    SystemClock clock;
    crypto::SystemRandom random;
    Runtime runtime(*config, clock, random);
    http::Limits admin_limits;
    admin_limits.body_bytes = 16 * 1024 * 1024;
    http::Server admin(config->admin, admin_limits, 1, runtime.admin_handler());
    http::Server server(config->listen, public_limits(config->settings.issuer), config->threads,
                        runtime.public_handler());
    std::fprintf(stderr, "behalf serves %s on %s port %u, administration on %s\n",
                 config->settings.issuer.c_str(), config->listen.address.c_str(),
                 static_cast<unsigned>(server.port()), config->admin.unix_path.c_str());
    for (timespec wait{kPurgeSeconds, 0}; sigtimedwait(&signals, nullptr, &wait) <= 0;) {
      wait.tv_sec = kPurgeSeconds;
      try {
        if (runtime.purge()) wait.tv_sec = 0;
      } catch (const std::exception& fault) {
        log_fault("purge", fault.what());
      }
    }
    runtime.stop_waiting();
    server.stop(kGrace);
    admin.stop(Seconds{1});
    return kOk;
  } catch (const std::exception& fault) {
    std::fprintf(stderr, "behalf cannot serve: %s\n", fault.what());
    return kUnreachable;
  }
}

}  // namespace behalf::app
