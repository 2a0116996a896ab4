// `behalf demo`: the whole story against a real server, then (unless --once) the stage stays up for a
// browser.
//
// The parties speak HTTP: the server and a guard before each API are child processes of the same binary; the
// APIs and the little client page are servers of this process; the agents, the app and the person are its
// clients.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "app/commands.h"
#include "app/demo/api.h"
#include "app/demo/page.h"
#include "app/demo/screen.h"
#include "app/demo/story.h"
#include "app/demo/world.h"

namespace behalf::app {
namespace {

// Where a person finds it again; anything free, if these are taken or nobody will look.
constexpr uint16_t kServerPort = 8787;
constexpr uint16_t kApiPort = 8788;  // and the next
constexpr uint16_t kPagePort = 8790;

bool is_stop_pending() {
  sigset_t pending;
  sigemptyset(&pending);
  sigpending(&pending);
  return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1;
}

void invite(const World& world, Screen& screen) {
  std::error_code unknown;
  std::string program = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
  if (unknown) program = "behalf";
  screen.line();
  screen.line(screen.strong("Now you. Everything keeps running:"));
  screen.line("   start here    " + screen.accent(world.page + "/"));
  screen.line("   sign in as    " + screen.strong("alice") + ", password " + screen.strong(world.password()));
  screen.line("   my agents     " + screen.accent(world.issuer() + "/agents"));
  screen.line("   command line  " + program + " audit tail -f -c " + world.config_path());
  screen.line("                 " + program + " audit lineage --agent agent-calendar -c " +
              world.config_path());
  screen.line("                 " + program + " agent suspend agent-calendar -c " + world.config_path());
  screen.line("   files         " + world.folder() + (world.is_temporary() ? "  (removed at the end)" : ""));
  screen.line("Ctrl-C stops all of it.");
}

}  // namespace

int demo(const DemoOptions& options) {
  // Blocked before any thread starts; asked for between steps and waited for at the end, so that nothing is
  // left behind.
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGINT);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);
  Screen screen;
  try {
    World world(options.folder, options.once ? 0 : kApiPort);
    DemoApi api(world);
    DemoPage page(world, options.once ? 0 : kPagePort);
    world.page = page.url();
    screen.line(screen.strong("behalf: software that acts for people, and says so"));
    screen.line("Everything below goes over HTTP to a real server with a store on disk, in " +
                world.folder());
    world.start_server(options.once ? 0 : kServerPort);
    world.start_guards();
    screen.line("server " + world.issuer() + ", APIs (each behind a guard) " + world.planner() + " and " +
                world.mail() + ", app " + world.page);

    Story story(world, api, screen);
    story.play(is_stop_pending);
    screen.line();
    for (const std::string& failure : screen.failures())
      screen.line(screen.bad("✘ did not hold, ") + failure);
    if (screen.failures().empty()) {
      screen.line(screen.good("✔ ") + "All " + std::to_string(screen.steps()) +
                  " steps held: " + std::to_string(screen.checks()) + " checks.");
    }
    const int outcome = screen.failures().empty() ? kOk : kRefused;
    if (options.once) return outcome;
    invite(world, screen);
    int heard = 0;
    sigwait(&stops, &heard);
    screen.line("\nstopping");
    return outcome;
  } catch (const std::exception& fault) {
    std::fprintf(stderr, "the demo cannot go on: %s\n", fault.what());
    return kUnreachable;
  }
}

}  // namespace behalf::app
