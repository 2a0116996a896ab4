#include "guard/policy_file.h"

#include <sys/stat.h>

#include <stdexcept>

#include "base/log.h"

namespace behalf::guard {

bool PolicyFile::Stamp::operator==(const Stamp& other) const {
  return changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec &&
         inode == other.inode && size == other.size;
}

PolicyFile::PolicyFile(std::string path, Use use)
    : path_(std::move(path)), use_(std::move(use)), stamp_(stamp()) {
  std::string fault;
  auto policy = load(fault);
  if (!policy) throw std::runtime_error(fault);
  for (const auto& warning : policy->warnings()) log_line("warning", warning.text);
  use_(std::move(policy));
}

PolicyFile::Stamp PolicyFile::stamp() const {
  struct stat status {};
  Stamp stamp;
  if (::stat(path_.c_str(), &status) != 0) return stamp;
  stamp.changed = status.st_mtim;
  stamp.inode = status.st_ino;
  stamp.size = status.st_size;
  return stamp;
}

std::shared_ptr<const sdk::Policy> PolicyFile::load(std::string& fault) const {
  std::vector<sdk::Policy::Fault> faults;
  auto policy = sdk::Policy::load(path_, faults);
  if (!policy) fault = faults.empty() ? path_ + ": cannot be read" : faults.front().text;
  return policy;
}

void PolicyFile::reload() {
  const std::lock_guard lock(mutex_);
  // Before the file is read: what changes meanwhile is seen next time.
  stamp_ = stamp();
  std::string fault;
  auto policy = load(fault);
  if (!policy) {
    log_fault("policy", fault + "; the policy in force stays");
    fault_ = std::move(fault);
    return;
  }
  fault_.clear();
  for (const auto& warning : policy->warnings()) log_line("warning", warning.text);
  log_line("info", "policy " + policy->version() + " is in force");
  use_(std::move(policy));
}

void PolicyFile::reload_if_changed() {
  {
    const std::lock_guard lock(mutex_);
    if (stamp() == stamp_) return;
  }
  reload();
}

std::string PolicyFile::fault() const {
  const std::lock_guard lock(mutex_);
  return fault_;
}

}  // namespace behalf::guard
