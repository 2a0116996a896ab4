// Where records go: a file or standard output, and the spool for the server. Every record is handed over
// before its answer leaves; if that cannot be done, there is no answer (or, if the operator wants it so, it
// is counted).
#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/environment.h"
#include "base/loop.h"
#include "base/task.h"
#include "guard/config.h"
#include "guard/record.h"
#include "guard/spool.h"

namespace behalf::guard {

class Journal {
 public:
  Journal(const EvidenceSettings& settings, Random& random);
  // Writes what waits for standard output, and makes the rest durable.
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Gives the record its id and hands it over; false: it could not be, and the answer must be no. What comes
  // in one turn of a loop is written together, so this waits for the end of the turn (and for the disk, where
  // records are durable before their answers); `record` must be there until then.
  Task<bool> keep(Record& record);
  // The same for what has no answer; a failure is counted.
  void note(Record& record);
  // The file may have been moved away: begins a new one.
  void reopen();

  Spool* spool() { return spool_.get(); }
  size_t waiting_bytes() const { return spool_ ? spool_->waiting_bytes() : 0; }
  uint64_t dropped() const { return dropped_; }
  // True if the last record could not be handed over.
  bool is_full() const { return full_; }

 private:
  struct Waiter {
    Loop* loop = nullptr;
    std::coroutine_handle<> handle;
    bool* good = nullptr;
  };
  // A record of this turn of a loop, and who waits for it to be written.
  struct Turn {
    std::string plain;  // a line, without its end
    std::string line;   // the same in the file's format; empty: the same text
    std::coroutine_handle<> handle;
    bool* good = nullptr;
  };
  struct Written {
    Journal& journal;
    Turn turn;
    bool good = false;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { journal.wait_written(*this, handle); }
    bool await_resume() const { return good; }
  };
  struct Durable {
    Journal& journal;
    bool good = false;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { journal.wait_durable(handle, &good); }
    bool await_resume() const { return good; }
  };

  // The lines of a record, which gets its id.
  Turn lines_of(Record& record);
  // One or more lines.
  bool hand_over(const std::string& plain, const std::string& line);
  void wait_written(Written& waiting, std::coroutine_handle<> handle);
  void write_turn(Loop* loop);
  bool print(std::string line);
  void wait_durable(std::coroutine_handle<> handle, bool* good);
  void keep_durable();
  void sync_file();
  void print_all();
  std::string next_id();

  const EvidenceSettings settings_;
  std::string run_;  // of this process: the first half of every id
  std::atomic<uint64_t> number_ = 0;
  std::atomic<uint64_t> dropped_ = 0;
  std::atomic<bool> full_ = false;
  std::unique_ptr<Spool> spool_;

  std::mutex turn_mutex_;
  std::unordered_map<Loop*, std::vector<Turn>> turns_;

  std::mutex file_mutex_;
  File file_;
  std::vector<File> unsynced_;  // that were moved away

  std::mutex sync_mutex_;
  std::condition_variable sync_wanted_;
  std::vector<Waiter> waiters_;
  bool stopping_ = false;
  std::thread syncer_;

  std::mutex print_mutex_;
  std::condition_variable print_wanted_;
  std::deque<std::string> lines_;
  size_t line_bytes_ = 0;
  std::thread printer_;
};

}  // namespace behalf::guard
