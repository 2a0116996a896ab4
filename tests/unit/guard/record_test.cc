// Records as lines: JSON Lines and OCSF, with whatever a caller may have written in them.
#include "guard/record.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace behalf::guard {
namespace {

Record sample() {
  Record record;
  record.id = "r-1";
  record.time = 1'795'608'000'123;
  record.person = "alice";
  record.client = "planner";
  record.chain = {"agent-b", "agent-a"};
  record.method = "POST";
  record.path = "/mcp";
  record.calls = {"tools/call search"};
  record.resource = "https://api.example";
  record.allowed = false;
  record.status = 403;
  record.reason = "insufficient_scope";
  record.rule = "search";
  record.policy = "0123456789ab";
  record.jti = "t1";
  record.grant = "g1";
  record.trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  record.peer = "192.0.2.1";
  return record;
}

TEST(Record, is_one_json_object_on_one_line) {
  Record record = sample();
  record.path = "/a\"\n\xFF";
  const std::string line = json_line(record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto value = json::parse(line);
  ASSERT_TRUE(value) << line;
  EXPECT_EQ(*value->find_string("id"), "r-1");
  EXPECT_EQ(*value->find_integer("time"), 1'795'608'000'123);
  EXPECT_EQ(*value->find_string("person"), "alice");
  EXPECT_EQ(value->find("chain")->array()->size(), 2U);
  EXPECT_EQ(*value->find("chain")->array()->front().string(), "agent-b");
  EXPECT_EQ(*value->find_string("verdict"), "denied");
  EXPECT_EQ(*value->find("action")->find_string("path"), "") << "what is no text is left out";
  EXPECT_EQ(*value->find_string("trace"), record.trace);
}

TEST(Record, control_characters_are_spaces) {
  Record record = sample();
  record.calls = {std::string("tools/call a\0b\nc\x7F", 17)};
  for (const std::string& line : {json_line(record), ocsf_line(record)}) {
    EXPECT_TRUE(json::parse(line)) << line;
    EXPECT_NE(line.find("tools/call a b c "), std::string::npos) << line;
  }
}

TEST(Record, long_texts_are_cut_between_letters) {
  Record record = sample();
  record.path = "/";
  while (record.path.size() < 3000) record.path += "\xC3\xA9";
  const auto value = json::parse(json_line(record));
  ASSERT_TRUE(value);
  const std::string path = *value->find("action")->find_string("path");
  EXPECT_GT(path.size(), 990U);
  EXPECT_LE(path.size(), 1000U);
}

// ecosystem: OC-S2, OC-S4, OC-S6.
TEST(Record, is_an_ocsf_api_activity) {
  const auto event = json::parse(ocsf_line(sample()));
  ASSERT_TRUE(event);
  EXPECT_EQ(*event->find_integer("class_uid"), 6003);
  EXPECT_EQ(*event->find_integer("category_uid"), 6);
  EXPECT_EQ(*event->find_integer("type_uid"),
            *event->find_integer("class_uid") * 100 + *event->find_integer("activity_id"));
  EXPECT_EQ(*event->find_integer("status_id"), 2);
  EXPECT_EQ(*event->find_string("status_detail"), "insufficient_scope");
  EXPECT_EQ(*event->find("metadata")->find_string("version"), "1.3.0");
  EXPECT_EQ(*event->find("actor")->find("user")->find_string("uid"), "alice");
  EXPECT_EQ(event->find("unmapped")->find("delegation_chain")->array()->size(), 2U);
  EXPECT_EQ(*event->find("api")->find_string("operation"), "tools/call search");
}

TEST(Record, knows_a_traceparent_and_nothing_like_it) {
  EXPECT_EQ(trace_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            "4bf92f3577b34da6a3ce929d0e0e4736");
  for (const char* text : {"", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                           "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                           "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
                           "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"}) {
    EXPECT_EQ(trace_of(text), "") << text;
  }
}

TEST(Record, says_whose_agent_it_was_where_it_is_not_ours) {
  sdk::Delegation delegation;
  delegation.issuer = "https://as.example";
  delegation.chain.push_back({"https://evil.example", "a1", "ai_agent", ""});
  delegation.chain.push_back({"https://as.example", "a2", "ai_agent", ""});
  Record record;
  describe(record, delegation);
  EXPECT_EQ(record.chain, (std::vector<std::string>{"https://evil.example#a1", "a2"}));
}

}  // namespace
}  // namespace behalf::guard
