// Requests that are no OAuth requests: every one gets a bounded 4xx, and the honest request still works.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

TEST(Robustness, the_form_is_read_strictly) {  // E-28, S-01, S-04, 307
  TestServer server;
  const std::string good =
      "grant_type=client_credentials&scope=r1.read&resource=https%3A%2F%2Fapi.example%2Fr1";
  const auto send = [&](const std::string& body,
                        const std::string& type = "application/x-www-form-urlencoded",
                        const std::string& path = "/token") {
    http::Headers headers = server.basic("ca");
    if (!type.empty()) headers.set("Content-Type", type);
    return server.send({.method = "POST", .path_and_query = path, .headers = headers, .body = body});
  };
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "&a=1";
  const struct {
    std::string name, body, type, path;
  } rows[] = {
      {"JSON", R"({"grant_type":"client_credentials"})", "application/json", "/token"},
      {"multipart", "--x\r\n\r\n--x--", "multipart/form-data; boundary=x", "/token"},
      {"no type", good, "", "/token"},
      {"other charset", good, "application/x-www-form-urlencoded; charset=utf-16", "/token"},
      {"in the URL", good, "application/x-www-form-urlencoded", "/token?client_id=ca"},
      {"duplicated", good + "&scope=r1.read", "application/x-www-form-urlencoded", "/token"},
      {"duplicated unknown", good + "&x=1&x=2", "application/x-www-form-urlencoded", "/token"},
      {"NUL", good + "&x=%00", "application/x-www-form-urlencoded", "/token"},
      {"bad escape", good + "&x=%zz", "application/x-www-form-urlencoded", "/token"},
      {"cut escape", good + "&x=%4", "application/x-www-form-urlencoded", "/token"},
      {"overlong UTF-8", good + "&x=%c0%af", "application/x-www-form-urlencoded", "/token"},
      {"no name", good + "&=1", "application/x-www-form-urlencoded", "/token"},
      {"10,000 parameters", good + many, "application/x-www-form-urlencoded", "/token"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    expect_refused(server, send(row.body, row.type, row.path), 400, "invalid_request");
  }
  EXPECT_EQ(send(good, "Application/X-WWW-Form-Urlencoded; charset=UTF-8").status, 200);
  EXPECT_EQ(send(good + "&unknown=1&empty=").status, 200);
  const std::string filled = good + "&x=";
  EXPECT_EQ(send(filled + std::string(64 * 1024 - filled.size(), 'x')).status, 200);
  EXPECT_EQ(send(filled + std::string(64 * 1024 + 1 - filled.size(), 'x')).status, 413);
}

TEST(Robustness, a_megabyte_is_cut_off) {  // S-01
  TestServer server;
  int status = 413;
  try {
    status = server.post("/token", {{"grant_type", std::string(1024 * 1024, 'x')}}).status;
  } catch (const std::runtime_error&) {
    // The connection was closed before all of it was sent.
  }
  EXPECT_EQ(status, 413);
  EXPECT_EQ(server.flow("ca", "a1", "r1.read").status, 200);
}

TEST(Robustness, methods_are_answered_405_with_allow) {  // E-30, 309, 217
  TestServer server;
  for (const char* path : {"/token", "/introspect", "/revoke", "/par"}) {
    for (const char* method : {"GET", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
      SCOPED_TRACE(std::string(method) + " " + path);
      const Reply reply = server.send({.method = method, .path_and_query = path, .headers = {}, .body = {}});
      EXPECT_EQ(reply.status, 405);
      EXPECT_EQ(reply.header("Allow"), "POST");
      EXPECT_EQ(reply.header("Cache-Control"), "no-store");
    }
  }
  EXPECT_EQ(server.get("/token.css").status, 404);
  EXPECT_EQ(server.get("/assets/..%2fkeys").status, 404);
}

}  // namespace
}  // namespace behalf::test
