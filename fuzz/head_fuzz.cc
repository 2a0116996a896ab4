// An HTTP head and a chunked body: whatever the bytes, and however they are cut into pieces, one answer.
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/gate.h"

namespace {

using namespace behalf::http;

// The head's size, or minus the status; 0: more is needed.
long scan_in_pieces(std::string_view text, const Limits& limits, size_t piece) {
  HeadScanner scanner;
  for (size_t end = piece;; end += piece) {
    const std::string_view received = text.substr(0, end);
    if (const auto result = scanner.scan(received, limits))
      return *result ? static_cast<long>(**result) : -result->reason();
    if (end >= text.size()) return 0;
  }
}

struct Decoded {
  ChunkedBody::State state = ChunkedBody::State::kMore;
  std::string body;
  bool operator==(const Decoded&) const = default;
};
Decoded decode_in_pieces(std::string_view text, size_t piece) {
  ChunkedBody chunked;
  Decoded decoded;
  std::string waiting;
  for (size_t at = 0; at < text.size() && decoded.state == ChunkedBody::State::kMore; at += piece) {
    waiting += text.substr(at, piece);
    std::string_view rest = waiting;
    decoded.state = chunked.take(rest, decoded.body, 4096);
    waiting = std::string(rest);
  }
  if (decoded.state == ChunkedBody::State::kMalformed || decoded.state == ChunkedBody::State::kTooLarge)
    decoded.body.clear();
  return decoded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const Limits limits;
  const long whole = scan_in_pieces(text, limits, size + 1);
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{64}}) {
    if (scan_in_pieces(text, limits, piece) != whole) std::abort();
  }
  if (whole > 0) {
    Request request;
    const auto head = read_head(text.substr(0, static_cast<size_t>(whole)), limits, request);
    RequestLine line;
    const auto checked = check_head(text.substr(0, static_cast<size_t>(whole)), limits, line);
    if (bool(head) != bool(checked) || (!head && head.reason() != checked.reason())) std::abort();
    if (head) {
      if (line.method != request.method || line.path != request.path) std::abort();
      if (head->content_length != checked->content_length || head->chunked != checked->chunked ||
          head->keep_alive != checked->keep_alive)
        std::abort();
      if (head->chunked && head->content_length != 0) std::abort();
      if (request.path.empty() || request.path.front() != '/') std::abort();
      if (request.headers.count("Host") > 1 || request.headers.count("Content-Length") > 1) std::abort();
      if (request.method.find_first_of(" \r\n") != std::string::npos ||
          request.path.find_first_of(" \r\n") != std::string::npos)
        std::abort();
    } else if (head.reason() < 400 || head.reason() > 599) {
      std::abort();
    }
  }
  const Decoded at_once = decode_in_pieces(text, size + 1);
  if (at_once.body.size() > 4096) std::abort();
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}}) {
    if (!(decode_in_pieces(text, piece) == at_once)) std::abort();
  }
  return 0;
}
