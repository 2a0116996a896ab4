// The HTTP/1.1 server: bytes to Request, Response to bytes, with every limit on the way.
//
// Asio is included by server.cc alone and Beast's parser by gate.cc, whose strict rules refuse what that
// parser lets through (transfer codings other than exactly "chunked", repeated or missing Host, obsolete
// folding, absolute-form targets, ...). Knows nothing of OAuth.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/task.h"
#include "base/time.h"
#include "http/message.h"

namespace behalf::http {

// Called on a loop's thread. A task that suspends goes on through Loop::post of that loop. The Request
// outlives it.
using Handler = std::function<Task<Response>(Request&)>;

// What is to be done with a request whose head is here: see forward.h.
struct Forward;
struct ReadBody;
enum class Body;
using Plan = std::variant<Response, Forward, ReadBody>;
using Front = std::function<Task<Plan>(Request&, Body)>;

struct Limits {
  size_t header_bytes = 64 * 1024;
  size_t header_line_bytes = 8 * 1024;
  size_t header_count = 100;
  size_t target_bytes = 8 * 1024;
  size_t body_bytes = 64 * 1024;
  Seconds header_time{10};  // from the first byte of a request to the end of its header
  Seconds body_time{15};
  Seconds request_time{30};  // from the request to the end of the answer
  Seconds send_time{15};     // until the client has taken an answer
  Seconds idle_time{75};     // keep-alive
  size_t connections = 10'000;
  bool refuse_http_1_0 = false;     // 400: it knows no Host, and nothing a proxy in front of an API needs
  bool any_content_coding = false;  // otherwise a request's body must be as it is (415)
  // Where more is asked than can be answered, answer some 503 with Retry-After instead of all too late.
  bool sheds_load = false;
  // Paths that are served where others are refused for load or for want of connections: health, revocation.
  std::vector<std::string> vital;
};

struct TlsFiles {
  std::string certificate;  // PEM chain
  std::string private_key;  // PEM
};

struct Listen {
  std::string address;    // "127.0.0.1", "::1", "0.0.0.0"; or empty with `unix_path`
  uint16_t port = 0;      // 0: the system chooses; see Server::port
  std::string unix_path;  // a Unix socket; a stale file is replaced, a live one is an error
  unsigned unix_mode = 0600;
  std::optional<TlsFiles> tls;
  std::vector<std::string>
      trusted_proxies;  // peers whose X-Forwarded-For / X-Forwarded-Proto count (right-most hop)
};

class Server {
 public:
  // Binds at once (throws std::system_error or std::runtime_error with a plain message) and serves from
  // `threads` loops of its own, each with its own listening socket, until stop() or destruction.
  // A handler that throws is answered 500 with nothing in it.
  Server(const Listen& listen, const Limits& limits, unsigned threads, Handler handler);
  // The same, asking `front` about each request as soon as its head is here (forward.h): bodies are not read
  // unless it wants them.
  Server(const Listen& listen, const Limits& limits, unsigned threads, Front front);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;
  // Stops accepting, lets requests under way finish for at most `grace`, then closes their connections.
  // Returns when the last handler has ended, for their loop must be there until then. Idempotent; not to be
  // called from a handler.
  void stop(Seconds grace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace behalf::http
