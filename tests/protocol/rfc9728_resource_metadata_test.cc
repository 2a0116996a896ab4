// Protected resource metadata (RFC 9728), for the resources the server knows.
#include <gtest/gtest.h>

#include "support/test_server.h"

namespace behalf::test {
namespace {

TEST(Rfc9728, S3_1_the_document_names_the_resource_and_this_server) {  // A-10, D-39
  TestServer server;
  for (const std::string& id : {kR1, kR2, kM1}) {
    SCOPED_TRACE(id);
    const Reply reply = server.get("/.well-known/oauth-protected-resource" +
                                   id.substr(std::string("https://api.example").size()));
    ASSERT_EQ(reply.status, 200);
    EXPECT_EQ(reply.text("resource"), id);
    EXPECT_EQ(*reply.json.find("authorization_servers"), json_of(R"(["https://as.example"])"));
    EXPECT_EQ(*reply.json.find("bearer_methods_supported"), json_of(R"(["header"])"));
    EXPECT_FALSE(reply.json.find("scopes_supported")->array()->empty());
  }
  for (const char* path : {"", "/", "/r", "/r1/", "/R1", "/r1/../r2", "/%2e%2e/jwks", "/unknown"}) {
    EXPECT_EQ(server.get("/.well-known/oauth-protected-resource" + std::string(path)).status, 404) << path;
  }
}

}  // namespace
}  // namespace behalf::test
