// Reading what a resource server reports: cut between characters, nothing invented, the first fault named.
#include "model/evidence.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace behalf {
namespace {

Result<std::vector<EvidenceRecord>, EvidenceFault> read(const std::string& members) {
  const auto body =
      json::parse(R"({"records":[{"id":"a","time":5,"verdict":"denied","resource":"r")" + members + "}]}");
  EXPECT_TRUE(body) << members;
  return parse_evidence(*body);
}

TEST(Evidence, what_is_left_out_is_empty) {
  const auto records = read("");
  ASSERT_TRUE(records);
  const EvidenceRecord& record = records->front();
  EXPECT_EQ(record.id, "a");
  EXPECT_EQ(record.time.milliseconds, 5);
  EXPECT_EQ(record.event, "resource.access");
  EXPECT_FALSE(record.allowed);
  EXPECT_FALSE(record.shadow);
  EXPECT_TRUE(record.action.is_null());
  EXPECT_TRUE(record.chain.empty());
  EXPECT_EQ(record.status, 0);
}

TEST(Evidence, long_texts_are_cut_between_characters) {
  for (size_t lead = 0; lead < 4; ++lead) {
    std::string text(lead, 'x');
    while (text.size() <= 1000) text += "\xE2\x82\xAC";
    const auto records = read(",\"reason\":\"" + text + "\"");
    ASSERT_TRUE(records);
    const std::string& cut = records->front().reason;
    EXPECT_LE(cut.size(), 1000u);
    EXPECT_GT(cut.size(), 990u);
    EXPECT_TRUE(is_utf8(cut));
    EXPECT_TRUE(cut.ends_with("\xE2\x80\xA6"));
  }
  EXPECT_EQ(read(",\"reason\":\"" + std::string(1000, 'x') + "\"")->front().reason.size(), 1000u);
}

TEST(Evidence, the_first_fault_is_named) {
  const auto refused = read(R"(,"chain":["a",""],"status":700)");
  ASSERT_FALSE(refused);
  EXPECT_FALSE(refused.reason().is_whole);
  EXPECT_EQ(refused.reason().record, 0u);
  EXPECT_NE(refused.reason().text.find("chain"), std::string::npos);
}

}  // namespace
}  // namespace behalf
