// Headers, cookies and forms as plain values; no byte of framing here.
//
// RFC 9110 §5 (field names), RFC 6265 §4.2 (cookies), RFC 6749 appendix B (the form encoding OAuth uses).
// Everything that comes from outside is decoded strictly: what two readers might read differently is refused.
#include "http/message.h"

#include <algorithm>

#include "base/bytes.h"

namespace behalf::http {
namespace {

char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

bool same_name(std::string_view one, std::string_view other) {
  return one.size() == other.size() && std::equal(one.begin(), one.end(), other.begin(),
                                                  [](char a, char b) { return lower(a) == lower(b); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char letter = lower(digit);
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  return -1;
}

bool is_unreserved(char letter) {
  const char small = lower(letter);
  return (small >= 'a' && small <= 'z') || (letter >= '0' && letter <= '9') || letter == '-' ||
         letter == '.' || letter == '_' || letter == '~';
}

}  // namespace

bool is_field_value(std::string_view value) {
  return is_printable_ascii(value) || std::all_of(value.begin(), value.end(), [](char letter) {
           const auto byte = static_cast<unsigned char>(letter);
           return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
         });
}

const std::string* Headers::find(std::string_view name) const {
  for (const Header& header : list_) {
    if (same_name(header.name, name)) return &header.value;
  }
  return nullptr;
}

size_t Headers::count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(
      list_.begin(), list_.end(), [&](const Header& header) { return same_name(header.name, name); }));
}

void Headers::set(std::string_view name, std::string_view value) {
  std::erase_if(list_, [&](const Header& header) { return same_name(header.name, name); });
  add(name, value);
}

std::string_view last_element(const Headers& headers, std::string_view name) {
  std::string_view value;
  for (const Header& header : headers.list()) {
    if (same_name(header.name, name)) value = header.value;
  }
  const size_t comma = value.rfind(',');
  return trim(comma == std::string_view::npos ? value : value.substr(comma + 1));
}

std::optional<std::string> Request::cookie(std::string_view name) const {
  std::optional<std::string_view> found;
  for (const Header& header : headers.list()) {
    if (!same_name(header.name, "cookie")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = trim(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const size_t equals = pair.find('=');
      if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
      const std::string_view value = pair.substr(equals + 1);
      // STRICTER: a cookie planted from a sibling domain or another path arrives beside the real one, in an
      // order the sender may influence (RFC 6265 §8.6). With two answers there is none.
      if (found && *found != value) return std::nullopt;
      found = value;
    }
  }
  if (!found) return std::nullopt;
  return std::string(*found);
}

Response text_response(int status, std::string_view text) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.body = text;
  return response;
}

Response json_response(int status, std::string body) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

Response redirect(std::string_view location) {
  Response response;
  response.status = 303;
  response.headers.add("Location", location);
  return response;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "";  // a phrase is optional (RFC 9112 §4)
  }
}

std::optional<Form> Form::parse(std::string_view text) {
  constexpr size_t kUsualFields = 10;  // what a token request has; not counted first, tokens are long
  Form form;
  form.fields_.reserve(kUsualFields);
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;  // "a=1&": no field at all
    if (form.fields_.size() == kMaxFields) return std::nullopt;

    const size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals), Plus::kSpace);
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), Plus::kSpace);
    if (!name || !value || name->empty()) return std::nullopt;
    if (!is_utf8(*name) || !is_utf8(*value)) return std::nullopt;
    // A NUL ends the text for some readers and not for others.
    if (name->find('\0') != std::string::npos || value->find('\0') != std::string::npos) return std::nullopt;
    form.fields_.push_back({std::move(*name), std::move(*value)});
  }
  return form;
}

std::string_view Form::get(std::string_view name) const {
  for (const FormField& field : fields_) {
    if (field.name == name) return field.value;
  }
  return {};
}

std::vector<std::string_view> Form::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const FormField& field : fields_) {
    if (field.name == name) values.emplace_back(field.value);
  }
  return values;
}

std::optional<std::string> Form::repeated(std::initializer_list<std::string_view> repeatable) const {
  // kMaxFields bounds the square.
  for (size_t later = 1; later < fields_.size(); ++later) {
    const std::string& name = fields_[later].name;
    if (std::find(repeatable.begin(), repeatable.end(), name) != repeatable.end()) continue;
    const auto end = fields_.begin() + static_cast<std::ptrdiff_t>(later);
    if (std::any_of(fields_.begin(), end, [&](const FormField& field) { return field.name == name; }))
      return name;
  }
  return std::nullopt;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char letter : text) {
    if (is_unreserved(letter)) {
      out.push_back(letter);
    } else {
      const auto byte = static_cast<unsigned char>(letter);
      out.push_back('%');
      out.push_back(kDigits[byte >> 4]);
      out.push_back(kDigits[byte & 15]);
    }
  }
  return out;
}

std::optional<std::string> percent_decode(std::string_view text, Plus plus) {
  // In place, and in one go up to the first escape: tokens, the longest values there are, hold none.
  std::optional<std::string> decoded(text);
  if (plus == Plus::kSpace) {
    for (size_t at = text.find('+'); at != std::string_view::npos; at = text.find('+', at + 1))
      (*decoded)[at] = ' ';
  }
  const size_t first = text.find('%');
  if (first == std::string_view::npos) return decoded;
  char* const begin = decoded->data();
  const char* const end = begin + decoded->size();
  char* to = begin + first;
  for (const char* from = to; from != end; ++from) {
    if (*from != '%') {
      *to++ = *from;
      continue;
    }
    if (end - from < 3) return std::nullopt;
    const int high = hex_value(from[1]);
    const int low = hex_value(from[2]);
    if (high < 0 || low < 0) return std::nullopt;
    *to++ = static_cast<char>(high * 16 + low);
    from += 2;
  }
  decoded->resize(static_cast<size_t>(to - begin));
  return decoded;
}

std::string write_form(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out.push_back('&');
    out += percent_encode(name);
    out.push_back('=');
    out += percent_encode(value);
  }
  return out;
}

}  // namespace behalf::http
