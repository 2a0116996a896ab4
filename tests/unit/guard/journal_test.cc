// What the journal promises while a loop is busy: no answer before its record, one write a turn, and a
// verdict for each record alone.
#include "guard/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "crypto/hash.h"

namespace behalf::guard {
namespace {

// A loop that does what was posted when it is told to.
class HandLoop final : public Loop {
 public:
  HandLoop() { set_current(this); }
  ~HandLoop() override { set_current(nullptr); }
  void post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  size_t run() {
    for (size_t count = 0;; ++count) {
      std::unique_lock lock(mutex_);
      if (queue_.empty()) return count;
      const auto work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
    }
  }

 private:
  std::mutex mutex_;
  std::deque<std::function<void()>> queue_;
};

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("behalf-journal-" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    settings_.file = (folder_ / "evidence.jsonl").string();
    settings_.durability = Durability::kKernel;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> lines() const {
    std::ifstream file(settings_.file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  std::filesystem::path folder_;
  EvidenceSettings settings_;
  crypto::SystemRandom random_;
};

Record record_of(std::string path) {
  Record record;
  record.event = "resource.access";
  record.method = "GET";
  record.path = std::move(path);
  record.resource = "https://api.example";
  return record;
}

// How far a record is: -1 while it waits.
struct Kept {
  Record record;
  int verdict = -1;
};

void keep(Journal& journal, Kept& kept) {
  start(journal.keep(kept.record),
        [&kept](std::optional<bool> good, std::exception_ptr) { kept.verdict = good && *good ? 1 : 0; });
}

TEST_F(JournalTest, what_comes_in_one_turn_is_written_before_anybody_goes_on) {
  HandLoop loop;
  Journal journal(settings_, random_);
  std::deque<Kept> kept;
  for (const char* path : {"/a", "/b", "/c"}) {
    kept.push_back({record_of(path)});
    keep(journal, kept.back());
  }
  for (const Kept& each : kept) EXPECT_EQ(each.verdict, -1);
  EXPECT_TRUE(lines().empty());
  EXPECT_EQ(loop.run(), 1U) << "one write for all of them";
  for (const Kept& each : kept) EXPECT_EQ(each.verdict, 1);
  ASSERT_EQ(lines().size(), 3U);
  for (size_t i = 0; i < kept.size(); ++i) {
    const auto read = json::parse(lines()[i]);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read->find_string("id"), kept[i].record.id);
    EXPECT_EQ(*read->find("action")->find_string("path"), kept[i].record.path);
  }
}

TEST_F(JournalTest, the_files_own_format_is_written_as_a_turn_too) {
  settings_.format = RecordFormat::kOcsf;
  HandLoop loop;
  Journal journal(settings_, random_);
  Kept first{record_of("/a")}, second{record_of("/b")};
  keep(journal, first);
  keep(journal, second);
  loop.run();
  ASSERT_EQ(lines().size(), 2U);
  for (const std::string& line : lines()) EXPECT_EQ(json::parse(line)->find_integer("class_uid"), 6003);
}

TEST_F(JournalTest, where_there_is_no_room_for_all_some_are_kept_and_each_knows) {
  settings_.file.clear();
  settings_.send = true;
  settings_.spool = (folder_ / "spool").string();
  Record probe = record_of("/1");
  probe.id = "0123456789abcdef-1";
  const size_t line = json_line(probe).size() + 1;
  settings_.max_spool = 2 * line + line / 2;
  HandLoop loop;
  Journal journal(settings_, random_);
  std::deque<Kept> kept;
  for (const char* path : {"/1", "/2", "/3"}) {
    kept.push_back({record_of(path)});
    keep(journal, kept.back());
  }
  loop.run();
  EXPECT_EQ(kept[0].verdict, 1);
  EXPECT_EQ(kept[1].verdict, 1);
  EXPECT_EQ(kept[2].verdict, 0) << "no record, no answer";
  EXPECT_TRUE(journal.is_full());
  EXPECT_EQ(journal.spool()->peek(10, 1'000'000).lines.size(), 2U);
}

// A pipe cannot be made durable, which shows that it was tried.
TEST_F(JournalTest, a_file_that_was_moved_away_is_made_durable_before_the_next_answer) {
  settings_.durability = Durability::kAnswer;
  ASSERT_EQ(::mkfifo(settings_.file.c_str(), 0600), 0);
  const File reader(::open(settings_.file.c_str(), O_RDONLY | O_NONBLOCK));
  HandLoop loop;
  Journal journal(settings_, random_);
  std::filesystem::remove(settings_.file);
  journal.reopen();
  const auto verdict_of = [&](const char* path) {
    Kept kept{record_of(path)};
    keep(journal, kept);
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (kept.verdict < 0 && std::chrono::steady_clock::now() < give_up) {
      loop.run();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return kept.verdict;
  };
  EXPECT_EQ(verdict_of("/first"), 0);
  EXPECT_EQ(verdict_of("/second"), 1);
  EXPECT_EQ(lines().size(), 2U) << "both were written";
}

TEST_F(JournalTest, without_a_loop_it_is_written_at_once) {
  Journal journal(settings_, random_);
  Kept kept{record_of("/a")};
  keep(journal, kept);
  EXPECT_EQ(kept.verdict, 1);
  EXPECT_EQ(lines().size(), 1U);
}

}  // namespace
}  // namespace behalf::guard
