// The outside world, passed in: what time it is, and where unpredictable bytes come from.
// Nothing else in the product may ask the operating system for either; tools/check_layers.py looks.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/time.h"

namespace behalf {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual UnixTime now() const = 0;
  // Never goes back and never jumps; says nothing about the date.
  virtual int64_t steady_microseconds() const = 0;
};

class Random {
 public:
  virtual ~Random() = default;
  // Fills `out` with unpredictable bytes or throws; there is no weaker fallback. Thread-safe.
  virtual void fill(std::span<unsigned char> out) = 0;
};

class SystemClock final : public Clock {
 public:
  UnixTime now() const override;
  int64_t steady_microseconds() const override;
};

// Milliseconds of a clock that never steps back and goes on while the machine sleeps: for "how old is what I
// know", where sleeping must count.
int64_t awake_or_asleep_milliseconds();

}  // namespace behalf
