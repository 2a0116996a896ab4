// The rules of authority that need no store: whom an agent may serve, what a scope parameter is, when a token
// is worth issuing.
#include "oauth/authority.h"

#include <gtest/gtest.h>

namespace behalf::oauth {
namespace {

struct Cast {
  Agent agent;
  Client client;
  Resource resource;
  Subject person{SubjectKind::kUser, "u", 1};
  Cast() {
    agent.id = AgentId(std::string("a"));
    agent.clients.names = {"c"};
    client.id = ClientId(std::string("c"));
    resource.id = ResourceId(std::string("https://api.example/"));
  }
};

TEST(WhyNotAllowed, is_silent_where_everything_fits) {
  const Cast cast;
  EXPECT_EQ(why_not_allowed(cast.agent, cast.client, cast.person, &cast.resource), "");
  EXPECT_EQ(why_not_allowed(cast.agent, cast.client, cast.person, nullptr), "");
}

TEST(WhyNotAllowed, names_the_first_thing_that_does_not_fit) {
  Cast cast;
  cast.agent.status = Status::kSuspended;
  EXPECT_EQ(why_not_allowed(cast.agent, cast.client, cast.person, nullptr), "agent_inactive");
  cast.agent.status = Status::kActive;
  cast.agent.clients.names = {"other"};
  EXPECT_EQ(why_not_allowed(cast.agent, cast.client, cast.person, nullptr), "agent_not_for_this_client");
  cast.client.agent = cast.agent.id;
  EXPECT_EQ(why_not_allowed(cast.agent, cast.client, cast.person, nullptr), "")
      << "a client that is the agent may name it";
  cast.agent.users = {.everyone = false, .names = {"v"}};
  EXPECT_EQ(why_not_allowed(cast.agent, cast.client, cast.person, nullptr), "agent_not_for_this_user");
  EXPECT_EQ(why_not_allowed(cast.agent, cast.client, {SubjectKind::kAgent, "u", 1}, nullptr), "")
      << "the list is about people";
  cast.agent.users = {.everyone = true, .names = {}};
  cast.agent.resources = {.everyone = false, .names = {}};
  EXPECT_EQ(why_not_allowed(cast.agent, cast.client, cast.person, &cast.resource),
            "agent_not_for_this_resource");
}

TEST(ReadScope, tells_absent_from_malformed) {
  const auto scope_of = [](std::string_view body) { return read_scope(*http::Form::parse(body)); };
  const auto absent = scope_of("grant_type=x");
  ASSERT_TRUE(absent);
  EXPECT_FALSE(absent->has_value());
  const auto two = scope_of("scope=b+a");
  ASSERT_TRUE(two);
  EXPECT_EQ((*two)->text(), "a b");
  for (const char* body : {"scope=%22", "scope=a%0Ab", "scope=%C3%A4", "scope=+"}) {
    const auto bad = scope_of(body);
    ASSERT_FALSE(bad) << body;
    EXPECT_EQ(bad.reason().code, ErrorCode::kInvalidScope);
  }
}

TEST(UsableEnd, is_whole_seconds_and_at_least_one_away) {
  const UnixTime now{10'400};
  EXPECT_EQ(usable_end(now, {12'999}), UnixTime{12'000});
  EXPECT_EQ(usable_end(now, {11'000}), UnixTime{11'000});
  EXPECT_FALSE(usable_end(now, {10'999}));
  EXPECT_FALSE(usable_end(now, now));
  EXPECT_FALSE(usable_end(now, {0}));
}

}  // namespace
}  // namespace behalf::oauth
