// Answers on the wire (RFC 9112 §4 to §6). Every answer that may have a body says its length; we never chunk.
#include "http/writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

namespace behalf::http {
namespace {

bool same_name(std::string_view name, std::string_view small) {
  return name.size() == small.size() &&
         std::equal(name.begin(), name.end(), small.begin(), [](char a, char b) { return (a | 0x20) == b; });
}

bool is_ours(std::string_view name) {
  switch (name.size()) {
    case 4:
      return same_name(name, "date");
    case 10:
      return same_name(name, "connection");
    case 14:
      return same_name(name, "content-length");
    case 17:
      return same_name(name, "transfer-encoding");
    default:
      return false;
  }
}

// A line break in a header would let whoever chose the value write the rest of the answer.
bool is_safe(const Header& header) {
  const bool name = !header.name.empty() &&
                    std::all_of(header.name.begin(), header.name.end(),
                                [](char letter) { return letter > 0x20 && letter < 0x7f && letter != ':'; });
  return name && is_field_value(header.value);
}

void append_number(std::string& out, size_t number) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

}  // namespace

bool write_answer(std::string& out, const Response& response, BodyRule rule, Persistence persistence,
                  std::string_view date) {
  const auto& headers = response.headers.list();
  if (!std::all_of(headers.begin(), headers.end(), is_safe)) return false;

  // RFC 9110 §15.3.5, §15.4.5: these have no body, and 204 may not even state a length (§8.6).
  const bool bodiless = response.status == 204 || response.status == 304;
  if (response.status == 200) {
    out += "HTTP/1.1 200 OK\r\n";
  } else {
    out += "HTTP/1.1 ";
    append_number(out, static_cast<size_t>(response.status));
    out += ' ';
    out += reason_phrase(response.status);
    out += "\r\n";
  }
  for (const Header& header : headers) {
    if (is_ours(header.name)) continue;
    out += header.name;
    out += ": ";
    out += header.value;
    out += "\r\n";
  }
  if (!date.empty()) {
    out += "Date: ";
    out += date;
    out += "\r\n";
  }
  if (!bodiless) {
    out += "Content-Length: ";
    append_number(out, response.body.size());
    out += "\r\n";
  }
  out += persistence == Persistence::kClose ? "Connection: close\r\n\r\n" : "\r\n";
  if (!bodiless && rule == BodyRule::kSend) out += response.body;
  return true;
}

const Response& come_back() {
  static const Response later = [] {
    Response response = json_response(503, R"({"error":"temporarily_unavailable"})");
    response.headers.set("Retry-After", "1");
    response.headers.set("Cache-Control", "no-store");
    return response;
  }();
  return later;
}

std::string http_date(int64_t unix_seconds) {
  using namespace std::chrono;
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_seconds time{seconds{unix_seconds}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                kDays[weekday{day}.c_encoding()], static_cast<unsigned>(date.day()),
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text.data();
}

}  // namespace behalf::http
