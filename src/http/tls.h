// TLS on a non-blocking socket, for both ends. OpenSSL works on the descriptor itself, which costs a third of
// the memory per idle connection that a stream between them would.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "http/server.h"

struct ssl_st;
struct ssl_ctx_st;

namespace behalf::http {

// Keys, versions and trust, shared by connections of all threads.
class TlsContext {
 public:
  // Throws std::runtime_error if the files cannot be read or do not belong together.
  static TlsContext server(const TlsFiles& files);
  // Trusts what is in `ca_file`, or the system's store if empty.
  static TlsContext client(const std::string& ca_file);

  ssl_ctx_st* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

class TlsStream {
 public:
  // kWantRead and kWantWrite: wait until the socket is ready for that, then ask again.
  enum class Step { kDone, kWantRead, kWantWrite, kClosed, kFailed };

  // The server's end of `socket`, which the caller keeps open longer than this.
  TlsStream(const TlsContext& context, int socket);
  // The client's end; the certificate must be for `host`, a name or an address.
  TlsStream(const TlsContext& context, int socket, const std::string& host);

  Step handshake();
  Step read(std::span<char> into, size_t& count);
  Step write(std::string_view bytes, size_t& count);
  // Says goodbye without waiting for the answer.
  void close();
  // Why the handshake failed, in plain words.
  std::string failure() const;

 private:
  struct Free {
    void operator()(ssl_st* stream) const;
  };
  Step step(int result);
  std::unique_ptr<ssl_st, Free> stream_;
};

}  // namespace behalf::http
