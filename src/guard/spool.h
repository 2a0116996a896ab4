// Records that wait on disk until the server has them: lines in numbered segments, and a mark up to which all
// have been taken.
//
// A line is with the operating system when append() returns, so it outlives this process; sync() makes it
// outlive the machine. What is torn at the end of a segment (a machine that stopped while writing) is left
// out. A line may be sent again after a crash, never lost: the server takes each id once.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "http/sockets.h"

namespace behalf::guard {

using File = http::Descriptor;

// Appends all of `line` and a line break, or nothing of it; false: it could not.
bool append_line(int file, std::string_view line);

// Waits until all of them are on the disk. Throws std::system_error, after all have been tried.
void make_durable(const std::vector<File>& files, const std::string& what);

class Spool {
 public:
  // Opens or makes the folder; throws std::runtime_error if it cannot, or if another process uses it.
  Spool(const std::string& folder, size_t max_bytes);

  // False: full, or the disk failed.
  bool append(std::string_view line);
  // Makes all that was appended before durable; throws std::system_error.
  void sync();

  struct Mark {
    uint64_t segment = 0;
    uint64_t offset = 0;
  };
  struct Batch {
    std::vector<std::string> lines;
    Mark end;
  };
  // The oldest lines that were not taken yet; none: nothing waits.
  Batch peek(size_t max_lines, size_t max_bytes);
  // Everything before `end` has been taken.
  void take(const Mark& end);

  size_t waiting_bytes() const;
  const std::string& folder() const { return folder_; }
  size_t max_bytes() const { return max_bytes_; }

 private:
  struct Segment {
    uint64_t number = 0;
    uint64_t size = 0;
  };
  std::string path_of(uint64_t number) const;
  void open_next();
  void read_mark();
  void write_mark() const;

  const std::string folder_;
  const size_t max_bytes_;
  const size_t segment_bytes_;
  File lock_;
  mutable std::mutex mutex_;
  std::deque<Segment> segments_;  // oldest first; the last is written to
  File current_;
  std::vector<File> unsynced_;  // sealed since the last sync()
  Mark mark_;
};

}  // namespace behalf::guard
