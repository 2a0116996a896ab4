#include "oauth/signals/progress.h"

#include <gtest/gtest.h>

namespace behalf::oauth {
namespace {

constexpr UnixTime kNow{1'795'000'000'000};
const StreamId kStream(std::string("s"));
using Sequences = std::vector<int64_t>;

SignalStream stream(int64_t cursor) {
  SignalStream stream;
  stream.id = kStream;
  stream.cursor = cursor;
  stream.seen_at = kNow;
  return stream;
}

store::RevocationList items(int64_t from, int64_t to) {
  store::RevocationList list;
  for (int64_t i = from; i <= to; ++i) {
    Revocation item;
    item.sequence = i;
    item.is_narrowing = i % 10 == 0;
    list.push_back(std::make_shared<const Revocation>(std::move(item)));
  }
  return list;
}
Sequences outstanding(Progress& progress, const store::RevocationList& list, size_t most = 100,
                      bool is_first = true) {
  Sequences found;
  for (const auto& item : progress.outstanding(kStream, list, most, is_first,
                                               [](const Revocation& r) { return !r.is_narrowing; }))
    found.push_back(item->sequence);
  return found;
}

TEST(SignalsProgress, what_is_acknowledged_in_any_order_is_not_delivered_again) {
  Progress progress;
  progress.meet(stream(0), kNow);
  EXPECT_EQ(outstanding(progress, items(1, 4)), (Sequences{1, 2, 3, 4}));
  progress.acknowledge(kStream, 3);
  progress.acknowledge(kStream, 1);
  EXPECT_EQ(outstanding(progress, items(1, 4)), (Sequences{2, 4}));
  EXPECT_EQ(progress.cursor(kStream), 1) << "2 is outstanding";
  progress.acknowledge(kStream, 2);
  EXPECT_EQ(outstanding(progress, items(1, 4)), Sequences{4});
  EXPECT_EQ(progress.cursor(kStream), 3);
}

TEST(SignalsProgress, what_needs_no_delivery_moves_it_only_where_nothing_before_is_outstanding) {
  Progress progress;
  progress.meet(stream(9), kNow);
  EXPECT_EQ(outstanding(progress, items(10, 11)), Sequences{11});
  EXPECT_EQ(progress.cursor(kStream), 10);
  EXPECT_EQ(outstanding(progress, items(20, 20), 100, false), Sequences{});
  EXPECT_EQ(progress.cursor(kStream), 10) << "11 comes before, in a piece looked at earlier";
}

TEST(SignalsProgress, the_limit_cuts_and_loses_nothing) {
  Progress progress;
  progress.meet(stream(0), kNow);
  EXPECT_EQ(outstanding(progress, items(1, 9), 2), (Sequences{1, 2}));
  EXPECT_EQ(progress.cursor(kStream), 0);
  EXPECT_EQ(outstanding(progress, items(1, 9), 0), Sequences{});
  EXPECT_EQ(progress.cursor(kStream), 0);
}

TEST(SignalsProgress, never_goes_back_and_knows_nothing_of_strangers) {
  Progress progress;
  progress.meet(stream(5), kNow);
  progress.meet(stream(3), kNow);
  EXPECT_EQ(progress.cursor(kStream), 5);
  progress.acknowledge(kStream, 4);
  progress.skip_to(kStream, 2);
  EXPECT_EQ(progress.cursor(kStream), 5);
  progress.skip_to(kStream, 8);
  EXPECT_EQ(progress.cursor(kStream), 8);
  const StreamId stranger(std::string("x"));
  progress.acknowledge(stranger, 1);
  progress.skip_to(stranger, 1);
  EXPECT_EQ(progress.cursor(stranger), 0);
  EXPECT_TRUE(
      progress.outstanding(stranger, items(1, 2), 10, true, [](const Revocation&) { return true; }).empty());
}

TEST(SignalsProgress, what_moved_is_written_once_and_again_if_it_could_not_be) {
  Progress progress;
  progress.meet(stream(0), kNow);
  EXPECT_TRUE(progress.take_unwritten().empty()) << "nothing that the store does not know";
  progress.skip_to(kStream, 7);
  const auto steps = progress.take_unwritten();
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].cursor, 7);
  EXPECT_TRUE(progress.take_unwritten().empty());
  progress.put_back(steps);
  EXPECT_EQ(progress.take_unwritten().size(), 1U);
  progress.meet(stream(7), kNow + Seconds{59});
  EXPECT_TRUE(progress.take_unwritten().empty()) << "that it was heard of is written once a minute";
  progress.meet(stream(7), kNow + Seconds{60});
  EXPECT_EQ(progress.take_unwritten().size(), 1U);
  progress.forget(kStream);
  progress.put_back(steps);
  EXPECT_TRUE(progress.take_unwritten().empty());
}

}  // namespace
}  // namespace behalf::oauth
