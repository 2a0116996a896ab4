// Where the server listens, and whom it takes a caller to be.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "http/client.h"
#include "unit/http/server_fixture.h"

namespace behalf::http {
namespace {

std::string temporary_path(std::string_view name) {
  return testing::TempDir() + "behalf-http-" + std::to_string(getpid()) + "-" + std::string(name);
}

TEST(Listening, on_a_port_in_use_is_an_error_with_one_thread_and_with_two) {
  Fixture fixture;
  Fixture shared(echo, {}, 2);
  for (const uint16_t port : {fixture.server.port(), shared.server.port()}) {
    for (const unsigned threads : {1U, 2U}) {
      Listen listen = loopback();
      listen.port = port;
      EXPECT_THROW(Server(listen, {}, threads, echo), std::system_error) << threads;
    }
  }
}

TEST(Listening, on_what_is_no_address_is_an_error) {
  Listen listen;
  for (const std::string address : {"", "localhost", "127.0.0.1.5", "1.2.3.4:80"}) {
    listen.address = address;
    EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error) << address;
  }
  listen = loopback();
  listen.trusted_proxies = {"proxy.example"};
  EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error);
}

TEST(Listening, on_a_unix_socket_only_its_owner_may_use) {
  Listen listen;
  listen.unix_path = temporary_path("owner");
  {
    Server server(listen, {}, 2, echo);
    struct stat status {};
    ASSERT_EQ(stat(listen.unix_path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    Target target;
    target.unix_path = listen.unix_path;
    EXPECT_EQ(Client(target).send({}).body, "GET / [] unix plain");
  }
  EXPECT_FALSE(std::filesystem::exists(listen.unix_path)) << "it is taken away at the end";
}

TEST(Listening, on_a_unix_socket_replaces_a_stale_file_and_spares_a_live_one) {
  Listen listen;
  listen.unix_path = temporary_path("stale");
  {
    const Listening abandoned = listen_on(listen, 1);  // closes, and leaves its file
  }
  ASSERT_TRUE(std::filesystem::exists(listen.unix_path));
  Server server(listen, {}, 1, echo);
  EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error);
  Target target;
  target.unix_path = listen.unix_path;
  EXPECT_EQ(Client(target).send({}).status, 200);
}

TEST(Listening, on_a_unix_socket_never_removes_another_kind_of_file) {
  Listen listen;
  listen.unix_path = temporary_path("file");
  Descriptor(::open(listen.unix_path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error);
  EXPECT_TRUE(std::filesystem::exists(listen.unix_path));
  std::filesystem::remove(listen.unix_path);
  listen.unix_path = std::string(200, 'a');
  EXPECT_THROW(Server(listen, {}, 1, echo), std::runtime_error);
}

// --- Proxies ---

std::string seen_through(const std::vector<std::string>& trusted, std::string_view headers) {
  Listen listen = loopback();
  listen.trusted_proxies = trusted;
  Server server(listen, {}, 1, echo);
  RawClient client(server.port());
  client.send("GET / HTTP/1.0\r\n" + std::string(headers) + "\r\n");
  const std::string answer = client.read_to_end();
  return answer.substr(answer.find("[] ") + 3);
}

TEST(Proxy, is_believed_only_where_it_is_trusted_and_only_in_its_last_word) {
  const std::string_view forwarded =
      "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: http, https\r\n";
  EXPECT_EQ(seen_through({}, forwarded), "127.0.0.1 plain");
  EXPECT_EQ(seen_through({"127.0.0.2", "::1"}, forwarded), "127.0.0.1 plain");
  EXPECT_EQ(seen_through({"127.0.0.2", "127.0.0.1"}, forwarded), "192.0.2.7 secure");
  EXPECT_EQ(seen_through({"127.0.0.1"}, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.8\r\n"),
            "192.0.2.8 plain");
  EXPECT_EQ(seen_through({"127.0.0.1"}, "X-Forwarded-For: 2001:DB8:0::1\r\n"), "2001:db8::1 plain");
  EXPECT_EQ(seen_through({"127.0.0.1"}, "X-Forwarded-Proto: https, http\r\n"), "127.0.0.1 plain");
}

TEST(Proxy, that_names_no_address_is_itself_the_peer) {
  for (const std::string_view value : {"unknown", "192.0.2.7, _hidden", "", "192.0.2.7:80", "<script>"}) {
    EXPECT_EQ(seen_through({"127.0.0.1"}, "X-Forwarded-For: " + std::string(value) + "\r\n"),
              "127.0.0.1 plain");
  }
}

}  // namespace
}  // namespace behalf::http
