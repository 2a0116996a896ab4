// The canonical text of an audit record: what the hash chain covers, so its order and escaping must never
// move.
#include "model/audit.h"

#include <gtest/gtest.h>

namespace behalf {
namespace {

TEST(AuditRecord, writes_every_member_in_one_fixed_order) {
  AuditRecord record;
  record.event = "token.authorization_code";
  record.outcome = AuditOutcome::kDenied;
  record.error = "invalid_grant";
  record.reason = "code_spent";
  record.request_id = "req";
  record.trace = "tr";
  record.peer = "127.0.0.1";
  record.user = "u";
  record.client = "c";
  record.agent = "a";
  record.chain.actors = {{ActorKind::kAgent, "b", 2}, {ActorKind::kAgent, "a", 1}};
  record.grant = "g";
  record.node = "n";
  record.parent = "p";
  record.scope = "x y";
  record.resource = "https://api.example/";
  record.details.set("retry", true);
  EXPECT_EQ(
      canonical_json(record, 7, {1234}),
      R"({"seq":7,"time":1234,"event":"token.authorization_code","outcome":"denied","error":"invalid_grant",)"
      R"("reason":"code_spent","request_id":"req","trace":"tr","peer":"127.0.0.1","user":"u","client":"c","agent":"a",)"
      R"("chain":["b","a"],"grant":"g","node":"n","parent":"p","scope":"x y","resource":"https://api.example/",)"
      R"("details":{"retry":true}})");
}

TEST(AuditRecord, has_no_member_for_what_is_empty) {
  AuditRecord record;
  record.event = "e";
  record.outcome = AuditOutcome::kAllowed;
  EXPECT_EQ(canonical_json(record, 1, {0}), R"({"seq":1,"time":0,"event":"e","outcome":"allowed"})");
}

TEST(AuditRecord, what_callers_send_cannot_add_members_or_lines) {
  AuditRecord record;
  record.event = "authorize";
  record.client = "x\",\"outcome\":\"allowed";
  record.reason = "line\nbreak\x1B[2J";
  const std::string text = canonical_json(record, 1, {0});
  EXPECT_EQ(text.find_first_of("\n\x1B"), std::string::npos);
  const auto read = json::parse(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(*read->find_string("outcome"), "denied");
  EXPECT_EQ(*read->find_string("client"), record.client);
  EXPECT_EQ(*read->find_string("reason"), record.reason);
}

TEST(AuditRecord, is_denied_unless_someone_says_allowed) {
  EXPECT_EQ(AuditRecord{}.outcome, AuditOutcome::kDenied);
}

}  // namespace
}  // namespace behalf
