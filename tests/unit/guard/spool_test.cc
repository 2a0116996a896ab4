// Records on disk: in order, bounded, each at least once, whatever ends in between.
#include "guard/spool.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace behalf::guard {
namespace {

struct Folder {
  Folder()
      : path(testing::TempDir() + "behalf-spool-" + std::to_string(getpid()) + "-" +
             std::to_string(++number)) {
    std::filesystem::remove_all(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  size_t segments() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path))
      count += entry.path().extension() == ".jsonl";
    return count;
  }
  std::string path;
  static inline int number = 0;
};

constexpr size_t kPlenty = 1024 * 1024;

TEST(Spool, gives_lines_in_order_and_again_until_they_are_taken) {
  const Folder folder;
  Spool spool(folder.path, kPlenty);
  EXPECT_TRUE(spool.peek(10, kPlenty).lines.empty());
  for (const char* line : {"one", "two", "three"}) EXPECT_TRUE(spool.append(line));
  EXPECT_EQ(spool.waiting_bytes(), 14U);
  const Spool::Batch first = spool.peek(2, kPlenty);
  EXPECT_EQ(first.lines, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(spool.peek(2, kPlenty).lines, first.lines);
  spool.take(first.end);
  EXPECT_EQ(spool.peek(10, kPlenty).lines, std::vector<std::string>{"three"});
  EXPECT_EQ(spool.peek(10, 1).lines.size(), 1U) << "one, however long it is";
  EXPECT_EQ(spool.waiting_bytes(), 6U);
}

TEST(Spool, goes_on_after_a_restart_where_it_was) {
  const Folder folder;
  {
    Spool spool(folder.path, kPlenty);
    for (const char* line : {"one", "two", "three"}) spool.append(line);
    spool.take(spool.peek(1, kPlenty).end);
  }
  // The machine stopped in the middle of a line.
  std::ofstream(folder.path + "/00000000000000000001.jsonl", std::ios::app) << "to";
  {
    Spool spool(folder.path, kPlenty);
    spool.append("four");
    const Spool::Batch all = spool.peek(10, kPlenty);
    EXPECT_EQ(all.lines, (std::vector<std::string>{"two", "three", "four"}));
    spool.take(all.end);
    EXPECT_TRUE(spool.peek(10, kPlenty).lines.empty());
  }
  Spool spool(folder.path, kPlenty);
  EXPECT_TRUE(spool.peek(10, kPlenty).lines.empty());
  EXPECT_TRUE(spool.append("five"));
  EXPECT_EQ(spool.peek(10, kPlenty).lines, std::vector<std::string>{"five"});
}

TEST(Spool, is_bounded_and_has_room_again_when_records_were_taken) {
  const Folder folder;
  Spool spool(folder.path, 4000);  // segments of 1000
  const std::string line(99, 'x');
  size_t kept = 0;
  while (spool.append(line)) ++kept;
  EXPECT_EQ(kept, 40U);
  EXPECT_EQ(folder.segments(), 4U);
  const Spool::Batch batch = spool.peek(15, kPlenty);
  EXPECT_EQ(batch.lines.size(), 15U);
  spool.take(batch.end);
  EXPECT_EQ(folder.segments(), 3U) << "what was taken whole is gone";
  size_t more = 0;
  while (spool.append(line)) ++more;
  EXPECT_EQ(more, 10U);
  size_t rest = 0;
  for (Spool::Batch left = spool.peek(7, kPlenty); !left.lines.empty(); left = spool.peek(7, kPlenty)) {
    rest += left.lines.size();
    spool.take(left.end);
  }
  EXPECT_EQ(rest, 35U);
  EXPECT_EQ(spool.waiting_bytes(), 0U);
}

TEST(Spool, belongs_to_one_process) {
  const Folder folder;
  const Spool spool(folder.path, kPlenty);
  EXPECT_THROW(Spool(folder.path, kPlenty), std::runtime_error);
}

TEST(Spool, a_record_in_a_segment_of_its_own_size_is_read_whole) {
  const Folder folder;
  Spool spool(folder.path, 64 * kPlenty);
  const std::string line(1000, 'y');
  for (int count = 0; count < 3000; ++count) ASSERT_TRUE(spool.append(line));  // more than is read at once
  size_t seen = 0;
  for (Spool::Batch batch = spool.peek(200, kPlenty); !batch.lines.empty();
       batch = spool.peek(200, kPlenty)) {
    for (const std::string& one : batch.lines) EXPECT_EQ(one.size(), line.size());
    seen += batch.lines.size();
    spool.take(batch.end);
  }
  EXPECT_EQ(seen, 3000U);
  spool.sync();
}

}  // namespace
}  // namespace behalf::guard
