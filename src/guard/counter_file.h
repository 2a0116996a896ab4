// Rates and budgets that outlive the process: what has been counted is kept in a file, written anew beside
// the old one and moved into its place. A crash loses what was counted since the last time, seconds ago; a
// damaged file is an error and not a fresh start, for that would give every budget back.
#pragma once

#include <string>

#include "behalf/policy.h"

namespace behalf::guard {

class CounterFile {
 public:
  static constexpr sdk::Milliseconds kEvery = 10'000;

  // Reads the file if there is one; throws std::runtime_error if it cannot be read or is damaged. Keeps the
  // reference.
  CounterFile(std::string path, sdk::Policy::Counters& counters);

  // Writes if something has changed since the last time. A failure is logged, once.
  void save(sdk::Milliseconds now);
  // The same, if the last time is a while ago.
  void save_if_due(sdk::Milliseconds now);

 private:
  const std::string path_;
  sdk::Policy::Counters& counters_;
  std::string written_;  // the digest at the end of what is in the file
  sdk::Milliseconds saved_at_ = 0;
  bool is_troubled_ = false;
};

}  // namespace behalf::guard
