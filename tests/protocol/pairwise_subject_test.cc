// A resource that is told of a person by a name nobody else is told (D-74). Inside, and in the log, it is the
// person.
#include <gtest/gtest.h>

#include "support/expectations.h"

namespace behalf::test {
namespace {

TEST(PairwiseSubject, two_resources_know_one_person_by_two_names) {  // G-18, D-74
  TestServer server;
  server.change("resources", kR1, "subject_type", "pairwise");
  server.change("resources", kR2, "subject_type", "pairwise");
  const std::string one = server.flow("ca", "a1", "r1.read", kR1).text("access_token");
  EXPECT_EQ(text_at(server.last_audit(), "user"), "u1");
  const std::string two = server.flow("ca", "a1", "r2.read", kR2).text("access_token");
  const std::string first = text_at(claims_of(one), "sub");
  const std::string second = text_at(claims_of(two), "sub");
  EXPECT_EQ(first.size(), 43U);
  EXPECT_NE(first, second);
  EXPECT_EQ(text_at(claims_of(one), "sub_profile"), "user");
  // The same person at the same resource, whatever the client and the agent; another person is another name.
  EXPECT_EQ(text_at(claims_of(server.flow("cb", "a2", "r1.read", kR1).text("access_token")), "sub"), first);
  Decision other;
  other.user = "u2";
  EXPECT_NE(text_at(claims_of(server.flow("ca", "a1", "r1.read", kR1, other).text("access_token")), "sub"),
            first);
  // Introspection says what the token says, and knows whose it is.
  EXPECT_EQ(server.introspect("r1-server", one).text("sub"), first);
  EXPECT_EQ(text_at(server.last_audit(), "user"), "u1");
  server.suspend("user", "u1");
  EXPECT_FALSE(server.is_active("r1-server", one));
  EXPECT_FALSE(server.is_active("r2-server", two));
}

TEST(PairwiseSubject, what_is_passed_on_is_about_the_same_person) {  // D-74
  TestServer server;
  server.change("resources", kM1, "subject_type", "pairwise");
  const std::string tc = server.flow("ca", "a1", "m1.use r2.read", kM1).text("access_token");
  EXPECT_NE(text_at(claims_of(tc), "sub"), "u1");
  const std::string exchanged = server.exchange("m1", tc, "a2", {{"resource", kR2}}).text("access_token");
  EXPECT_EQ(text_at(claims_of(exchanged), "sub"), "u1");
  EXPECT_EQ(text_at(claims_of(server.on_behalf_of("m1", tc, kR2 + "/r2.read").text("access_token")), "sub"),
            "u1");
}

TEST(PairwiseSubject, software_goes_by_its_own_name) {
  TestServer server;
  server.change("resources", kR1, "subject_type", "pairwise");
  const Reply reply = server.token(
      "a1-runtime", {{"grant_type", "client_credentials"}, {"resource", kR1}, {"scope", "r1.read"}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(text_at(claims_of(reply.text("access_token")), "sub"), "a1");
  EXPECT_EQ(text_at(claims_of(reply.text("access_token")), "sub_profile"), "ai_agent");
}

}  // namespace
}  // namespace behalf::test
