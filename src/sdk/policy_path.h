// Paths: what a request's raw path says, and which of a policy's templates it is.
//
// Guard and API must read the same bytes the same way. A path that two routers could read differently is no
// path at all here, and no rule matches it: doubled slashes, dot segments, `;`, encoded slashes, dots,
// percent signs and letters (RFC 3986 §2.3: they mean the plain letter), control characters, bytes that are
// not UTF-8. Routers also differ over letter case and a last slash; a template that is met but for those is
// met loosely, and the rule refuses.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace behalf::sdk::rules {

class RequestPath {
 public:
  static constexpr size_t kMaxSegments = 64;
  static constexpr size_t kMaxBytes = 8 * 1024;

  explicit RequestPath(std::string_view raw);
  // Segments point into it.
  RequestPath(const RequestPath&) = delete;
  RequestPath& operator=(const RequestPath&) = delete;

  // Why no rule can match it; empty: it is fine.
  std::string_view complaint() const { return complaint_; }
  size_t size() const { return size_; }
  std::string_view segment(size_t index) const { return segments_[index]; }  // decoded
  bool has_last_slash() const { return has_last_slash_; }
  // Of the first segment, whatever the case of its letters.
  uint32_t first_hash() const { return first_hash_; }

 private:
  std::string_view read(std::string_view raw);
  std::string_view complaint_;
  std::string decoded_;  // the whole path, if anything in it was encoded
  std::array<std::string_view, kMaxSegments> segments_;
  size_t size_ = 0;
  bool has_last_slash_ = false;
  uint32_t first_hash_ = 0;
};

enum class PathMatch { kNone, kLoose, kExact };

// "/calendars/{id}/events/**": literal segments, `{name}` for one, `**` at the end for the rest, which may be
// empty.
class PathTemplate {
 public:
  // A template, or the complaint why it is none.
  static std::string parse(std::string_view text, PathTemplate& result);

  PathMatch match(const RequestPath& path) const;
  // True if this one takes every path that `other` takes, exactly or loosely.
  bool covers(const PathTemplate& other) const;
  // Of the first segment as RequestPath::first_hash has it; 0: any will do.
  uint32_t first_hash() const { return first_hash_; }
  const std::string& text() const { return text_; }

 private:
  struct Segment {
    std::string literal;  // empty: `{name}`
  };
  std::string text_;
  std::vector<Segment> segments_;
  bool takes_rest_ = false;
  bool has_last_slash_ = false;
  uint32_t first_hash_ = 0;
};

}  // namespace behalf::sdk::rules
