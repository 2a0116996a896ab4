// The gate every request passes: where its head ends, what it may say, and where its body ends.
//
// A message that two readers could frame differently is request smuggling waiting for a proxy (RFC 9112
// §11.2), so whatever is unusual is refused, and every refusal here ends the connection: no byte behind it is
// read. Pure functions of bytes; nothing waits here.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "http/server.h"

namespace behalf::http {

// Finds the end of a head that arrives in pieces, each byte looked at once.
class HeadScanner {
 public:
  // Nothing yet: read more. Otherwise the size of the head with its empty line, or the status to refuse with.
  std::optional<Result<size_t, int>> scan(std::string_view received, const Limits& limits);
  void reset() { *this = HeadScanner(); }

 private:
  size_t line_ = 0;      // where the unfinished line begins
  size_t searched_ = 0;  // no line feed before this
  size_t lines_ = 0;
};

struct Head {
  size_t content_length = 0;
  bool chunked = false;
  bool keep_alive = true;
  bool http_1_0 = false;
  bool wants_continue = false;  // Expect: 100-continue
};

// Reads a whole head into `request` (method, path, query, headers), or says with which status to refuse it.
Result<Head, int> read_head(std::string_view head, const Limits& limits, Request& request);
// The same, where nothing of it is kept: what `line` says are parts of `head`.
struct RequestLine {
  std::string_view method;
  std::string_view path;
};
Result<Head, int> check_head(std::string_view head, const Limits& limits, RequestLine& line);

// The head of an answer from a server behind this one.
struct AnswerHead {
  int status = 0;
  Headers headers;
  std::optional<size_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
};

// Reads a whole head, as strictly as that of a request; nothing if it is none. `bodiless`: it answers HEAD.
std::optional<AnswerHead> read_answer(std::string_view head, bool bodiless);

// The chunked coding (RFC 9112 §7.1), decoded as it arrives.
// STRICTER: extensions and trailers are refused; no OAuth client sends them and readers disagree about them.
class ChunkedBody {
 public:
  enum class State { kMore, kComplete, kMalformed, kTooLarge };
  // Takes from the front of `received` what belongs to the body. Call until it is not kMore.
  State take(std::string_view& received, std::string& body, size_t limit);

 private:
  enum class Expect { kSize, kSizeLineFeed, kData, kDataReturn, kDataLineFeed, kLastReturn, kLastLineFeed };
  static constexpr size_t kMaxSizeDigits = 8;
  Expect expect_ = Expect::kSize;
  size_t digits_ = 0;
  size_t size_ = 0;
};

}  // namespace behalf::http
