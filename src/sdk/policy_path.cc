#include "sdk/policy_path.h"

#include <algorithm>

#include "base/bytes.h"

namespace behalf::sdk::rules {
namespace {

constexpr bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// RFC 3986 §2.3.
constexpr bool is_unreserved(char c) {
  return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

// RFC 3986 §3.3 `pchar` without `%`. STRICTER: without `;`, which some routers cut off with all that follows.
constexpr bool is_plain(char c) {
  return is_unreserved(c) || std::string_view("!$&'()*+,=:@").find(c) != std::string_view::npos;
}

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_but_for_case(std::string_view one, std::string_view two) {
  return one.size() == two.size() &&
         std::equal(one.begin(), one.end(), two.begin(), [](char a, char b) { return lower(a) == lower(b); });
}

// FNV-1a; never 0.
uint32_t hash_without_case(std::string_view text) {
  uint32_t hash = 2166136261U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(lower(c))) * 16777619U;
  return hash == 0 ? 1 : hash;
}

// What an escape may stand for: what cannot be written plainly, and some that need not be escaped but often
// are. Not what another parser gives a meaning of its own.
constexpr bool may_be_escaped(char c) {
  if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  return !is_unreserved(c) && std::string_view("/\\%;?#").find(c) == std::string_view::npos;
}

constexpr auto kPlain = [] {
  std::array<bool, 256> table{};
  for (size_t i = 0; i < table.size(); ++i) table[i] = is_plain(static_cast<char>(i)) || i == '/';
  return table;
}();

}  // namespace

RequestPath::RequestPath(std::string_view raw) {
  complaint_ = read(raw);
  if (complaint_.empty() && size_ > 0) first_hash_ = hash_without_case(segments_[0]);
}

std::string_view RequestPath::read(std::string_view raw) {
  if (raw.empty() || raw[0] != '/') return "it does not begin with a slash";
  if (raw.size() > kMaxBytes) return "it is too long";
  std::string_view text = raw;
  const auto odd =
      std::find_if(raw.begin(), raw.end(), [](char c) { return !kPlain[static_cast<unsigned char>(c)]; });
  if (odd != raw.end()) {
    bool has_high_bytes = false;
    decoded_.reserve(raw.size());
    for (size_t i = 0; i < raw.size(); ++i) {
      const char c = raw[i];
      if (c != '%') {
        if (!kPlain[static_cast<unsigned char>(c)]) return "it has a character that no path has";
        decoded_.push_back(c);
        continue;
      }
      const int high = i + 2 < raw.size() ? hex_value(raw[i + 1]) : -1;
      const int low = i + 2 < raw.size() ? hex_value(raw[i + 2]) : -1;
      if (high < 0 || low < 0) return "it has a percent sign that escapes nothing";
      const char byte = static_cast<char>(high * 16 + low);
      if (!may_be_escaped(byte)) return "it escapes a character that two routers could read differently";
      has_high_bytes = has_high_bytes || static_cast<unsigned char>(byte) >= 0x80;
      decoded_.push_back(byte);
      i += 2;
    }
    if (has_high_bytes && !is_utf8(decoded_)) return "what it escapes is not UTF-8";
    text = decoded_;
  }
  text.remove_prefix(1);
  while (!text.empty()) {
    const size_t slash = text.find('/');
    const std::string_view segment = text.substr(0, slash);
    if (segment.empty()) return "it has an empty segment";
    if (segment == "." || segment == "..") return "it has a dot segment";
    if (size_ == kMaxSegments) return "it has too many segments";
    segments_[size_++] = segment;
    if (slash == std::string_view::npos) break;
    text.remove_prefix(slash + 1);
    has_last_slash_ = text.empty();
  }
  return {};
}

std::string PathTemplate::parse(std::string_view text, PathTemplate& result) {
  result = PathTemplate();
  result.text_ = std::string(text);
  const auto complain = [&](const std::string& what) { return "path \"" + result.text_ + "\" " + what; };
  if (text.empty() || text[0] != '/') return complain("must begin with a slash");
  text.remove_prefix(1);
  while (!text.empty()) {
    const size_t slash = text.find('/');
    const std::string_view segment = text.substr(0, slash);
    const bool is_last = slash == std::string_view::npos;
    if (segment.empty()) return complain("has an empty segment, which no request may have");
    if (segment == "." || segment == "..") return complain("has a dot segment, which no request may have");
    if (result.segments_.size() == RequestPath::kMaxSegments) return complain("has too many segments");
    if (segment == "**") {
      if (!is_last) return complain("has ** before its end");
      result.takes_rest_ = true;
    } else if (segment[0] == '{') {
      const std::string_view name = segment.substr(1, segment.size() - 2);
      const bool is_name = segment.size() > 2 && segment.back() == '}' &&
                           std::all_of(name.begin(), name.end(),
                                       [](char c) { return is_letter_or_digit(c) || c == '_' || c == '-'; });
      if (!is_name) return complain("must write a variable as a whole segment, such as {id}");
      result.segments_.push_back({});
    } else if (segment.find('*') != std::string_view::npos) {
      return complain("has a *; write {name} for one segment, ** at the end for the rest");
    } else if (!std::all_of(segment.begin(), segment.end(), is_plain)) {
      return complain("has a character that is not matched as written; use {name} for such a segment");
    } else {
      result.segments_.push_back({std::string(segment)});
    }
    if (is_last) break;
    text.remove_prefix(slash + 1);
    result.has_last_slash_ = text.empty();
  }
  if (!result.segments_.empty() && !result.segments_[0].literal.empty())
    result.first_hash_ = hash_without_case(result.segments_[0].literal);
  return {};
}

PathMatch PathTemplate::match(const RequestPath& path) const {
  const size_t wanted = segments_.size();
  if (takes_rest_ ? path.size() < wanted : path.size() != wanted) return PathMatch::kNone;
  PathMatch result = PathMatch::kExact;
  for (size_t i = 0; i < wanted; ++i) {
    const std::string& literal = segments_[i].literal;
    if (literal.empty() || literal == path.segment(i)) continue;
    if (!equal_but_for_case(literal, path.segment(i))) return PathMatch::kNone;
    result = PathMatch::kLoose;
  }
  if (!takes_rest_ && path.has_last_slash() != has_last_slash_) result = PathMatch::kLoose;
  return result;
}

bool PathTemplate::covers(const PathTemplate& other) const {
  const size_t wanted = segments_.size();
  if (takes_rest_ ? other.segments_.size() < wanted : other.takes_rest_ || other.segments_.size() != wanted)
    return false;
  for (size_t i = 0; i < wanted; ++i) {
    const std::string& literal = segments_[i].literal;
    if (!literal.empty() && !equal_but_for_case(literal, other.segments_[i].literal)) return false;
  }
  return true;
}

}  // namespace behalf::sdk::rules
