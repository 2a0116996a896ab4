// The blocking client against our own server, over TLS, and against servers that answer badly.
#include "http/client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "http/server.h"
#include "http/sockets.h"
#include "unit/http/server_fixture.h"

namespace behalf::http {
namespace {

Task<Response> mirror(Request& request) {
  Response response = text_response(200, request.method + " " + request.path + "?" + request.query + " [" +
                                             request.body + "]" + (request.secure ? " secure" : " plain"));
  if (const std::string* value = request.headers.find("X-Sent")) response.headers.add("X-Back", *value);
  if (const std::string* host = request.headers.find("Host")) response.headers.add("X-Host", *host);
  co_return response;
}

Target at(uint16_t port) {
  Target target;
  target.host = "127.0.0.1";
  target.port = port;
  return target;
}

// Accepts connections one after another and answers each with the next of its scripts, whatever it is asked.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> scripts) {
    Listening listening = listen_on(loopback(), 1);
    port = listening.port;
    thread_ =
        std::thread([this, socket = std::move(listening.sockets.front()), answers = std::move(scripts)] {
          for (const std::string& answer : answers) {
            pollfd state{socket.get(), POLLIN, 0};
            if (::poll(&state, 1, 5'000) <= 0) return;
            const Descriptor client(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
            ++connections;
            char request[64 * 1024];
            if (::recv(client.get(), request, sizeof(request), 0) <= 0) continue;
            ::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
          }
        });
  }
  ~ScriptedServer() { thread_.join(); }
  uint16_t port = 0;
  std::atomic<int> connections = 0;

 private:
  std::thread thread_;
};

Response ask(const std::string& script, ClientRequest request = {}) {
  const ScriptedServer server({script});
  return Client(at(server.port), Seconds{5}).send(request);
}

TEST(ParseUrl, takes_http_and_https) {
  const ParsedUrl plain = parse_url("http://127.0.0.1:8080/x?y=z");
  EXPECT_EQ(plain.target.host, "127.0.0.1");
  EXPECT_EQ(plain.target.port, 8080);
  EXPECT_FALSE(plain.target.tls);
  EXPECT_EQ(plain.path_and_query, "/x?y=z");
  const ParsedUrl secure = parse_url("https://issuer.example");
  EXPECT_EQ(secure.target.host, "issuer.example");
  EXPECT_EQ(secure.target.port, 443);
  EXPECT_TRUE(secure.target.tls);
  EXPECT_EQ(secure.path_and_query, "/");
  EXPECT_EQ(parse_url("http://a?b").path_and_query, "/?b");
  const ParsedUrl six = parse_url("http://[::1]:81/");
  EXPECT_EQ(six.target.host, "::1");
  EXPECT_EQ(six.target.port, 81);
}

TEST(ParseUrl, refuses_everything_else) {
  for (const std::string_view url :
       {"", "ftp://a/", "http:/a", "http://", "http:///x", "http://a:/x", "http://a:0/", "http://a:65536/",
        "http://a:8x/", "http://u@a/", "http://a/#f", "http://a/ b", "http://a/\n", "http://[::1/",
        "http://[zz]/", "http://[::1]x/", "//a/", "http://a/\xC3\xA9"}) {
    EXPECT_THROW(parse_url(url), std::invalid_argument) << url;
  }
}

TEST(Client, sends_what_it_is_given_and_keeps_the_connection) {
  Server server(loopback(), {}, 1, mirror);
  Client client(at(server.port()));
  ClientRequest request;
  request.method = "POST";
  request.path_and_query = "/a?b";
  request.headers.add("X-Sent", "value");
  request.body = "hello";
  for (int round = 0; round < 3; ++round) {
    const Response response = client.send(request);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "POST /a?b [hello] plain");
    EXPECT_EQ(*response.headers.find("x-back"), "value");
    EXPECT_EQ(*response.headers.find("x-host"), "127.0.0.1:" + std::to_string(server.port()));
    EXPECT_FALSE(response.close);
  }
}

TEST(Client, reads_the_length_and_no_body_of_an_answer_to_head) {
  Server server(loopback(), {}, 1, mirror);
  Client client(at(server.port()));
  ClientRequest request;
  request.method = "HEAD";
  for (int round = 0; round < 2; ++round) {
    const Response response = client.send(request);
    EXPECT_EQ(response.body, "");
    EXPECT_NE(response.headers.find("Content-Length"), nullptr);
  }
}

TEST(Client, takes_a_large_body_both_ways) {
  Limits limits;
  limits.body_bytes = 4 * 1024 * 1024;
  Server server(loopback(), limits, 1,
                [](Request& request) -> Task<Response> { co_return text_response(200, request.body); });
  ClientRequest request;
  request.method = "PUT";
  request.body = std::string(limits.body_bytes, 'q');
  EXPECT_EQ(Client(at(server.port())).send(request).body, request.body);
}

TEST(Client, understands_chunked_answers_and_those_that_end_with_the_connection) {
  EXPECT_EQ(
      ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n")
          .body,
      "abcde");
  const Response until_close = ask("HTTP/1.0 200 OK\r\n\r\nall of it");
  EXPECT_EQ(until_close.body, "all of it");
  EXPECT_TRUE(until_close.close);
}

TEST(Client, passes_over_interim_answers) {
  EXPECT_EQ(ask("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")
                .status,
            201);
  std::string endless;
  for (int count = 0; count < 20; ++count) endless += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_THROW(ask(endless), std::runtime_error);
}

TEST(Client, refuses_answers_that_are_broken_or_too_large) {
  EXPECT_THROW(ask("nonsense\r\n\r\n"), std::runtime_error);
  EXPECT_THROW(ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"), std::runtime_error);
  EXPECT_THROW(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), std::runtime_error);
  EXPECT_THROW(ask("HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n"), std::runtime_error);
  EXPECT_THROW(ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000001\r\n"), std::runtime_error);
  EXPECT_THROW(ask("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'a') + "\r\n\r\n"), std::runtime_error);
  EXPECT_THROW(ask(""), std::runtime_error);
}

TEST(Client, opens_a_new_connection_unnoticed_when_the_kept_one_has_been_closed) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  // Says it keeps the connection, and closes it all the same.
  const ScriptedServer server({answer, answer});
  Client client(at(server.port));
  EXPECT_EQ(client.send({}).body, "ok");
  EXPECT_EQ(client.send({}).body, "ok");
  EXPECT_EQ(server.connections, 2);
}

TEST(Client, never_repeats_a_request_on_a_connection_that_was_new) {
  const ScriptedServer server({""});
  Client client(at(server.port), Seconds{5});
  EXPECT_THROW(client.send({}), std::runtime_error);
  EXPECT_EQ(server.connections, 1);
}

TEST(Client, gives_up_after_its_time) {
  const Listening silent = listen_on(loopback(), 1);  // connects, and nobody ever answers
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(Client(at(silent.port), Seconds{1}).send({}), std::runtime_error);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

TEST(Client, says_plainly_that_nobody_is_there) {
  uint16_t port = 0;
  { port = listen_on(loopback(), 1).port; }
  try {
    fetch("http://127.0.0.1:" + std::to_string(port) + "/", {});
    FAIL() << "somebody answered";
  } catch (const std::runtime_error& failure) {
    EXPECT_NE(std::string(failure.what()).find("cannot connect to 127.0.0.1:"), std::string::npos)
        << failure.what();
  }
  Target target;
  target.unix_path = "/nonexistent/socket";
  EXPECT_THROW(Client(target).send({}), std::runtime_error);
}

TEST(Client, refuses_to_send_what_would_be_two_requests) {
  Server server(loopback(), {}, 1, mirror);
  Client client(at(server.port()));
  ClientRequest request;
  for (const std::string_view path : {"/a b", "/a\r\nX: y", "", "/\n"}) {
    request.path_and_query = path;
    EXPECT_THROW(client.send(request), std::invalid_argument) << path;
  }
  request.path_and_query = "/";
  request.headers.add("X", "a\r\nY: b");
  EXPECT_THROW(client.send(request), std::invalid_argument);
}

TEST(Fetch, asks_for_the_path_of_the_url) {
  Server server(loopback(), {}, 1, mirror);
  EXPECT_EQ(fetch("http://127.0.0.1:" + std::to_string(server.port()) + "/p?q", {}).body,
            "GET /p?q [] plain");
}

// --- TLS ---

// A certificate for `host` that signs itself, as two PEM files that vanish with it.
class SelfSigned {
 public:
  explicit SelfSigned(const std::string& names) {
    const std::string stem =
        testing::TempDir() + "behalf-tls-" + std::to_string(getpid()) + "-" + std::to_string(++count_);
    files = {stem + ".pem", stem + ".key"};
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_NAME* name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1,
                               -1, 0);
    X509_set_issuer_name(certificate.get(), name);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
    X509_add_ext(certificate.get(), extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    std::FILE* file = std::fopen(files.certificate.c_str(), "w");
    PEM_write_X509(file, certificate.get());
    std::fclose(file);
    file = std::fopen(files.private_key.c_str(), "w");
    PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
  }
  ~SelfSigned() {
    std::filesystem::remove(files.certificate);
    std::filesystem::remove(files.private_key);
  }
  SelfSigned(const SelfSigned&) = delete;
  SelfSigned& operator=(const SelfSigned&) = delete;

  TlsFiles files;

 private:
  static inline int count_ = 0;
};

Listen secure_loopback(const SelfSigned& identity) {
  Listen listen = loopback();
  listen.tls = identity.files;
  return listen;
}

Target secure_at(const Server& server, const std::string& host, const std::string& ca_file) {
  Target target = at(server.port());
  target.host = host;
  target.tls = true;
  target.ca_file = ca_file;
  return target;
}

TEST(Tls, carries_requests_there_and_back) {
  const SelfSigned identity("DNS:localhost,IP:127.0.0.1");
  Limits limits;
  limits.body_bytes = 1024 * 1024;
  Server server(secure_loopback(identity), limits, 1, mirror);
  for (const std::string host : {"localhost", "127.0.0.1"}) {
    Client client(secure_at(server, host, identity.files.certificate));
    ClientRequest request;
    request.method = "POST";
    for (const size_t size : {size_t{5}, limits.body_bytes, size_t{0}}) {
      request.body = std::string(size, 'b');
      EXPECT_EQ(client.send(request).body, "POST /? [" + request.body + "] secure");
    }
  }
}

TEST(Tls, refuses_a_certificate_for_another_host_or_from_nobody_known) {
  const SelfSigned other("DNS:other.example,IP:192.0.2.1");
  Server server(secure_loopback(other), {}, 1, mirror);
  for (const std::string host : {"localhost", "127.0.0.1"}) {
    EXPECT_THROW(Client(secure_at(server, host, other.files.certificate)).send({}), std::runtime_error)
        << host;
    EXPECT_THROW(Client(secure_at(server, host, "")).send({}), std::runtime_error) << host;
  }
  const SelfSigned stranger("DNS:localhost");
  Server named(secure_loopback(stranger), {}, 1, mirror);
  EXPECT_THROW(Client(secure_at(named, "localhost", other.files.certificate)).send({}), std::runtime_error);
}

TEST(Tls, refuses_files_that_are_missing_or_do_not_match) {
  const SelfSigned one("DNS:localhost"), two("DNS:localhost");
  Listen listen = loopback();
  listen.tls = TlsFiles{one.files.certificate, two.files.private_key};
  EXPECT_THROW(Server(listen, {}, 1, mirror), std::runtime_error);
  listen.tls = TlsFiles{"/nonexistent", one.files.private_key};
  EXPECT_THROW(Server(listen, {}, 1, mirror), std::runtime_error);
  EXPECT_THROW(Client(Target{"localhost", 1, "", true, "/nonexistent"}), std::runtime_error);
}

TEST(Tls, outlives_clients_that_speak_plain_http_or_nothing) {
  const SelfSigned identity("DNS:localhost");
  Limits limits;
  limits.header_time = Seconds{1};
  Server server(secure_loopback(identity), limits, 1, mirror);
  RawClient plain(server.port());
  plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(plain.read_to_end().find("HTTP/1.1"), std::string::npos);
  EXPECT_TRUE(plain.saw_close());
  RawClient silent(server.port());
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_TRUE(silent.saw_close()) << "the handshake has a deadline";
  EXPECT_EQ(Client(secure_at(server, "localhost", identity.files.certificate)).send({}).status, 200);
}

TEST(Tls, keeps_the_answer_of_a_refusal) {
  const SelfSigned identity("DNS:localhost");
  Server server(secure_loopback(identity), {}, 1, mirror);
  ClientRequest request;
  request.method = "POST";
  request.body = std::string(100'000, 'b');
  EXPECT_EQ(Client(secure_at(server, "localhost", identity.files.certificate)).send(request).status, 413);
}

}  // namespace
}  // namespace behalf::http
