// Secrets: compared in constant time, wiped where they are left, and never printable by accident.
#include "base/secret.h"

#include <gtest/gtest.h>

#include <ostream>
#include <type_traits>

namespace behalf {
namespace {

using namespace std::string_view_literals;

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

TEST(Secret, cannot_become_text_without_reveal) {
  EXPECT_FALSE((std::is_convertible_v<Secret, std::string>));
  EXPECT_FALSE((std::is_convertible_v<Secret, std::string_view>));
  EXPECT_FALSE((std::is_convertible_v<std::string, Secret>));
  EXPECT_FALSE(Printable<Secret>);
  EXPECT_TRUE(Printable<std::string>);
}

TEST(Secret, equality_looks_at_every_byte_and_at_the_length) {
  EXPECT_TRUE(constant_time_equal("", ""));
  EXPECT_TRUE(constant_time_equal("a\0b"sv, "a\0b"sv));
  EXPECT_FALSE(constant_time_equal("a\0b"sv, "a\0c"sv));
  EXPECT_FALSE(constant_time_equal("abc", "abcd"));
  EXPECT_FALSE(constant_time_equal("abc", ""));
  const std::string same(100, 'x');
  for (size_t i = 0; i < same.size(); ++i) {
    std::string other = same;
    other[i] = static_cast<char>(other[i] ^ 0x80);
    EXPECT_FALSE(constant_time_equal(same, other)) << i;
  }
  EXPECT_TRUE(Secret("a") == Secret("a"));
  EXPECT_FALSE(Secret("a") == Secret("b"));
}

TEST(Secret, moving_leaves_nothing_behind) {
  Secret first("short");
  const Secret second = std::move(first);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(second.reveal(), "short");
  Secret third("old");
  Secret fourth("new");
  third = std::move(fourth);
  EXPECT_TRUE(fourth.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(third.reveal(), "new");
}

TEST(Secret, wipe_overwrites_the_bytes_in_place) {
  std::string text(64, 's');
  const char* bytes = text.data();
  const size_t capacity = text.capacity();
  wipe(text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), bytes);
  text.resize(64);  // within the old capacity: nothing moves, and resize fills with NUL anyway
  EXPECT_EQ(text.capacity(), capacity);
  EXPECT_EQ(text.find('s'), std::string::npos);
}

}  // namespace
}  // namespace behalf
