#include "guard/journal.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <system_error>

#include "base/bytes.h"
#include "base/log.h"

namespace behalf::guard {
namespace {

constexpr size_t kPrintBytes = 8 * 1024 * 1024;
constexpr std::chrono::seconds kSyncEvery{1};
constexpr int kWhenOthersRest = 10;  // of Linux, a priority is a thread's

File open_log(const std::string& path) {
  File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file) throw std::system_error(errno, std::generic_category(), "cannot write to " + path);
  return file;
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

Journal::Journal(const EvidenceSettings& settings, Random& random) : settings_(settings) {
  std::array<unsigned char, 12> run{};
  random.fill(run);
  run_ = base64url(run);
  if (settings_.send) spool_ = std::make_unique<Spool>(settings_.spool, settings_.max_spool);
  if (settings_.file == "-") {
    printer_ = std::thread([this] { print_all(); });
  } else if (!settings_.file.empty()) {
    file_ = open_log(settings_.file);
  }
  if (settings_.durability != Durability::kKernel && (spool_ || file_))
    syncer_ = std::thread([this] { keep_durable(); });
}

Journal::~Journal() {
  {
    const std::lock_guard lock(sync_mutex_);
    const std::lock_guard also(print_mutex_);
    stopping_ = true;
  }
  sync_wanted_.notify_all();
  print_wanted_.notify_all();
  if (syncer_.joinable()) syncer_.join();
  if (printer_.joinable()) printer_.join();
}

std::string Journal::next_id() { return run_ + "-" + std::to_string(++number_); }

Journal::Turn Journal::lines_of(Record& record) {
  record.id = next_id();
  Turn turn{.plain = json_line(record), .line = {}, .handle = {}};
  if (settings_.format == RecordFormat::kOcsf && !settings_.file.empty()) turn.line = ocsf_line(record);
  return turn;
}

bool Journal::hand_over(const std::string& plain, const std::string& line) {
  bool taken = !spool_ || spool_->append(plain);
  if (taken && !settings_.file.empty()) {
    const std::string& text = line.empty() ? plain : line;
    if (settings_.file == "-") {
      taken = print(text);
    } else {
      const std::lock_guard lock(file_mutex_);
      taken = append_line(file_.get(), text);
    }
  }
  if (!taken && !full_.exchange(true))
    log_fault("evidence", "a record could not be kept: no room, or the disk failed");
  if (taken && full_.exchange(false)) log_line("info", "records can be kept again");
  return taken;
}

// A loop that is busy answers many in one turn; one write for all of them costs little more than one for each
// of them alone.
void Journal::wait_written(Written& waiting, std::coroutine_handle<> handle) {
  Loop* loop = Loop::current();
  waiting.turn.handle = handle;
  waiting.turn.good = &waiting.good;
  const std::lock_guard lock(turn_mutex_);
  std::vector<Turn>& turn = turns_[loop];
  turn.push_back(std::move(waiting.turn));
  if (turn.size() == 1) loop->post([this, loop] { write_turn(loop); });
}

void Journal::write_turn(Loop* loop) {
  std::vector<Turn> turn;
  {
    const std::lock_guard lock(turn_mutex_);
    turn.swap(turns_[loop]);
  }
  std::string plain;
  std::string line;
  for (const Turn& each : turn) {
    if (!plain.empty()) plain.push_back('\n');
    plain += each.plain;
    if (each.line.empty()) continue;
    if (!line.empty()) line.push_back('\n');
    line += each.line;
  }
  const auto is_taken = [this](const std::string& plain_text, const std::string& line_text) {
    try {
      return hand_over(plain_text, line_text);
    } catch (const std::exception& fault) {
      log_fault("evidence", fault.what());
      return false;
    }
  };
  const bool all = is_taken(plain, line);
  // Where there is no room for all there may be for some.
  for (Turn& each : turn) *each.good = all || (turn.size() > 1 && is_taken(each.plain, each.line));
  for (const Turn& each : turn) each.handle.resume();
}

Task<bool> Journal::keep(Record& record) {
  Turn turn = lines_of(record);
  bool taken = false;
  if (Loop::current() == nullptr) {
    taken = hand_over(turn.plain, turn.line);
  } else {
    Written written{*this, std::move(turn)};
    taken = co_await written;
  }
  if (!taken) {
    if (settings_.drop_when_full) ++dropped_;
    co_return settings_.drop_when_full;
  }
  if (settings_.durability != Durability::kAnswer || !syncer_.joinable()) co_return true;
  Durable durable{*this};
  const bool good = co_await durable;
  co_return good || settings_.drop_when_full;
}

void Journal::note(Record& record) {
  const Turn turn = lines_of(record);
  if (!hand_over(turn.plain, turn.line)) ++dropped_;
}

void Journal::reopen() {
  if (settings_.file.empty() || settings_.file == "-") return;
  File next = open_log(settings_.file);
  const std::lock_guard lock(file_mutex_);
  if (file_ && syncer_.joinable()) unsynced_.push_back(std::move(file_));
  file_ = std::move(next);
}

// What is made durable is held meanwhile, and not the lock: a disk takes its time, and records go on.
void Journal::sync_file() {
  std::vector<File> files;
  {
    const std::lock_guard lock(file_mutex_);
    files.swap(unsynced_);
    if (file_) files.emplace_back(::dup(file_.get()));
  }
  make_durable(files, settings_.file);
}

void Journal::wait_durable(std::coroutine_handle<> handle, bool* good) {
  {
    const std::lock_guard lock(sync_mutex_);
    waiters_.push_back({Loop::current(), handle, good});
  }
  sync_wanted_.notify_one();
}

// One fsync serves all who wait for one.
void Journal::keep_durable() {
  // Writing out what a busy second has left takes milliseconds of a processor, and nobody waits for it.
  if (settings_.durability != Durability::kAnswer) ::setpriority(PRIO_PROCESS, 0, kWhenOthersRest);
  for (;;) {
    std::vector<Waiter> waiters;
    bool last = false;
    {
      std::unique_lock lock(sync_mutex_);
      const auto wanted = [this] { return stopping_ || !waiters_.empty(); };
      if (settings_.durability == Durability::kAnswer) {
        sync_wanted_.wait(lock, wanted);
      } else {
        sync_wanted_.wait_for(lock, kSyncEvery, wanted);
      }
      waiters.swap(waiters_);
      last = stopping_;
    }
    bool good = true;
    try {
      if (spool_) spool_->sync();
      sync_file();
    } catch (const std::system_error& fault) {
      good = false;
      log_fault("evidence", fault.what());
    }
    for (const Waiter& waiter : waiters) {
      *waiter.good = good;
      waiter.loop->post([handle = waiter.handle] { handle.resume(); });
    }
    if (last) return;
  }
}

// --- Standard output: may block, so it has a thread, and what waits for it is bounded ---

bool Journal::print(std::string line) {
  line.push_back('\n');
  {
    const std::lock_guard lock(print_mutex_);
    if (line_bytes_ + line.size() > kPrintBytes) return false;
    line_bytes_ += line.size();
    lines_.push_back(std::move(line));
  }
  print_wanted_.notify_one();
  return true;
}

void Journal::print_all() {
  for (;;) {
    std::string bytes;
    {
      std::unique_lock lock(print_mutex_);
      print_wanted_.wait(lock, [this] { return stopping_ || !lines_.empty(); });
      if (lines_.empty()) return;
      for (const std::string& line : lines_) bytes += line;
      lines_.clear();
    }
    write_all(STDOUT_FILENO, bytes);
    const std::lock_guard lock(print_mutex_);
    line_bytes_ -= bytes.size();
  }
}

}  // namespace behalf::guard
