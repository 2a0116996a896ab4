// Redirect URIs are equal byte for byte but for the loopback port (RFC 6749 §3.1.2.3, RFC 8252 §7.3,
// invariant I8), and resources have one spelling (RFC 8707 §2).
#include "base/uri.h"

#include <gtest/gtest.h>

namespace behalf {
namespace {

TEST(Redirect, only_the_very_same_text_matches) {
  constexpr std::string_view kRegistered = "https://app.example/cb";
  EXPECT_TRUE(redirect_matches(kRegistered, kRegistered));
  for (const char* presented : {"https://app.example/cb/",
                                "https://app.example/cb/../evil",
                                "https://app.example/cb%2f..%2fevil",
                                "https://app.example/cb;x",
                                "https://app.example//cb",
                                "https://app.example/cb?x=1",
                                "https://app.example/cb?",
                                "https://app.example/cb#f",
                                "https://app.example/cb#",
                                "https://app.example\\cb",
                                "https://app.example/cb\\",
                                "https://app.example/cb%5c",
                                "https://app.example@evil.example/cb",
                                "https://user@app.example/cb",
                                "https://app.example:443/cb",
                                "https://app.example:8443/cb",
                                "https://APP.example/cb",
                                "HTTPS://app.example/cb",
                                "https://app.example./cb",
                                "https:/app.example/cb",
                                "https:app.example/cb",
                                "//app.example/cb",
                                "/cb",
                                "",
                                "https://app.example/c\tb",
                                "https://app.example/cb\n",
                                " https://app.example/cb",
                                "https://app.example/cb ",
                                "https://app.ex\xD0\xB0mple/cb",
                                "https://xn--app-example/cb",
                                "https://app.example.evil.example/cb",
                                "https://app.example/CB",
                                "https://app.example/%63b",
                                "http://app.example/cb",
                                "https://app.example"}) {
    EXPECT_FALSE(redirect_matches(kRegistered, presented)) << presented;
  }
}

TEST(Redirect, a_loopback_address_may_come_with_any_port) {
  for (const char* registered : {"http://127.0.0.1/cb", "http://127.0.0.1:5000/cb"}) {
    for (const char* presented :
         {"http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"}) {
      EXPECT_TRUE(redirect_matches(registered, presented)) << registered << " " << presented;
    }
  }
  EXPECT_TRUE(redirect_matches("http://[::1]/cb", "http://[::1]:4711/cb"));
  EXPECT_TRUE(redirect_matches("http://localhost/cb", "http://localhost:4711/cb"));
  EXPECT_TRUE(redirect_matches("http://127.0.0.1/cb?a=1", "http://127.0.0.1:9/cb?a=1"));
}

TEST(Redirect, the_port_is_all_that_may_differ) {
  constexpr std::string_view kRegistered = "http://127.0.0.1/cb";
  for (const char* presented : {"http://127.0.0.1:5000/other",
                                "http://127.0.0.1:5000/cb/",
                                "http://127.0.0.1:5000/cb?x=1",
                                "http://127.0.0.1:5000/cb?",
                                "http://127.0.0.1:5000/cb#f",
                                "http://127.0.0.1:5000/cb#",
                                "http://localhost:5000/cb",
                                "http://[::1]:5000/cb",
                                "http://127.0.0.1.evil.example/cb",
                                "http://127.1/cb",
                                "http://0x7f.1/cb",
                                "http://2130706433/cb",
                                "http://[::ffff:127.0.0.1]/cb",
                                "http://0.0.0.0/cb",
                                "http://127.0.0.2/cb",
                                "http://user@127.0.0.1/cb",
                                "http://127.0.0.1@evil.example/cb",
                                "http://127.0.0.1:5000@evil.example/cb",
                                "http://127.0.0.1:x/cb",
                                "http://127.0.0.1:/cb",
                                "http://127.0.0.1:99999/cb",
                                "http://127.0.0.1:-1/cb",
                                "http://127.0.0.1: 80/cb",
                                "https://127.0.0.1:5000/cb",
                                "http://127.0.0.1:5000",
                                "http://127.0.0.1:5000\\@evil.example/cb"}) {
    EXPECT_FALSE(redirect_matches(kRegistered, presented)) << presented;
  }
  EXPECT_FALSE(redirect_matches("http://[::1]/cb", "http://[::2]:5000/cb"));
  EXPECT_FALSE(redirect_matches("http://[::1]/cb", "http://[::1]x:5000/cb"));
}

TEST(Redirect, no_port_rule_for_https_or_other_hosts) {
  EXPECT_FALSE(redirect_matches("https://127.0.0.1/cb", "https://127.0.0.1:5000/cb"));
  EXPECT_FALSE(redirect_matches("http://app.example/cb", "http://app.example:5000/cb"));
  EXPECT_FALSE(redirect_matches("com.example.app:/cb", "com.example.app:/cb2"));
  EXPECT_TRUE(redirect_matches("com.example.app:/cb", "com.example.app:/cb"));
}

TEST(Redirect, what_may_be_registered) {
  for (const char* uri : {"https://app.example/cb", "https://app.example:8443/cb?a=1", "https://app.example",
                          "http://127.0.0.1/cb", "http://[::1]:8080/cb", "http://localhost/cb",
                          "com.example.app:/cb", "com.example.app://cb/x"}) {
    EXPECT_TRUE(is_registrable_redirect(uri)) << uri;
  }
  for (const char* uri : {"",
                          "javascript:alert(1)",
                          "data:text/html,x",
                          "vbscript:x",
                          "file:///etc/passwd",
                          "blob:https://app.example/x",
                          "about:blank",
                          " https://app.example/cb",
                          "JaVaScRiPt:alert(1)",
                          "\x01javascript:x",
                          "java\tscript:x",
                          "http://app.example/cb",
                          "http://127.0.0.1.evil.example/cb",
                          "http://127.0.0.2/cb",
                          "http://0.0.0.0/cb",
                          "https://app.example/cb#",
                          "https://app.example/cb#f",
                          "https://user@app.example/cb",
                          "https://user:pw@app.example/cb",
                          "https:///cb",
                          "https:/app.example/cb",
                          "https:app.example",
                          "HTTPS://app.example/cb",
                          "myapp:/cb",
                          "com.example.app:",
                          "Com.Example.App:/cb",
                          "https://app.example\\cb",
                          "/cb",
                          "app.example/cb",
                          "https://app.ex\xC3\xA4mple/cb",
                          "https://app.example:port/cb",
                          "https://app.example/c b",
                          "https://[::1/cb",
                          "*"}) {
    EXPECT_FALSE(is_registrable_redirect(uri)) << uri;
  }
}

TEST(Resource, has_one_canonical_spelling) {
  const std::pair<const char*, const char*> kSame[] = {
      {"https://api.example", "https://api.example/"},
      {"HTTPS://API.Example/Path", "https://api.example/Path"},
      {"https://api.example:443/x", "https://api.example/x"},
      {"http://api.example:80", "http://api.example/"},
      {"https://api.example:8443", "https://api.example:8443/"},
      {"http://api.example:443/", "http://api.example:443/"},
      {"https://api.example/x?y=Z", "https://api.example/x?y=Z"},
      {"https://api.example/x/", "https://api.example/x/"},
      {"https://api.example/%7Ex", "https://api.example/%7Ex"},
      {"urn:example:API", "urn:example:API"},
      {"https://[::1]:443/", "https://[::1]/"}};
  for (const auto& [uri, canonical] : kSame) {
    EXPECT_EQ(canonical_resource(uri), canonical) << uri;
    EXPECT_EQ(canonical_resource(canonical), canonical) << "not idempotent";
  }
  for (const char* uri : {"", "api", "/x", "api.example/x", "https://api.example/#", "https://api.example/#x",
                          "https://user@api.example/", "https:///x", "https://api.example/a b",
                          "https://api.example:x/", "1ttps://api.example"}) {
    EXPECT_FALSE(canonical_resource(uri)) << uri;
  }
}

TEST(Uri, is_split_by_RFC_3986_appendix_B) {
  const auto parts = split_uri("https://host:1/p/q?a=b?c#f#g");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->scheme, "https");
  EXPECT_EQ(parts->authority, "host:1");
  EXPECT_EQ(parts->path, "/p/q");
  EXPECT_EQ(parts->query, "a=b?c");
  EXPECT_EQ(parts->fragment, "f#g");
  const auto bare = split_uri("urn:x");
  ASSERT_TRUE(bare);
  EXPECT_FALSE(bare->authority || bare->query || bare->fragment);
  EXPECT_EQ(bare->path, "x");
}

TEST(Uri, people_see_where_it_goes) {
  EXPECT_EQ(display_host("https://app.example:8443/cb"), "app.example:8443");
  EXPECT_EQ(display_host("http://[::1]:5000/cb"), "[::1]");
  EXPECT_EQ(display_host("com.example.app:/cb"), "com.example.app:");
  EXPECT_EQ(display_host("com.example.app://bank.example/cb"), "com.example.app:");
  EXPECT_EQ(display_host("https://bank.example@evil.example/"), "");
  EXPECT_EQ(display_host("not a uri"), "");
}

}  // namespace
}  // namespace behalf
