// The server's own keys: a key file reads back, nothing private is published, and a value made for one
// purpose never serves another.
#include "oauth/keys.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "base/json.h"

namespace behalf::oauth {
namespace {

const Secret& key_file() {
  static const Secret file = [] {
    crypto::SystemRandom random;
    return Keys::generate(random);
  }();
  return file;
}

Secret changed(const std::function<void(json::Value&)>& change) {
  json::Value file = *json::parse(key_file().reveal());
  change(file);
  return Secret(json::write(file));
}

TEST(Keys, a_generated_file_has_a_key_for_every_algorithm) {
  const Keys keys(key_file());
  EXPECT_EQ(keys.algorithms(), (std::vector<std::string>{"ES256", "EdDSA", "PS256", "RS256"}));
  std::set<std::string> ids;
  for (const char* algorithm : {"ES256", "EdDSA", "PS256", "RS256"}) {
    EXPECT_TRUE(keys.has_algorithm(algorithm));
    EXPECT_EQ(name_of(keys.signing_key(algorithm).algorithm()), algorithm);
  }
  EXPECT_FALSE(keys.has_algorithm("HS256"));
  EXPECT_FALSE(keys.has_algorithm("none"));
  EXPECT_EQ(keys.verifying_keys().size(), 4U);
}

TEST(Keys, publishes_the_public_half_only) {
  const Keys keys(key_file());
  const auto set = json::parse(keys.jwks());
  ASSERT_TRUE(set);
  const auto& list = *set->find("keys")->array();
  ASSERT_EQ(list.size(), 4U);
  std::set<std::string> ids;
  for (const json::Value& key : list) {
    for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "k"})
      EXPECT_EQ(key.find(name), nullptr) << name;
    ASSERT_NE(key.find_string("kid"), nullptr);
    ids.insert(*key.find_string("kid"));
  }
  EXPECT_EQ(ids.size(), 4U);
  EXPECT_EQ(keys.jwks().find("master"), std::string::npos);
}

TEST(Keys, the_same_file_gives_the_same_hashes_and_another_file_others) {
  const Keys first(key_file());
  const Keys again(key_file());
  crypto::SystemRandom random;
  const Keys other(Keys::generate(random));
  EXPECT_EQ(first.lookup_hash("s"), again.lookup_hash("s"));
  EXPECT_EQ(first.seal("s"), again.seal("s"));
  EXPECT_EQ(first.successor_secret("s", "id"), again.successor_secret("s", "id"));
  EXPECT_NE(first.lookup_hash("s"), other.lookup_hash("s"));
  EXPECT_NE(first.seal("s"), other.seal("s"));
  EXPECT_NE(first.successor_secret("s", "id"), other.successor_secret("s", "id"));
}

TEST(Keys, each_purpose_has_a_key_of_its_own) {
  const Keys keys(key_file());
  const std::set<std::string> values{keys.lookup_hash("id.secret"), keys.seal("id.secret"),
                                     keys.successor_secret("secret", "id")};
  EXPECT_EQ(values.size(), 3U);
}

TEST(Keys, a_successor_depends_on_the_token_and_on_its_place) {
  const Keys keys(key_file());
  const std::string successor = keys.successor_secret("secret", "id");
  EXPECT_EQ(keys.successor_secret("secret", "id"), successor);
  EXPECT_NE(keys.successor_secret("secret", "id2"), successor);
  EXPECT_NE(keys.successor_secret("secret2", "id"), successor);
  EXPECT_EQ(successor.size(), 43U);
}

TEST(Keys, a_file_that_is_not_whole_is_refused) {
  EXPECT_NO_THROW(Keys(changed([](json::Value&) {})));
  EXPECT_THROW(Keys(Secret("")), std::runtime_error);
  EXPECT_THROW(Keys(Secret("{}")), std::runtime_error);
  EXPECT_THROW(Keys(changed([](json::Value& file) { file.remove("master_secret"); })), std::runtime_error);
  EXPECT_THROW(Keys(changed([](json::Value& file) { file.set("master_secret", "AAAA"); })),
               std::runtime_error);
  EXPECT_THROW(Keys(changed([](json::Value& file) { file.set("master_secret", std::string(43, '=')); })),
               std::runtime_error);
  EXPECT_THROW(Keys(changed([](json::Value& file) { file.set("signing_keys", json::Value::Array{}); })),
               std::runtime_error);
  EXPECT_THROW(Keys(changed([](json::Value& file) {
                 file.find("signing_keys");
                 file.set("signing_keys", json::Value::Array{json::Value(1)});
               })),
               std::runtime_error);
}

}  // namespace
}  // namespace behalf::oauth
