// TLS 1.2 and 1.3 as RFC 9325 (BCP 195) asks: forward secrecy and authenticated encryption only, no
// renegotiation, no compression. No session tickets: their key would have to be rotated and shared for less
// saving than keep-alive brings.
#include "http/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdexcept>

namespace behalf::http {
namespace {

// The curves of the key exchange are OpenSSL's default, X25519 and P-256 first.
constexpr char kCiphers12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "" : std::string(": ") + reason;
}

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + openssl_reason()); }

ssl_ctx_st* new_context(const SSL_METHOD* method) {
  ERR_clear_error();
  SSL_CTX* context = SSL_CTX_new(method);
  if (context == nullptr) fail("cannot set up TLS");
  return context;
}

void restrict_versions(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
  // Buffers of idle connections go back; a write may be taken up at another address after a wait.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context, kCiphers12) != 1) {
    fail("cannot restrict TLS to safe versions");
  }
}

// Picks http/1.1 where the client offers it, and goes on without where it does not.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, size, kHttp11, sizeof(kHttp11) - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

bool is_address(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void TlsStream::Free::operator()(ssl_st* stream) const { SSL_free(stream); }

TlsContext TlsContext::server(const TlsFiles& files) {
  TlsContext made(new_context(TLS_server_method()));
  SSL_CTX* context = made.get();
  restrict_versions(context);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1) {
    fail("cannot read the TLS certificate " + files.certificate);
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.private_key.c_str(), SSL_FILETYPE_PEM) != 1) {
    fail("cannot read the TLS key " + files.private_key);
  }
  if (SSL_CTX_check_private_key(context) != 1) fail("the TLS key does not belong to the certificate");
  return made;
}

TlsContext TlsContext::client(const std::string& ca_file) {
  TlsContext made(new_context(TLS_client_method()));
  SSL_CTX* context = made.get();
  restrict_versions(context);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1)
      fail("cannot read the system's certificate authorities");
  } else if (SSL_CTX_load_verify_file(context, ca_file.c_str()) != 1) {
    fail("cannot read the certificate authorities in " + ca_file);
  }
  return made;
}

TlsStream::TlsStream(const TlsContext& context, int socket) : stream_(SSL_new(context.get())) {
  if (!stream_ || SSL_set_fd(stream_.get(), socket) != 1) fail("cannot begin TLS");
  SSL_set_accept_state(stream_.get());
}

TlsStream::TlsStream(const TlsContext& context, int socket, const std::string& host)
    : stream_(SSL_new(context.get())) {
  if (!stream_ || SSL_set_fd(stream_.get(), socket) != 1) fail("cannot begin TLS");
  SSL_set_connect_state(stream_.get());
  if (is_address(host)) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream_.get()), host.c_str()) != 1)
      fail("cannot begin TLS");
  } else {
    SSL_set_hostflags(stream_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // The macro for server names casts in C's way.
    const bool named = SSL_ctrl(stream_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                const_cast<char*>(host.c_str())) == 1;
    if (!named || SSL_set1_host(stream_.get(), host.c_str()) != 1) fail("cannot begin TLS with " + host);
  }
}

TlsStream::Step TlsStream::step(int result) {
  // A client that hangs up without a word ends the stream for us too; HTTP's own framing shows what is
  // missing.
  switch (SSL_get_error(stream_.get(), result)) {
    case SSL_ERROR_NONE:
      return Step::kDone;
    case SSL_ERROR_WANT_READ:
      return Step::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Step::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Step::kClosed;
    default:
      return Step::kFailed;
  }
}

// OpenSSL judges by the thread's error queue, where another connection's failure may still lie: hence the
// clearing.
TlsStream::Step TlsStream::handshake() {
  ERR_clear_error();
  return step(SSL_do_handshake(stream_.get()));
}

TlsStream::Step TlsStream::read(std::span<char> into, size_t& count) {
  count = 0;
  ERR_clear_error();
  return step(SSL_read_ex(stream_.get(), into.data(), into.size(), &count));
}

TlsStream::Step TlsStream::write(std::string_view bytes, size_t& count) {
  count = 0;
  ERR_clear_error();
  return step(SSL_write_ex(stream_.get(), bytes.data(), bytes.size(), &count));
}

void TlsStream::close() {
  ERR_clear_error();
  // Not after a fatal error: OpenSSL forbids it, and refuses by an error we clear with the next call.
  if (SSL_is_init_finished(stream_.get()) == 1) SSL_shutdown(stream_.get());
}

std::string TlsStream::failure() const {
  const long verdict = SSL_get_verify_result(stream_.get());
  if (verdict != X509_V_OK) return std::string("certificate: ") + X509_verify_cert_error_string(verdict);
  const std::string reason = openssl_reason();
  return reason.empty() ? "the connection was closed" : reason.substr(2);
}

}  // namespace behalf::http
