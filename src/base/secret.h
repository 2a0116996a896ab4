// Text that must not be seen: wiped when it goes, never printable, equal only in constant time.
#pragma once

#include <string>
#include <string_view>

namespace behalf {

// True if equal. The time taken depends on the lengths only.
bool constant_time_equal(std::string_view left, std::string_view right);

// Overwrites the bytes in a way the compiler may not remove.
void wipe(std::string& text);

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { wipe(other.text_); }
  Secret& operator=(Secret&& other) noexcept {
    wipe(text_);
    text_ = std::move(other.text_);
    wipe(other.text_);
    return *this;
  }
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { wipe(text_); }

  // The one way out; search for `reveal` to find every place that handles a secret in clear.
  std::string_view reveal() const { return text_; }
  bool empty() const { return text_.empty(); }
  friend bool operator==(const Secret& left, const Secret& right) {
    return constant_time_equal(left.text_, right.text_);
  }

 private:
  std::string text_;
};

}  // namespace behalf
