// JSON as the protocol needs it (RFC 8259, I-JSON): strict on input, one writer for output.
//
// A parsed document is a tree of plain values. Refused on input: duplicate members, bad UTF-8, NUL in
// strings, depth or size over the limits, numbers that do not fit, anything after the document.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace behalf::json {

struct Member;

class Value {
 public:
  using Array = std::vector<Value>;
  using Object = std::vector<Member>;

  // Defined below, where Member is complete.
  Value();  // null
  Value(bool value);
  Value(int64_t value);
  Value(int value);
  Value(double value);
  Value(std::string value);
  Value(std::string_view value);
  Value(const char* value);
  Value(Array value);
  Value(Object value);
  Value(const Value&);
  Value(Value&&) noexcept;
  Value& operator=(const Value&);
  Value& operator=(Value&&) noexcept;
  ~Value();

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&data_); }
  const double* number() const { return std::get_if<double>(&data_); }
  const std::string* string() const { return std::get_if<std::string>(&data_); }
  const Array* array() const { return std::get_if<Array>(&data_); }
  const Object* object() const { return std::get_if<Object>(&data_); }
  Array* array() { return std::get_if<Array>(&data_); }
  Object* object() { return std::get_if<Object>(&data_); }

  // The member of that name; null if this is no object or has none.
  const Value* find(std::string_view name) const;
  // The same, where the member must be a string (integer, …) to count.
  const std::string* find_string(std::string_view name) const;
  std::optional<int64_t> find_integer(std::string_view name) const;
  // Adds or replaces a member; a null value becomes an object.
  void set(std::string_view name, Value value);
  void remove(std::string_view name);

  bool operator==(const Value&) const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> data_;
};

struct Member {
  std::string name;
  Value value;
  bool operator==(const Member&) const = default;
};

inline Value::Value() = default;
inline Value::Value(bool value) : data_(value) {}
inline Value::Value(int64_t value) : data_(value) {}
inline Value::Value(int value) : data_(int64_t{value}) {}
inline Value::Value(double value) : data_(value) {}
inline Value::Value(std::string value) : data_(std::move(value)) {}
inline Value::Value(std::string_view value) : data_(std::string(value)) {}
inline Value::Value(const char* value) : data_(std::string(value)) {}
inline Value::Value(Array value) : data_(std::move(value)) {}
inline Value::Value(Object value) : data_(std::move(value)) {}
inline Value::Value(const Value&) = default;
inline Value::Value(Value&&) noexcept = default;
inline Value& Value::operator=(const Value&) = default;
inline Value& Value::operator=(Value&&) noexcept = default;
inline Value::~Value() = default;

// A member's value, where one that is absent or of another type counts as none: empty, 0, false.
std::string text_of(const Value& value, std::string_view name);
int64_t number_of(const Value& value, std::string_view name);
bool flag_of(const Value& value, std::string_view name);
const Value::Array& list_of(const Value& value, std::string_view name);

struct Limits {
  size_t bytes = 64 * 1024;
  size_t depth = 16;
};

// The document, or nothing; why it is bad is of no use to anyone who sends one.
std::optional<Value> parse(std::string_view text, Limits limits = {});

std::string write(const Value& value);
// Two-space indentation, for people.
std::string write_pretty(const Value& value);

// Appends `text` as a JSON string with its quotes.
void append_string(std::string& out, std::string_view text);
void append_integer(std::string& out, int64_t value);

// A member's name. Of a literal, as nearly all are, it is known when the program is compiled that no letter
// needs an escape.
class MemberName {
 public:
  template <size_t N>
  consteval MemberName(const char (&literal)[N]) : text_(literal, N - 1), is_plain_(true) {
    for (const char letter : text_) {
      if (letter < ' ' || letter > '~' || letter == '"' || letter == '\\')
        throw "a name that needs an escape";
    }
  }
  MemberName(std::string_view text) : text_(text) {}
  MemberName(const std::string& text) : text_(text) {}

  std::string_view text() const { return text_; }
  bool is_plain() const { return is_plain_; }

 private:
  std::string_view text_;
  bool is_plain_ = false;
};

// Appends what stands before a member's value.
void append_name(std::string& out, MemberName name, bool is_first);

// Writes one flat or nested object without building a tree; for hot paths.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_.push_back('{'); }
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;

  ObjectWriter& add(MemberName name, std::string_view value) {
    begin(name);
    append_string(out_, value);
    return *this;
  }
  ObjectWriter& add(MemberName name, const char* value) { return add(name, std::string_view(value)); }
  ObjectWriter& add(MemberName name, int64_t value) {
    begin(name);
    append_integer(out_, value);
    return *this;
  }
  ObjectWriter& add_bool(MemberName name, bool value) {
    begin(name);
    out_ += value ? "true" : "false";
    return *this;
  }
  // `json` must already be a JSON text.
  ObjectWriter& add_raw(MemberName name, std::string_view json) {
    begin(name);
    out_ += json;
    return *this;
  }
  // The member's name is written; the caller appends its value, a whole JSON text, to what is returned.
  std::string& open(MemberName name) {
    begin(name);
    return out_;
  }
  ObjectWriter& add_unless_empty(MemberName name, std::string_view value) {
    return value.empty() ? *this : add(name, value);
  }
  void end() { out_.push_back('}'); }

 private:
  void begin(MemberName name) {
    append_name(out_, name, first_);
    first_ = false;
  }
  std::string& out_;
  bool first_ = true;
};

// The same for an array, an element at a time.
class ArrayWriter {
 public:
  explicit ArrayWriter(std::string& out) : out_(out) { out_.push_back('['); }
  ArrayWriter(const ArrayWriter&) = delete;
  ArrayWriter& operator=(const ArrayWriter&) = delete;

  // The caller appends the next element, a whole JSON text, to what is returned.
  std::string& next() {
    if (!first_) out_.push_back(',');
    first_ = false;
    return out_;
  }
  void add(std::string_view text) { append_string(next(), text); }
  void end() { out_.push_back(']'); }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace behalf::json
