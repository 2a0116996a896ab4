// The published test vectors (tests/vectors/tokens), made by somebody else's cryptography.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "behalf/keys.h"
#include "behalf/verifier.h"

namespace behalf::sdk {
namespace {

json::Value read_vectors() {
  // From build/<preset>/tests; __FILE__ need not be a path that can be opened from here.
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::ifstream file(folder / "../../../tests/vectors/tokens/tokens.json");
  EXPECT_TRUE(file) << "tests/vectors/tokens/tokens.json";
  std::ostringstream text;
  text << file.rdbuf();
  auto vectors = json::parse(text.str(), {.bytes = 1 << 20, .depth = 16});
  EXPECT_TRUE(vectors);
  return vectors ? *vectors : json::Value();
}

std::vector<std::string> texts_of(const json::Value& list) {
  std::vector<std::string> texts;
  for (const json::Value& value : *list.array()) texts.push_back(*value.string());
  return texts;
}

TEST(TokenVectors, get_the_verdict_they_must) {  // RFC 9068 §4, I-02, I-03, I-19
  const json::Value vectors = read_vectors();
  ASSERT_NE(vectors.find("cases"), nullptr);
  KeySource keys = KeySource::fixed(json::write(*vectors.find("jwks")));
  VerifierOptions options;
  options.issuer = *vectors.find_string("issuer");
  options.audiences = {*vectors.find_string("audience")};
  options.leeway = *vectors.find_integer("leeway_seconds") * 1000;
  options.expiry_leeway = *vectors.find_integer("expiry_leeway_seconds") * 1000;
  options.max_chain = static_cast<size_t>(*vectors.find_integer("max_chain"));
  Verifier verifier(options, keys, nullptr);
  size_t seen = 0;
  for (const json::Value& one : *vectors.find("cases")->array()) {
    ++seen;
    SCOPED_TRACE(*one.find_string("name"));
    const int64_t now = one.find_integer("now").value_or(*vectors.find_integer("now"));
    for (const char* again : {"new", "seen before"}) {
      const Verdict verdict = verifier.verify(*one.find_string("token"), now * 1000);
      EXPECT_EQ(verdict ? "accepted" : name_of(verdict.refusal), *one.find_string("verdict")) << again;
      const json::Value* expected = one.find("delegation");
      if (!verdict || expected == nullptr) continue;
      EXPECT_EQ(verdict.delegation->subject, *expected->find_string("subject"));
      EXPECT_EQ(verdict.delegation->client, *expected->find_string("client"));
      EXPECT_EQ(verdict.delegation->scopes, texts_of(*expected->find("scopes")));
      std::vector<std::string> chain;
      for (const Hop& hop : verdict.delegation->chain) chain.push_back(hop.subject);
      EXPECT_EQ(chain, texts_of(*expected->find("chain")));
    }
  }
  EXPECT_GE(seen, 80u);
}

}  // namespace
}  // namespace behalf::sdk
