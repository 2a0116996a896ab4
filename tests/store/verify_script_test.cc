// The script of docs/audit-format.md, taken out of the page, against a log that was damaged in the ways the
// page names.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::Transaction;

std::string script_of_the_page() {
  std::ifstream file(BEHALF_SOURCE "/docs/audit-format.md");
  std::stringstream page;
  page << file.rdbuf();
  const std::string text = page.str();
  const std::string fence = "```python\n";
  const size_t begin = text.find(fence);
  const size_t end = text.find("\n```\n", begin);
  EXPECT_NE(begin, std::string::npos);
  EXPECT_NE(end, std::string::npos);
  return text.substr(begin + fence.size(), end - begin - fence.size() + 1);
}

TEST(VerifyScript, FindsWhatWasDoneToALog) {
  char name[] = "/tmp/behalf_verify_XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const std::string folder = name;
  const std::string path = folder + "/behalf.db";
  std::ofstream(folder + "/verify.py") << script_of_the_page();
  const auto says = [&] {
    FILE* pipe = popen(("python3 " + folder + "/verify.py " + path + " 2>&1").c_str(), "r");
    std::string said;
    char piece[512];
    while (pipe != nullptr && std::fgets(piece, sizeof piece, pipe) != nullptr) said += piece;
    if (pipe != nullptr) pclose(pipe);
    return said;
  };
  const auto damage = [&](const std::string& sql) {
    const auto connector = store::sqlite_connector(path);
    const auto database = connector->open_writer();
    database->begin();
    database->run_script(sql);
    database->commit();
  };
  {
    const auto store = open_store(store::sqlite_connector(path));
    EXPECT_EQ(says(), "no records\n");
    store->run([](Transaction& transaction) {
      for (int i = 0; i < 4; ++i) transaction.append_audit(make_record("e", i % 2 == 0 ? "g" : ""), kNow);
      AuditRecord own = make_record("own");
      own.lineage = "root";
      transaction.append_audit(own, kNow);
    });
    EXPECT_TRUE(says().starts_with("verified up to record 5, ")) << says() << "while the server has it open";
  }
  EXPECT_TRUE(says().starts_with("verified up to record 5, ")) << says();
  damage("UPDATE audit SET grant_id = 'other' WHERE sequence = 3");
  EXPECT_EQ(says(), "BROKEN: record 3 is filed as 3, under other\n");
  damage("UPDATE audit SET grant_id = 'g' WHERE sequence = 3; DELETE FROM audit WHERE sequence = 5");
  EXPECT_EQ(says(), "BROKEN: 5 records were written, the last that is there is 4\n");
  damage("UPDATE head SET sequence = 4");
  EXPECT_TRUE(says().starts_with("BROKEN: 4 records were written")) << says() << "with another hash";
  damage("UPDATE head SET hash = (SELECT hash FROM audit WHERE sequence = 4)");
  EXPECT_TRUE(says().starts_with("verified up to record 4, ")) << says();
  damage("UPDATE audit SET record = replace(record, 'e', 'f') WHERE sequence = 2");
  EXPECT_TRUE(says().starts_with("BROKEN: ") || says().find("Error") != std::string::npos) << says();
  damage("DELETE FROM audit");
  EXPECT_EQ(says(), "BROKEN: 4 records were written, the last that is there is None\n");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace behalf::test
