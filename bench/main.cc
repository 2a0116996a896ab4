// behalf-bench [--quick] [--count N] [--perf FILE] [row...]: how close the server comes to what its
// signatures alone would allow.
//
// A row is measured in several short runs, interleaved with the other rows; right before and right after
// each, the raw rates of the signature operations are measured on the server's own core, for a machine that
// others use is not the same for long. The run with the median ratio speaks for the row.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "crypto/jwk.h"
#include "guard.h"
#include "load.h"
#include "server.h"
#include "traffic.h"

namespace behalf::bench {
namespace {

using SteadyTime = std::chrono::steady_clock;

constexpr size_t kConnections = 64;
constexpr size_t kMessageBytes = 700;  // header and claims of a token
constexpr double kRawSeconds = 0.15;

// Who answers a row, and what it is compared with.
enum class Answers {
  kServer,     // its signature operations
  kGuard,      // the same
  kGuardEcho,  // a bare echo on the same HTTP library
  kDecision,   // the guard's decision in this process, with its signature operations
};

struct Row {
  const char* name;
  std::vector<std::string> (Traffic::*requests)(size_t);
  int signs;  // signature operations the request needs
  int verifies;
  Answers answers = Answers::kServer;
  size_t times = 1;  // as many requests, where a run would be over before caches are warm
};

constexpr Row kRows[] = {{"client_credentials", &Traffic::client_credentials, 1, 0},
                         {"code_issued", &Traffic::code_issued, 1, 0},
                         {"code_self_signed", &Traffic::code_self_signed, 1, 1},
                         {"exchange_issued", &Traffic::exchange_issued, 1, 0},
                         {"exchange_self_signed", &Traffic::exchange_self_signed, 1, 1},
                         {"refresh", &Traffic::refresh, 1, 0},
                         {"introspect", &Traffic::introspect, 0, 0, Answers::kServer, 3},
                         {"guard_decision", &Traffic::new_tokens, 0, 1, Answers::kDecision},
                         {"guard_new", &Traffic::guard_new, 0, 1, Answers::kGuard},
                         {"guard_seen", &Traffic::guard_seen, 0, 0, Answers::kGuardEcho, 6}};

struct Run {
  double requests_per_s = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  double cpu_us = 0;  // the server's processor time a request, user and kernel
  double raw_sign_per_s = 0;
  double raw_verify_per_s = 0;
  double limit = 0;  // 0: the request needs no signature operation
  double ratio = 0;
  double paced_p99_ms = 0;  // of a guard, at 70 % of requests_per_s
};

// What is measured.
struct Stage {
  const Server& server;
  Traffic& traffic;
  const crypto::SigningKey& key;
  const Listening* guard;  // null: no row needs it
  const Listening* echo;
  Decisions* decisions;
};

template <class Operation>
double rate_of(const Operation& operation) {
  constexpr int kSlice = 16;
  size_t done = 0;
  const auto start = SteadyTime::now();
  double seconds = 0;
  while (seconds < kRawSeconds) {
    for (int i = 0; i < kSlice; ++i) operation();
    done += kSlice;
    seconds = std::chrono::duration<double>(SteadyTime::now() - start).count();
  }
  return static_cast<double>(done) / seconds;
}

// `perf record` of the server for as long as it lives; nothing if `file` is empty. Ratios of such a run mean
// little.
class Profile {
 public:
  Profile(pid_t server, const std::string& file) {
    if (file.empty()) return;
    process_ = ::fork();
    if (process_ == 0) {
      const std::string process = std::to_string(server);
      ::execlp("perf", "perf", "record", "-q", "-F", "2000", "-o", file.c_str(), "-p", process.c_str(),
               nullptr);
      ::_exit(127);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;
  ~Profile() {
    if (process_ <= 0) return;
    ::kill(process_, SIGINT);
    ::waitpid(process_, nullptr, 0);
  }

 private:
  pid_t process_ = -1;
};

// What a request is held against, at one moment.
struct Raw {
  double sign_per_s = 0;
  double verify_per_s = 0;
  double echo_per_s = 0;  // 0: not asked for
};

Raw measure_raw(const Row& row, const Stage& stage, const std::vector<std::string>& requests) {
  Raw raw;
  const std::string message(kMessageBytes, 'm');
  const std::string signature = stage.key.sign(message);
  const crypto::VerifyingKey verifying = stage.key.verifying_key();
  pin_this_thread(kServerCore);
  raw.sign_per_s = rate_of([&] { (void)stage.key.sign(message); });
  raw.verify_per_s = rate_of([&] {
    if (!verifying.verify(message, signature)) throw std::runtime_error("a good signature was refused");
  });
  pin_this_thread(kLoadCore);
  if (row.answers == Answers::kGuardEcho)
    raw.echo_per_s = static_cast<double>(requests.size()) /
                     run_load(stage.echo->port, kConnections, requests, 200).seconds;
  return raw;
}

// The rate of two measurements of equal size.
double both(double before, double after) { return before > 0 ? 2 / (1 / before + 1 / after) : 0; }

Run measure(const Row& row, size_t usual_count, const Stage& stage, const std::string& profile) {
  const size_t count = usual_count * row.times;
  const std::vector<std::string> requests = (stage.traffic.*row.requests)(count);
  Run run;
  const Raw before = measure_raw(row, stage, requests);
  const bool is_guard = row.answers == Answers::kGuard || row.answers == Answers::kGuardEcho;
  const uint16_t port = is_guard ? stage.guard->port : stage.server.port();
  if (row.answers == Answers::kDecision) {
    pin_this_thread(kServerCore);
    std::vector<double> milliseconds = stage.decisions->decide(requests);
    pin_this_thread(kLoadCore);
    const double sum = std::accumulate(milliseconds.begin(), milliseconds.end(), 0.0);
    std::sort(milliseconds.begin(), milliseconds.end());
    run.requests_per_s = 1000 * static_cast<double>(count) / sum;
    run.cpu_us = 1000 * sum / static_cast<double>(count);
    run.p50_ms = milliseconds[milliseconds.size() / 2];
    run.p99_ms = milliseconds[milliseconds.size() * 99 / 100];
  } else {
    const pid_t process = is_guard ? stage.guard->child.process() : stage.server.process();
    const Profile recording(process, profile);
    const double cpu_before = cpu_seconds_of(process);
    const Load load = run_load(port, kConnections, requests, 200);
    run.requests_per_s = static_cast<double>(count) / load.seconds;
    run.cpu_us = (cpu_seconds_of(process) - cpu_before) * 1e6 / static_cast<double>(count);
    run.p50_ms = load.percentile(0.50);
    run.p99_ms = load.percentile(0.99);
  }
  const Raw after = measure_raw(row, stage, requests);
  run.raw_sign_per_s = both(before.sign_per_s, after.sign_per_s);
  run.raw_verify_per_s = both(before.verify_per_s, after.verify_per_s);
  const double needed = row.signs / run.raw_sign_per_s + row.verifies / run.raw_verify_per_s;
  run.limit = row.answers == Answers::kGuardEcho ? both(before.echo_per_s, after.echo_per_s)
              : needed > 0                       ? 1 / needed
                                                 : 0;
  if (run.limit > 0) run.ratio = run.requests_per_s / run.limit;
  if (is_guard) {
    const std::vector<std::string> more = (stage.traffic.*row.requests)(count);
    run.paced_p99_ms =
        run_paced_load(port, kConnections, more, 200, 0.7 * run.requests_per_s).percentile(0.99);
  }
  return run;
}

void print(const Row& row, const std::vector<Run>& runs, double idle_megabytes) {
  std::vector<Run> sorted = runs;
  std::sort(sorted.begin(), sorted.end(), [](const Run& a, const Run& b) {
    return a.ratio < b.ratio || (a.ratio == b.ratio && a.requests_per_s < b.requests_per_s);
  });
  const Run& median = sorted[(sorted.size() - 1) / 2];
  std::printf("{\"row\":\"%s\",\"requests_per_s\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"cpu_us\":%.1f,",
              row.name, median.requests_per_s, median.p50_ms, median.p99_ms, median.cpu_us);
  if (median.limit > 0)
    std::printf("\"limit\":%.0f,\"ratio\":%.3f,", median.limit, median.ratio);
  else
    std::printf("\"limit\":null,\"ratio\":null,");
  const bool is_guard = row.answers == Answers::kGuard || row.answers == Answers::kGuardEcho;
  std::vector<double> paced;
  for (const Run& run : runs) paced.push_back(run.paced_p99_ms);
  std::sort(paced.begin(), paced.end());
  if (is_guard)
    std::printf("\"p99_ms_at_70_percent\":%.2f,\"idle_rss_mb\":%.1f,", paced[(paced.size() - 1) / 2],
                idle_megabytes);
  std::printf("\"raw_sign_per_s\":%.0f,\"raw_verify_per_s\":%.0f,\"runs\":[", median.raw_sign_per_s,
              median.raw_verify_per_s);
  for (const Run& run : runs) {
    std::printf("%s{\"requests_per_s\":%.0f,\"limit\":%.0f,\"ratio\":%.3f", &run == runs.data() ? "" : ",",
                run.requests_per_s, run.limit, run.ratio);
    if (is_guard) std::printf(",\"p99_ms_at_70_percent\":%.2f", run.paced_p99_ms);
    std::printf("}");
  }
  std::printf("]}\n");
  std::fflush(stdout);
}

int bench(const std::vector<std::string>& words) {
  size_t runs_wanted = 5;
  size_t count = 6000;
  std::string profile;
  std::vector<const Row*> rows;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--perf" && i + 1 < words.size()) {
      profile = words[++i];
      continue;
    }
    if (word == "--count" && i + 1 < words.size()) {
      count = std::stoul(words[++i]);
      continue;
    }
    if (word == "--quick") {
      runs_wanted = 1;
      count = 2000;
      continue;
    }
    const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                   [&](const Row& known) { return word == known.name; });
    if (row == std::end(kRows)) {
      std::fprintf(stderr, "usage: behalf-bench [--quick] [row...]\nrows:");
      for (const Row& known : kRows) std::fprintf(stderr, " %s", known.name);
      std::fprintf(stderr, "\n");
      return word == "--help" ? 0 : 2;
    }
    rows.push_back(row);
  }
  if (rows.empty()) {
    for (const Row& row : kRows) rows.push_back(&row);
  }

  pin_this_thread(kLoadCore);
  ::umask(077);
  const auto key = crypto::SigningKey::generate(crypto::Algorithm::kES256);
  const AgentKeys agents{{"agent-calendar", key},
                         {"agent-search", crypto::SigningKey::generate(crypto::Algorithm::kES256)}};
  const char* binary = std::getenv("BEHALF");
  const char* folder = std::getenv("BEHALF_BENCH_DIR");
  const std::string program = binary == nullptr ? "build/release/behalf" : binary;
  const Server server(program, folder == nullptr ? "build/bench" : folder, agents);
  std::optional<Listening> guard;
  std::optional<Listening> echo;
  std::optional<Decisions> decisions;
  double idle_megabytes = 0;
  if (std::any_of(rows.begin(), rows.end(),
                  [](const Row* row) { return row->answers != Answers::kServer; })) {
    guard.emplace(start_guard(program, server));
    echo.emplace(start_echo());
    idle_megabytes = guard->child.resident_megabytes();
    decisions.emplace(server);
  }
  Traffic traffic(server, agents);
  const Stage stage{server,
                    traffic,
                    key,
                    guard ? &*guard : nullptr,
                    echo ? &*echo : nullptr,
                    decisions ? &*decisions : nullptr};
  for (const Row* row : rows) measure(*row, count / 4, stage, {});  // warm
  std::vector<std::vector<Run>> runs(rows.size());
  for (size_t round = 0; round < runs_wanted; ++round) {
    for (size_t i = 0; i < rows.size(); ++i) runs[i].push_back(measure(*rows[i], count, stage, profile));
  }
  for (size_t i = 0; i < rows.size(); ++i) print(*rows[i], runs[i], idle_megabytes);
  return 0;
}

}  // namespace
}  // namespace behalf::bench

int main(int argc, char** argv) {
  try {
    return behalf::bench::bench({argv + 1, argv + argc});
  } catch (const std::exception& fault) {
    std::fprintf(stderr, "behalf-bench: %s\n", fault.what());
    return 1;
  }
}
