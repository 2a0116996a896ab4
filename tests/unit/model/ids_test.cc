// Ids: those we make sort by time and cannot be guessed; those people choose keep to one alphabet (no
// normalisation).
#include "model/ids.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace behalf {
namespace {

// Counts, so that every call yields other bytes and a test can say which.
class CountingRandom final : public Random {
 public:
  void fill(std::span<unsigned char> out) override {
    for (unsigned char& byte : out) byte = next_++;
  }

 private:
  unsigned char next_ = 0;
};
class ConstantRandom final : public Random {
 public:
  explicit ConstantRandom(unsigned char byte) : byte_(byte) {}
  void fill(std::span<unsigned char> out) override { std::fill(out.begin(), out.end(), byte_); }

 private:
  unsigned char byte_;
};

TEST(OrderedId, sorts_by_time_whatever_the_random_part) {
  ConstantRandom low(0x00);
  ConstantRandom high(0xFF);
  std::string previous;
  for (const int64_t time : {int64_t{0}, int64_t{1}, int64_t{31}, int64_t{32}, int64_t{1'795'000'000'000},
                             int64_t{1'795'000'000'001}, int64_t{281'474'976'710'655}}) {
    const std::string least = make_ordered_id({time}, low);
    const std::string most = make_ordered_id({time}, high);
    EXPECT_LT(previous, least) << time;
    EXPECT_LT(least, most) << time;
    EXPECT_EQ(time_of_ordered_id(least).milliseconds, time);
    EXPECT_EQ(time_of_ordered_id(most).milliseconds, time);
    previous = most;
  }
}

TEST(OrderedId, uses_every_random_byte) {
  std::set<std::string> ids;
  for (size_t at = 0; at < 10; ++at) {
    class OneBit final : public Random {
     public:
      explicit OneBit(size_t at) : at_(at) {}
      void fill(std::span<unsigned char> out) override {
        ASSERT_EQ(out.size(), 10U);
        std::fill(out.begin(), out.end(), static_cast<unsigned char>(0));
        out[at_] = 1;
      }

     private:
      size_t at_;
    } random(at);
    ids.insert(make_ordered_id({5}, random));
  }
  EXPECT_EQ(ids.size(), 10U);
}

TEST(OrderedId, has_one_form) {
  CountingRandom random;
  const std::string id = make_ordered_id({1'795'000'000'000}, random);
  EXPECT_EQ(id.size(), kOrderedIdLength);
  EXPECT_TRUE(is_ordered_id(id));
  std::string upper = id;
  upper.back() = 'A';
  EXPECT_FALSE(is_ordered_id(upper));
  EXPECT_FALSE(is_ordered_id(id + "0"));
  EXPECT_FALSE(is_ordered_id(id.substr(1)));
  EXPECT_FALSE(is_ordered_id(""));
  for (const char letter : {'i', 'l', 'o', 'u', '-', '/', '%', '\0', ' '}) {
    std::string other = id;
    other[13] = letter;
    EXPECT_FALSE(is_ordered_id(other)) << letter;
  }
}

TEST(SecretText, is_256_bits_of_base64url) {
  CountingRandom random;
  const std::string first = make_secret_text(random);
  EXPECT_EQ(first.size(), kSecretLength);
  EXPECT_EQ(first, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
  EXPECT_NE(make_secret_text(random), first);
}

TEST(RegistryId, is_printable_ascii_without_space) {
  for (const std::string& id :
       {std::string("a"), std::string("agent-1"), std::string("https://api.example/x?y#z"),
        std::string("~!\"'"), std::string(255, 'a')}) {
    EXPECT_TRUE(is_registry_id(id)) << id;
  }
  for (const std::string& id :
       {std::string(), std::string(" "), std::string("a b"), std::string("a\tb"), std::string("a\n"),
        std::string("a\0", 2), std::string("a\x7F"), std::string("\xC3\xA4"),
        std::string("agent\xE2\x80\x8B"), std::string(256, 'a')}) {
    EXPECT_FALSE(is_registry_id(id)) << id;
  }
}

TEST(RegistryId, is_compared_byte_for_byte) {
  EXPECT_NE(AgentId(std::string("Agent")), AgentId(std::string("agent")));
  EXPECT_EQ(AgentId(std::string("agent")), AgentId(std::string_view("agent")));
  EXPECT_FALSE((std::is_convertible_v<AgentId, ClientId>));
  EXPECT_FALSE((std::is_constructible_v<UserId, AgentId>));
}

}  // namespace
}  // namespace behalf
