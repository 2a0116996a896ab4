#include "guard/counter_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "base/log.h"

namespace behalf::guard {
namespace {

constexpr size_t kDigestBytes = 32;

std::string tail_of(const std::string& saved) { return saved.substr(saved.size() - kDigestBytes); }

// An empty text, or why it did not work.
std::string write_durably(const std::string& path, const std::string& bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return std::strerror(errno);
  std::string trouble;
  for (size_t done = 0; done < bytes.size() && trouble.empty();) {
    const ssize_t count = ::write(file, bytes.data() + done, bytes.size() - done);
    if (count > 0)
      done += static_cast<size_t>(count);
    else if (count == 0 || errno != EINTR)
      trouble = std::strerror(errno);
  }
  if (trouble.empty() && ::fsync(file) != 0) trouble = std::strerror(errno);
  if (::close(file) != 0 && trouble.empty()) trouble = std::strerror(errno);
  return trouble;
}

}  // namespace

CounterFile::CounterFile(std::string path, sdk::Policy::Counters& counters)
    : path_(std::move(path)), counters_(counters) {
  std::error_code fault;
  if (!std::filesystem::exists(path_, fault) && !fault) return;
  std::ifstream file(path_, std::ios::binary);
  const std::string saved{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) throw std::runtime_error("cannot read " + path_);
  if (!counters_.restore(saved))
    throw std::runtime_error(
        path_ + " is damaged: without it, every rate and budget begins anew; if that is well, remove it");
  written_ = tail_of(saved);
}

void CounterFile::save(sdk::Milliseconds now) {
  saved_at_ = now;
  const std::string bytes = counters_.save(now);
  if (tail_of(bytes) == written_) return;
  const std::string beside = path_ + ".new";
  std::string trouble = write_durably(beside, bytes);
  if (trouble.empty() && ::rename(beside.c_str(), path_.c_str()) != 0) trouble = std::strerror(errno);
  if (trouble.empty()) written_ = tail_of(bytes);
  if (!trouble.empty() && !is_troubled_) log_fault("counters", "cannot write " + path_ + ": " + trouble);
  is_troubled_ = !trouble.empty();
}

void CounterFile::save_if_due(sdk::Milliseconds now) {
  // A clock that was set back must not stop it.
  if (now < saved_at_ || now >= saved_at_ + kEvery) save(now);
}

}  // namespace behalf::guard
