// Published vectors for the digests; what a stored password hash may look like and still be tried.
#include "crypto/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace behalf::crypto {
namespace {

TEST(Sha256, matches_the_vectors_of_fips_180_4) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(sha256(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(KeyedHash, matches_the_vectors_of_rfc4231) {
  struct Vector {
    std::string key, bytes;
    std::string_view expected;
  };
  const Vector vectors[] = {
      {std::string(20, '\x0b'), "Hi There",
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?",
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {std::string(20, '\xaa'), std::string(50, '\xdd'),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"}};
  for (const Vector& vector : vectors) {
    const KeyedHash hash{Secret(vector.key)};
    EXPECT_EQ(hex(hash(vector.bytes)), vector.expected);
    EXPECT_EQ(hex(hash(vector.bytes)), vector.expected) << "a used context must start afresh";
  }
}

TEST(KeyedHash, refuses_an_empty_key) { EXPECT_THROW(KeyedHash{Secret()}, std::invalid_argument); }

TEST(KeyedHash, is_one_value_for_many_threads) {
  const KeyedHash hash{Secret("Jefe")};
  const Digest expected = hash("what do ya want for nothing?");
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) wrong += hash("what do ya want for nothing?") != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Password, is_verified_by_its_own_hash_only) {
  const std::string phc = hash_password(Secret("correct horse"));
  EXPECT_TRUE(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << phc;
  EXPECT_TRUE(verify_password(phc, Secret("correct horse")));
  EXPECT_FALSE(verify_password(phc, Secret("correct horsf")));
  EXPECT_FALSE(verify_password(phc, Secret("")));
  EXPECT_FALSE(verify_password(phc, Secret(std::string("correct horse\0", 14))));
  EXPECT_NE(phc, hash_password(Secret("correct horse"))) << "the salt must be fresh";
}

TEST(Password, malformed_or_costly_hashes_match_nothing) {
  const std::string phc = hash_password(Secret("x"));
  const auto replaced = [&](std::string_view from, std::string_view to) {
    std::string changed = phc;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return changed.replace(at, from.size(), to);
  };
  const std::string bad[] = {"",
                             "x",
                             "$argon2id$",
                             phc.substr(0, phc.size() - 1),
                             phc + "A",
                             phc + "$",
                             std::string("\0", 1) + phc,
                             phc + std::string("\0", 1),
                             replaced("argon2id", "argon2i"),
                             replaced("v=19", "v=16"),
                             replaced("m=19456", "m=4194304"),
                             replaced("m=19456", "m=4"),
                             replaced("m=19456", "m=019456"),
                             replaced("m=19456", "m=99999999999999999999"),
                             replaced("m=19456", "m="),
                             replaced("t=2", "t=1000"),
                             replaced("t=2", "t=-2"),
                             replaced("t=2", "t=0"),
                             replaced("p=1", "p=2")};
  for (const std::string& text : bad) EXPECT_FALSE(verify_password(text, Secret("x"))) << text;
  EXPECT_TRUE(verify_password(phc, Secret("x")));
}

TEST(Password, accepts_hashes_of_other_settings_within_the_limits) {
  // Made by the reference implementation: password "password", salt "somesaltsomesalt".
  const std::string phc =
      "$argon2id$v=19$m=64,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$YWTHOaBOF940qAvuZcalj0uKJAy/VlL0p541rgK3xhY";
  EXPECT_TRUE(verify_password(phc, Secret("password")));
  EXPECT_FALSE(verify_password(phc, Secret("Password")));
}

TEST(Password, the_dummy_is_well_formed_and_stays) {
  EXPECT_EQ(dummy_password_hash(), dummy_password_hash());
  EXPECT_TRUE(dummy_password_hash().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
  EXPECT_FALSE(verify_password(dummy_password_hash(), Secret("")));
}

}  // namespace
}  // namespace behalf::crypto
