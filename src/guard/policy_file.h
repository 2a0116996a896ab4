// The policy file while it is in force: noticed when it changes, and never replaced by one with faults.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "behalf/policy.h"

namespace behalf::guard {

class PolicyFile {
 public:
  using Use = std::function<void(std::shared_ptr<const sdk::Policy>)>;
  // Reads it and hands it to `use`; throws std::runtime_error with the first fault.
  PolicyFile(std::string path, Use use);

  // Reads it again; with faults, they are logged and kept in fault(), and nothing changes.
  void reload();
  // Reads it again if the file is another one than before.
  void reload_if_changed();
  // The first fault of the newest file; empty: it is in force.
  std::string fault() const;

 private:
  struct Stamp {
    timespec changed{};
    uint64_t inode = 0;
    int64_t size = -1;
    bool operator==(const Stamp& other) const;
  };
  Stamp stamp() const;
  std::shared_ptr<const sdk::Policy> load(std::string& fault) const;

  const std::string path_;
  Use use_;
  mutable std::mutex mutex_;
  Stamp stamp_;
  std::string fault_;
};

}  // namespace behalf::guard
