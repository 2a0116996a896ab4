#include "base/json.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/blocks.h"

namespace behalf::json {
namespace {

// Names of one length often begin alike and seldom end alike.
bool same_name(std::string_view one, std::string_view other) {
  return one.size() == other.size() && (one.empty() || (one.back() == other.back() && one == other));
}

// Builds our tree from Boost.JSON's events; the only place that sees duplicates before they are gone.
struct Builder {
  static constexpr size_t max_object_size = 1024;
  static constexpr size_t max_array_size = 16 * 1024;
  static constexpr size_t max_key_size = 4 * 1024;
  static constexpr size_t max_string_size = 1024 * 1024;
  static constexpr size_t kFirstMembers = 4;

  using error_code = boost::json::error_code;
  using string_view = boost::json::string_view;

  std::vector<Value> open;  // an object's last member is the one whose value comes next
  std::string text;
  Value document;

  static bool refuse(error_code& fault) {
    fault = boost::json::error::syntax;
    return false;
  }
  bool put(Value value) {
    if (open.empty()) {
      document = std::move(value);
    } else if (Value::Array* array = open.back().array()) {
      array->push_back(std::move(value));
    } else {
      open.back().object()->back().value = std::move(value);
    }
    return true;
  }
  bool close() {
    Value value = std::move(open.back());
    open.pop_back();
    return put(std::move(value));
  }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  static bool has_duplicates(const Value::Object& members) {
    // Up to here comparing each with each is cheaper than sorting them: most differ in length already.
    constexpr size_t kFew = 32;
    if (members.size() <= kFew) {
      for (size_t i = 1; i < members.size(); ++i) {
        for (size_t k = 0; k < i; ++k) {
          if (same_name(members[i].name, members[k].name)) return true;
        }
      }
      return false;
    }
    std::vector<std::string_view> seen;
    seen.reserve(members.size());
    for (const Member& member : members) seen.push_back(member.name);
    std::sort(seen.begin(), seen.end());
    return std::adjacent_find(seen.begin(), seen.end()) != seen.end();
  }

  bool on_object_begin(error_code&) {
    open.emplace_back(Value::Object{});
    return true;
  }
  bool on_object_end(size_t, error_code& fault) {
    return has_duplicates(*open.back().object()) ? refuse(fault) : close();
  }
  bool on_array_begin(error_code&) {
    open.emplace_back(Value::Array{});
    return true;
  }
  bool on_array_end(size_t, error_code&) { return close(); }
  bool on_key_part(string_view part, size_t, error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_key(string_view part, size_t, error_code& fault) {
    text.append(part.data(), part.size());
    if (text.find('\0') != std::string::npos) return refuse(fault);
    Value::Object& members = *open.back().object();
    // Grown by doubling from one, a token's claims would be moved five times.
    if (members.capacity() == members.size())
      members.reserve(members.empty() ? kFirstMembers : members.size() * 4);
    members.push_back({std::move(text), Value()});
    text.clear();
    return true;
  }
  bool on_string_part(string_view part, size_t, error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_string(string_view part, size_t, error_code& fault) {
    text.append(part.data(), part.size());
    if (text.find('\0') != std::string::npos) return refuse(fault);
    Value value(std::move(text));
    text.clear();
    return put(std::move(value));
  }
  bool on_number_part(string_view part, error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t value, string_view, error_code&) {
    text.clear();
    return put(Value(value));
  }
  bool on_uint64(uint64_t value, string_view, error_code&) {
    text.clear();
    return put(Value(static_cast<double>(value)));
  }
  // Boost.JSON rounds a long number to a neighbour of the nearest double; written and read again it would
  // move once more. What is read here is the nearest, so that a text read twice is the same value.
  bool on_double(double value, string_view part, error_code& fault) {
    text.append(part.data(), part.size());
    double nearest = value;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), nearest);
    if (read.ec == std::errc()) value = nearest;
    text.clear();
    return std::isfinite(value) ? put(Value(value)) : refuse(fault);
  }
  bool on_bool(bool value, error_code&) { return put(Value(value)); }
  bool on_null(error_code&) { return put(Value()); }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }
};

void write_to(std::string& out, const Value& value, int indent) {
  const auto line = [&](int depth) {
    if (indent < 0) return;
    out.push_back('\n');
    out.append(static_cast<size_t>(depth) * 2, ' ');
  };
  const int inner = indent < 0 ? -1 : indent + 1;
  if (value.is_null()) {
    out += "null";
  } else if (const bool* boolean = value.boolean()) {
    out += *boolean ? "true" : "false";
  } else if (const int64_t* integer = value.integer()) {
    append_integer(out, *integer);
  } else if (const double* number = value.number()) {
    char digits[32];
    const char* end = std::to_chars(digits, digits + sizeof digits, *number).ptr;
    const std::string_view shortest(digits, static_cast<size_t>(end - digits));
    out += shortest;
    // Stays a number with a fraction, so that reading it again gives the same value.
    if (shortest.find_first_of(".e") == std::string_view::npos) out += ".0";
  } else if (const std::string* string = value.string()) {
    append_string(out, *string);
  } else if (const Value::Array* array = value.array()) {
    out.push_back('[');
    for (size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out.push_back(',');
      line(inner);
      write_to(out, (*array)[i], inner);
    }
    if (!array->empty()) line(indent);
    out.push_back(']');
  } else if (const Value::Object* object = value.object()) {
    out.push_back('{');
    for (size_t i = 0; i < object->size(); ++i) {
      if (i > 0) out.push_back(',');
      line(inner);
      append_string(out, (*object)[i].name);
      out += indent < 0 ? ":" : ": ";
      write_to(out, (*object)[i].value, inner);
    }
    if (!object->empty()) line(indent);
    out.push_back('}');
  }
}

}  // namespace

bool Value::operator==(const Value& other) const { return data_ == other.data_; }

const Value* Value::find(std::string_view name) const {
  const Object* members = object();
  if (members == nullptr) return nullptr;
  for (const Member& member : *members) {
    if (same_name(member.name, name)) return &member.value;
  }
  return nullptr;
}

std::string text_of(const Value& value, std::string_view name) {
  const std::string* text = value.find_string(name);
  return text == nullptr ? std::string() : *text;
}

int64_t number_of(const Value& value, std::string_view name) { return value.find_integer(name).value_or(0); }

bool flag_of(const Value& value, std::string_view name) {
  const Value* flag = value.find(name);
  return flag != nullptr && flag->boolean() != nullptr && *flag->boolean();
}

const Value::Array& list_of(const Value& value, std::string_view name) {
  static const Value::Array kNone;
  const Value* list = value.find(name);
  return list == nullptr || list->array() == nullptr ? kNone : *list->array();
}

const std::string* Value::find_string(std::string_view name) const {
  const Value* value = find(name);
  return value == nullptr ? nullptr : value->string();
}

std::optional<int64_t> Value::find_integer(std::string_view name) const {
  const Value* value = find(name);
  if (value == nullptr || value->integer() == nullptr) return std::nullopt;
  return *value->integer();
}

void Value::set(std::string_view name, Value value) {
  if (object() == nullptr) data_ = Object{};
  for (Member& member : *object()) {
    if (member.name != name) continue;
    member.value = std::move(value);
    return;
  }
  object()->push_back({std::string(name), std::move(value)});
}

void Value::remove(std::string_view name) {
  if (Object* members = object()) std::erase_if(*members, [&](const Member& m) { return m.name == name; });
}

std::optional<Value> parse(std::string_view text, Limits limits) {
  if (text.empty() || text.size() > limits.bytes) return std::nullopt;
  boost::json::parse_options options;
  options.max_depth = limits.depth;
  boost::json::basic_parser<Builder> parser(options);
  boost::json::error_code fault;
  const size_t used = parser.write_some(false, text.data(), text.size(), fault);
  if (fault || used != text.size() || !parser.done()) return std::nullopt;
  return std::move(parser.handler().document);
}

std::string write(const Value& value) {
  std::string out;
  write_to(out, value, -1);
  return out;
}

std::string write_pretty(const Value& value) {
  std::string out;
  write_to(out, value, 0);
  return out;
}

namespace {

// True only if none of these eight bytes needs an escape (and sometimes false although none does).
bool are_plain(uint64_t eight) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighs = 0x8080808080808080;
  // The high bit of a byte is set in (x - n) & ~x if x < n, for bytes below 0x80; borrows only add doubt.
  const auto less = [&](uint64_t x, uint64_t n) { return (x - kOnes * n) & ~x & kHighs; };
  const auto equal = [&](uint64_t n) { return less(eight ^ (kOnes * n), 1); };
  return (less(eight, 0x20) | equal('"') | equal('\\') | equal(0x7F)) == 0;
}

Block needing_escape(Block block) {
  return mask(block < 0x20) | mask(block == '"') | mask(block == '\\') | mask(block == 0x7F);
}

template <class Word>
uint64_t load(const char* text) {
  Word word = 0;
  std::memcpy(&word, text, sizeof word);
  return word;
}

// The same for a text of any length: nearly every text that is written needs no escape, and most are short.
// What does not fill the last word or block is read so that bytes overlap rather than one by one; spaces fill
// up.
bool is_plain(std::string_view text) {
  constexpr uint64_t kSpaces = 0x2020202020202020;
  const char* at = text.data();
  const size_t size = text.size();
  if (size >= kBlock) return !any_in(at, size, needing_escape);
  if (size >= 8) return are_plain(load<uint64_t>(at)) && are_plain(load<uint64_t>(at + size - 8));
  if (size >= 4) return are_plain(load<uint32_t>(at) | load<uint32_t>(at + size - 4) << 32);
  if (size >= 2) return are_plain(load<uint16_t>(at) | load<uint16_t>(at + size - 2) << 16 | (kSpaces << 32));
  return size == 0 || are_plain(load<uint8_t>(at) | (kSpaces << 8));
}

void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  size_t plain_from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F) continue;
    out.append(text, plain_from, i - plain_from);
    plain_from = i + 1;
    switch (byte) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out.push_back(kDigits[byte >> 4]);
        out.push_back(kDigits[byte & 15]);
    }
  }
  out.append(text, plain_from, text.size() - plain_from);
}

// A string cannot grow without being filled first, and each append is a call: short texts, which most are,
// are put together beside it.
[[gnu::always_inline]] inline void append_around(std::string& out, std::string_view before,
                                                 std::string_view text, std::string_view after) {
  constexpr size_t kShort = 64;
  if (text.size() > kShort) {
    out.append(before).append(text).append(after);
    return;
  }
  std::array<char, kShort + 4> whole;
  char* to = std::copy(before.begin(), before.end(), whole.data());
  to = std::copy(text.begin(), text.end(), to);
  to = std::copy(after.begin(), after.end(), to);
  out.append(whole.data(), static_cast<size_t>(to - whole.data()));
}

}  // namespace

void append_string(std::string& out, std::string_view text) {
  if (!is_plain(text)) {
    out.push_back('"');
    append_escaped(out, text);
    out.push_back('"');
    return;
  }
  append_around(out, "\"", text, "\"");
}

void append_name(std::string& out, MemberName name, bool is_first) {
  if (!name.is_plain()) {
    if (!is_first) out.push_back(',');
    append_string(out, name.text());
    out.push_back(':');
    return;
  }
  if (is_first)
    append_around(out, "\"", name.text(), "\":");
  else
    append_around(out, ",\"", name.text(), "\":");
}

void append_integer(std::string& out, int64_t value) {
  std::array<char, 20> digits;  // as many as the longest, with its sign
  const auto [end, failure] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), static_cast<size_t>(end - digits.data()));
}

}  // namespace behalf::json
