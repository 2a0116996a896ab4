// A small blocking HTTP/1.1 client for the command line, the demo, the SDK's own threads and tests. Not for
// use inside the server: it has no guard against special-use addresses.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/time.h"
#include "http/message.h"

namespace behalf::http {

struct Target {
  std::string host;  // name or address; sent as Host
  uint16_t port = 80;
  std::string unix_path;  // when set, connect there instead
  bool tls = false;       // verified against `ca_file`, or the system's store if empty
  std::string ca_file;
};

// "http://127.0.0.1:8080/x?y" → target and "/x?y"; throws std::invalid_argument on anything else.
struct ParsedUrl {
  Target target;
  std::string path_and_query;
};
ParsedUrl parse_url(std::string_view url);

// Ends the waiting of every client made with it, from any thread, until it is cleared.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  void raise();
  void clear();
  int descriptor() const { return descriptor_; }  // readable once raised

 private:
  int descriptor_;
};

struct ClientRequest {
  std::string method = "GET";
  std::string path_and_query = "/";
  Headers headers;
  std::string body;
};

// Keeps one connection open between calls. Not thread-safe.
class Client {
 public:
  // `interrupt`, if given, must outlive it; a send() that it ends throws.
  explicit Client(Target target, Seconds timeout = Seconds{10}, const Interrupt* interrupt = nullptr);
  ~Client();
  Client(Client&&) noexcept;
  // Throws std::runtime_error with a plain message when there is no answer.
  Response send(const ClientRequest& request);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One call to an absolute URL; follows no redirect.
Response fetch(std::string_view url, const ClientRequest& request);

}  // namespace behalf::http
