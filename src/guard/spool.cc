#include "guard/spool.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace behalf::guard {
namespace {

constexpr size_t kSegmentBytes = 8 * 1024 * 1024;
constexpr size_t kReadBytes = 1024 * 1024;
constexpr size_t kNameDigits = 20;
constexpr std::string_view kEnding = ".jsonl";

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

void make_durable(const std::vector<File>& files, const std::string& what) {
  int failure = 0;
  for (const File& file : files) {
    if (::fdatasync(file.get()) != 0) failure = errno;
  }
  if (failure == 0) return;
  throw std::system_error(failure, std::generic_category(), "cannot make records durable in " + what);
}

bool append_line(int file, std::string_view line) {
  std::string bytes;
  bytes.reserve(line.size() + 1);
  bytes.append(line).push_back('\n');
  ssize_t count = 0;
  do {
    count = ::write(file, bytes.data(), bytes.size());
  } while (count < 0 && errno == EINTR);
  if (count == static_cast<ssize_t>(bytes.size())) return true;
  if (count > 0) {
    // The disk took a part of it: that part must go again. If it cannot, the line break ends it.
    const off_t end = ::lseek(file, 0, SEEK_END);
    if (end < count || ::ftruncate(file, end - count) != 0) [[maybe_unused]]
      const auto tried = ::write(file, "\n", 1);
  }
  return false;
}

Spool::Spool(const std::string& folder, size_t max_bytes)
    : folder_(folder), max_bytes_(max_bytes), segment_bytes_(std::min(kSegmentBytes, max_bytes / 4)) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) fail("cannot make " + folder);
  lock_ = File(::open((folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_) fail("cannot use " + folder);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
    throw std::runtime_error(folder + " is used by another guard");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    uint64_t number = 0;
    const bool named = name.size() == kNameDigits + kEnding.size() && name.ends_with(kEnding);
    if (!named ||
        std::from_chars(name.data(), name.data() + kNameDigits, number).ptr != name.data() + kNameDigits)
      continue;
    segments_.push_back({number, std::filesystem::file_size(entry.path())});
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const Segment& a, const Segment& b) { return a.number < b.number; });
  read_mark();
  open_next();
}

std::string Spool::path_of(uint64_t number) const {
  std::string digits = std::to_string(number);
  digits.insert(0, kNameDigits - digits.size(), '0');
  return folder_ + "/" + digits + std::string(kEnding);
}

void Spool::open_next() {
  const uint64_t number = std::max(segments_.empty() ? 0 : segments_.back().number, mark_.segment) + 1;
  File next(::open(path_of(number).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
  if (!next) fail("cannot write to " + folder_);
  if (current_) unsynced_.push_back(std::move(current_));
  current_ = std::move(next);
  segments_.push_back({number, 0});
}

void Spool::read_mark() {
  std::ifstream file(folder_ + "/sent");
  if (!(file >> mark_.segment >> mark_.offset)) mark_ = Mark();
}

void Spool::write_mark() const {
  const std::string path = folder_ + "/sent";
  {
    std::ofstream file(path + ".new", std::ios::trunc);
    file << mark_.segment << ' ' << mark_.offset << '\n';
    if (!file.flush()) return;  // what was sent is sent again: the server knows the ids
  }
  ::rename((path + ".new").c_str(), path.c_str());
}

bool Spool::append(std::string_view line) {
  const std::lock_guard lock(mutex_);
  uint64_t total = line.size() + 1;
  for (const Segment& segment : segments_) total += segment.size;
  if (total > max_bytes_) return false;
  if (segments_.back().size > 0 && segments_.back().size + line.size() + 1 > segment_bytes_) {
    try {
      open_next();
    } catch (const std::system_error&) {
      return false;
    }
  }
  if (!append_line(current_.get(), line)) return false;
  segments_.back().size += line.size() + 1;
  return true;
}

void Spool::sync() {
  std::vector<File> files;
  {
    const std::lock_guard lock(mutex_);
    files.swap(unsynced_);
    files.emplace_back(::dup(current_.get()));
  }
  make_durable(files, folder_);
}

Spool::Batch Spool::peek(size_t max_lines, size_t max_bytes) {
  Batch batch;
  const std::lock_guard lock(mutex_);
  batch.end = mark_;
  size_t bytes = 0;
  for (const Segment& segment : segments_) {
    if (segment.number < batch.end.segment) continue;
    if (segment.number > batch.end.segment) batch.end = {segment.number, 0};
    File file(::open(path_of(segment.number).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) continue;
    std::string text(std::min<uint64_t>(kReadBytes, segment.size - std::min(segment.size, batch.end.offset)),
                     '\0');
    const ssize_t count = ::pread(file.get(), text.data(), text.size(), static_cast<off_t>(batch.end.offset));
    text.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
    std::string_view rest = text;
    for (;;) {
      const size_t end = rest.find('\n');
      if (end == std::string_view::npos) break;
      if (batch.lines.size() >= max_lines || (!batch.lines.empty() && bytes + end > max_bytes)) return batch;
      if (end > 0) batch.lines.emplace_back(rest.substr(0, end));
      bytes += end;
      batch.end.offset += end + 1;
      rest.remove_prefix(end + 1);
    }
    if (text.size() == kReadBytes && !batch.lines.empty()) return batch;
  }
  return batch;
}

void Spool::take(const Mark& end) {
  const std::lock_guard lock(mutex_);
  mark_ = end;
  write_mark();
  while (segments_.size() > 1 && segments_.front().number < mark_.segment) {
    ::unlink(path_of(segments_.front().number).c_str());
    segments_.pop_front();
  }
  // The segment that is read last and written no more has been taken whole.
  if (segments_.size() > 1 && segments_.front().number == mark_.segment &&
      mark_.offset >= segments_.front().size) {
    ::unlink(path_of(segments_.front().number).c_str());
    segments_.pop_front();
  }
}

size_t Spool::waiting_bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t total = 0;
  for (const Segment& segment : segments_) {
    if (segment.number > mark_.segment) total += segment.size;
    if (segment.number == mark_.segment) total += segment.size - std::min(segment.size, mark_.offset);
  }
  return total;
}

}  // namespace behalf::guard
