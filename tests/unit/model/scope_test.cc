// Scope sets (RFC 6749 §3.3): what a token is, and the set algebra that every ceiling rests on.
#include "model/scope.h"

#include <gtest/gtest.h>

namespace behalf {
namespace {

TEST(Scope, text_is_sorted_and_without_doubles) {
  const auto set = ScopeSet::parse("b a  c a ");
  ASSERT_TRUE(set);
  EXPECT_EQ(set->text(), "a b c");
  EXPECT_EQ(*set, (ScopeSet{"c", "b", "a"}));
  EXPECT_EQ(ScopeSet::parse("")->size(), 0U);
  EXPECT_EQ(ScopeSet::parse(" ")->text(), "");
}

TEST(Scope, tokens_are_case_sensitive) {
  const ScopeSet set{"Mail.Read"};
  EXPECT_TRUE(set.contains("Mail.Read"));
  EXPECT_FALSE(set.contains("mail.read"));
  EXPECT_FALSE(set.contains("Mail.Rea"));
  EXPECT_FALSE(set.contains(""));
}

TEST(Scope, characters_outside_the_grammar_are_refused) {
  for (const char* text : {"a\tb", "a\nb", "a\"b", "a\\b", "a\x7F", "\xC3\xA4", "ok a\x01"})
    EXPECT_FALSE(ScopeSet::parse(text)) << text;
  for (const char* text : {"a", "!", "#", "[", "]", "~", "https://api.example/x.read", "a:b,c"})
    EXPECT_TRUE(ScopeSet::is_token(text)) << text;
  EXPECT_FALSE(ScopeSet::is_token(""));
  EXPECT_FALSE(ScopeSet::is_token("a b"));
  EXPECT_TRUE(ScopeSet::is_token(std::string(255, 'a')));
  EXPECT_FALSE(ScopeSet::is_token(std::string(256, 'a')));
}

TEST(Scope, two_hundred_tokens_are_read_and_one_more_refused) {
  std::string text;
  for (size_t i = 0; i < ScopeSet::kMaxTokens; ++i) text += "s" + std::to_string(i) + " ";
  EXPECT_TRUE(ScopeSet::parse(text));
  EXPECT_FALSE(ScopeSet::parse(text + "more"));
  EXPECT_TRUE(ScopeSet::parse(text + "s0")) << "a repetition is not one more";
}

TEST(Scope, set_algebra) {
  const ScopeSet left{"a", "b", "c"};
  const ScopeSet right{"b", "c", "d"};
  EXPECT_EQ(left.intersect(right), (ScopeSet{"b", "c"}));
  for (const auto& [one, other] : {std::pair(left, right), std::pair(right, left), std::pair(left, left),
                                   std::pair(left, ScopeSet{}), std::pair(left, ScopeSet{"x"})}) {
    ScopeSet kept = one;
    kept.keep_only(other);
    EXPECT_EQ(kept, one.intersect(other));
    EXPECT_EQ(one.shares_any(other), !kept.empty());
  }
  EXPECT_EQ(left.unite(right), (ScopeSet{"a", "b", "c", "d"}));
  EXPECT_EQ(left.without(right), ScopeSet{"a"});
  EXPECT_FALSE(left.is_at_most(right));
  EXPECT_TRUE(left.intersect(right).is_at_most(left));
  EXPECT_TRUE(ScopeSet{}.is_at_most(left));
  EXPECT_FALSE(left.is_at_most(ScopeSet{}));
  EXPECT_TRUE(left.is_at_most(left));
}

}  // namespace
}  // namespace behalf
