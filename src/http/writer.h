// A Response as bytes: status line, headers, length and body in one buffer, for one write.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"

namespace behalf::http {

enum class BodyRule { kSend, kLeaveOut };  // kLeaveOut: the answer to HEAD, whose length is that of GET
enum class Persistence { kKeepAlive, kClose };

// Appends the answer to `out`. Content-Length, Connection and Date are the server's alone; a handler's own
// are left out. False, and `out` unchanged, if a header of the response cannot be sent as it is (a line break
// in it).
[[nodiscard]] bool write_answer(std::string& out, const Response& response, BodyRule rule,
                                Persistence persistence, std::string_view date);

// 503 and Retry-After, for whoever is one too many.
const Response& come_back();

// An IMF-fixdate (RFC 9110 §5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(int64_t unix_seconds);

}  // namespace behalf::http
