// What arrives and what leaves, as plain values. No OAuth word here, and no networking header.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace behalf::http {

struct Header {
  std::string name;  // as sent; compare with find()
  std::string value;
};

class Headers {
 public:
  // The first value of that name (ASCII case-insensitive); null if there is none.
  const std::string* find(std::string_view name) const;
  size_t count(std::string_view name) const;
  void add(std::string_view name, std::string_view value) {
    if (list_.empty()) list_.reserve(kUsual);
    list_.push_back({std::string(name), std::string(value)});
  }
  // Replaces every value of that name.
  void set(std::string_view name, std::string_view value);
  void clear() { list_.clear(); }
  const std::vector<Header>& list() const { return list_; }

 private:
  static constexpr size_t kUsual = 8;
  std::vector<Header> list_;
};

// RFC 9110 §5.5: a field's value has no control characters but the tab, so no line break that would end it.
bool is_field_value(std::string_view value);

// The right-most element of a comma-separated list, over all headers of that name; empty if there is none.
// What a proxy adds stands there; what is left of it, the client may have written itself.
std::string_view last_element(const Headers& headers, std::string_view name);

struct Request {
  std::string method;  // a token, as sent: methods are case-sensitive
  std::string path;    // raw, without the query; starts with '/'
  std::string query;   // raw, without '?'; empty if there was none
  Headers headers;
  std::string body;
  std::string peer;     // "192.0.2.1", "::1", or "unix": who connected (or, behind a trusted proxy, for whom)
  bool secure = false;  // arrived over TLS, here or at a trusted proxy

  // The value of a cookie; empty optional if absent or sent twice with different values.
  std::optional<std::string> cookie(std::string_view name) const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  bool close = false;  // close the connection after this answer
};

Response text_response(int status, std::string_view text);
Response json_response(int status, std::string body);
Response redirect(std::string_view location);  // 303 (RFC 9110 §15.4.4); never 307, which would re-post

std::string_view reason_phrase(int status);

// application/x-www-form-urlencoded, strictly: well-formed percent escapes, UTF-8, no NUL.
struct FormField {
  std::string name;
  std::string value;
};
class Form {
 public:
  static constexpr size_t kMaxFields = 200;
  // Nothing if the text is not well-formed or has too many fields.
  static std::optional<Form> parse(std::string_view text);

  // The value; empty where the field is absent or empty (RFC 6749 §3.1: sent without a value = omitted).
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const { return !get(name).empty(); }
  std::vector<std::string_view> all(std::string_view name) const;
  // The first name that occurs more than once, leaving out those in `repeatable`.
  std::optional<std::string> repeated(std::initializer_list<std::string_view> repeatable) const;
  const std::vector<FormField>& fields() const { return fields_; }
  void add(std::string_view name, std::string_view value) {
    fields_.push_back({std::string(name), std::string(value)});
  }
  // In the place of whatever stands under that name.
  void set(std::string_view name, std::string_view value) {
    std::erase_if(fields_, [&](const FormField& field) { return field.name == name; });
    add(name, value);
  }

 private:
  std::vector<FormField> fields_;
};

std::string percent_encode(std::string_view text);  // everything but unreserved characters (RFC 3986 §2.3)
// Decodes %XX and, if asked, '+' as space; nothing on malformed input.
enum class Plus { kLiteral, kSpace };
std::optional<std::string> percent_decode(std::string_view text, Plus plus);
std::string write_form(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace behalf::http
