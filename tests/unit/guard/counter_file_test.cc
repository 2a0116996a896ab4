// Budgets outlive the guard, and a damaged file gives none back.
#include "guard/counter_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace behalf::guard {
namespace {

constexpr sdk::Milliseconds kNow = 1'795'608'000'000;

class CounterFileTest : public testing::Test {
 protected:
  CounterFileTest() {
    std::filesystem::create_directories(folder_);
    std::vector<sdk::Policy::Fault> faults;
    policy_ = sdk::Policy::parse(
        "[[rule]]\nname = \"r\"\neffect = \"allow\"\nmethods = [\"GET\"]\npaths = [\"/\"]\n"
        "budget = { per = \"person\", count = 3, in = \"total\" }\n",
        "policy.toml", faults);
  }
  ~CounterFileTest() override { std::filesystem::remove_all(folder_); }

  int allowed(sdk::Policy::Counters& counters, int tries) const {
    sdk::Delegation alice;
    alice.subject = "alice";
    const sdk::Action action{"GET", "/", "", std::nullopt};
    int count = 0;
    for (int i = 0; i < tries; ++i)
      count += policy_->decide(action, &alice, kNow, {}, &counters).allowed() ? 1 : 0;
    return count;
  }
  std::string bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string folder_ = testing::TempDir() + "behalf-counters-" + std::to_string(getpid());
  const std::string path_ = folder_ + "/counters";
  std::shared_ptr<const sdk::Policy> policy_;
};

TEST_F(CounterFileTest, a_budget_outlives_the_process) {
  {
    sdk::Policy::Counters counters;
    CounterFile file(path_, counters);
    EXPECT_EQ(allowed(counters, 2), 2);
    file.save(kNow);
  }
  struct stat state {};
  ASSERT_EQ(::stat(path_.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600U);
  sdk::Policy::Counters counters;
  CounterFile file(path_, counters);
  EXPECT_EQ(allowed(counters, 5), 1);
}

TEST_F(CounterFileTest, is_written_when_due_and_something_changed) {
  sdk::Policy::Counters counters;
  CounterFile file(path_, counters);
  allowed(counters, 1);
  file.save_if_due(kNow);
  const std::string first = bytes();
  EXPECT_FALSE(first.empty());
  allowed(counters, 1);
  file.save_if_due(kNow + CounterFile::kEvery - 1);
  EXPECT_EQ(bytes(), first);
  file.save_if_due(kNow + CounterFile::kEvery);
  EXPECT_NE(bytes(), first);
  std::filesystem::remove(path_);
  file.save(kNow + 2 * CounterFile::kEvery);
  EXPECT_FALSE(std::filesystem::exists(path_)) << "nothing changed";
  allowed(counters, 1);
  file.save_if_due(kNow);
  EXPECT_TRUE(std::filesystem::exists(path_)) << "the clock was set back";
}

TEST_F(CounterFileTest, a_damaged_file_is_no_fresh_start) {
  {
    sdk::Policy::Counters counters;
    CounterFile file(path_, counters);
    allowed(counters, 3);
    file.save(kNow);
  }
  const std::string good = bytes();
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() / 2), good + "x", std::string("x") + good}) {
    std::ofstream(path_, std::ios::binary) << bad;
    sdk::Policy::Counters counters;
    EXPECT_THROW(CounterFile(path_, counters), std::runtime_error);
  }
  std::filesystem::remove(path_);
  std::filesystem::create_directories(path_);
  sdk::Policy::Counters counters;
  EXPECT_THROW(CounterFile(path_, counters), std::runtime_error);
}

TEST_F(CounterFileTest, goes_on_where_it_cannot_write) {
  sdk::Policy::Counters counters;
  CounterFile file(folder_ + "/none/counters", counters);
  allowed(counters, 1);
  file.save(kNow);
  EXPECT_EQ(allowed(counters, 5), 2);
}

}  // namespace
}  // namespace behalf::guard
