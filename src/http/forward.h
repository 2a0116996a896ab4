// Requests that go on to another server, and their answers back: what a handler says when it does not answer
// itself. Bodies of both directions stream with back-pressure, and connections may turn into tunnels (RFC
// 9110 §7.8).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"
#include "http/client.h"
#include "http/message.h"
#include "http/server.h"

namespace behalf::http {

class TlsContext;

// The server behind this one.
struct Origin {
  Target target;
  std::shared_ptr<const TlsContext> trust;  // where `target.tls`
  Seconds connect_time{5};
  Seconds answer_time{60};       // from the request to the head of its answer
  Seconds stall_time{60};        // a side that does not take or send what it owes
  Seconds quiet_time{3600};      // nothing moves in an answer that has begun, or in a tunnel
  size_t idle_connections = 64;  // kept open, on each loop
};

// Send the request on. Its method, and its body as it arrives (or as it was read), go with it unchanged.
struct Forward {
  std::shared_ptr<const Origin> origin;
  std::string target;  // path and query
  // All that is sent but framing: see end_to_end(). `Host` must be among them.
  Headers headers;
  // The token of `Upgrade` that the origin may answer with 101 (RFC 9110 §7.8); empty: none.
  std::string upgrade;
  // Asked twice a second while the exchange lasts, on its loop; false: both connections are cut.
  std::function<bool()> may_go_on;
};

// Read the body first, at most `limit` bytes, and ask again.
struct ReadBody {
  size_t limit = 0;
};

// What has arrived of a request.
enum class Body {
  kNone,      // it has none
  kWaiting,   // it has one, of which nothing has been read
  kRead,      // it is in Request::body, whole
  kTooLarge,  // asked to be read, and larger than asked for: only a Response can follow
};

// Front (server.h) is asked as soon as the head of a request is here, on a loop's thread, like a Handler.

// The headers of a message that are meant for its receiver (RFC 9110 §7.6.1): without `Connection`, what it
// names, and what only ever concerns one connection.
Headers end_to_end(const Headers& headers);
// True if `name` is listed in any Connection header.
bool is_connection_option(const Headers& headers, std::string_view name);

}  // namespace behalf::http
