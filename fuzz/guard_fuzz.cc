// What the guard reads that others wrote: answers of an API, its own configuration, targets and forms with
// tokens in them; and what it writes of them: records that are always JSON on one line, headers that are
// always printable.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "guard/asked.h"
#include "guard/config.h"
#include "guard/identity.h"
#include "guard/record.h"
#include "http/gate.h"

namespace {

using namespace behalf;

void answers(std::string_view text) {
  http::HeadScanner scanner;
  const auto end = scanner.scan(text, http::Limits());
  if (!end || !*end) return;
  const auto head = http::read_answer(text.substr(0, end->value()), text.size() % 2 == 0);
  if (!head) return;
  if (head->chunked && head->content_length) std::abort();
  for (const http::Header& header : head->headers.list()) {
    if (header.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) std::abort();
  }
}

void targets(std::string_view text) {
  guard::Settings settings;
  settings.dialect = guard::Dialect::kNginx;
  settings.decide_path = "/decide";
  settings.needs_credential = false;
  http::Request request;
  request.path = "/decide";
  request.headers.add("X-Original-Method", "GET");
  request.headers.add("X-Original-URI", text);
  const auto read = guard::read_asked(settings, request);
  if (const auto* asked = std::get_if<guard::Asked>(&read)) {
    if (!asked->path.starts_with('/') || asked->path.find_first_of("?# ") != std::string_view::npos)
      std::abort();
    if (asked->query.starts_with("access_token=") && !guard::has_stray_token(*asked)) std::abort();
  }
}

void records(std::string_view text) {
  guard::Record record;
  record.path = text;
  record.person = text;
  record.chain = {std::string(text), "a"};
  record.calls = {std::string(text)};
  for (const std::string& line : {guard::json_line(record), guard::ocsf_line(record)}) {
    if (line.find('\n') != std::string::npos || !json::parse(line, {.bytes = 1024 * 1024, .depth = 16}))
      std::abort();
  }
  for (const char letter : guard::header_safe(text)) {
    if (letter <= 0x20 || letter >= 0x7f) std::abort();
  }
  (void)guard::trace_of(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      answers(text);
      break;
    case 1:
      targets(text);
      break;
    case 2:
      records(text);
      break;
    default:
      (void)guard::parse_settings(text, "guard.toml");
  }
  return 0;
}
