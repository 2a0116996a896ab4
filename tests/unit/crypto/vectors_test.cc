// Every vector of tests/vectors, which tests/vectors/make.mjs made: tokens, keys and JSON texts, good and
// bad. All must agree.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "crypto/jwt.h"

namespace behalf::crypto {
namespace {

std::vector<std::string> lines_of(const std::string& name) {
  // From build/<preset>/tests; __FILE__ need not be a path that can be opened from here.
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto path = folder / "../../../tests/vectors" / name;
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The vectors hold what this parser refuses inside strings only; the lines themselves are good.
json::Value parsed(const std::string& line) {
  auto value = json::parse(line, {.bytes = 1024 * 1024, .depth = 32});
  EXPECT_TRUE(value) << line.substr(0, 200);
  return value ? *value : json::Value{};
}

TEST(Vectors, tokens) {  // 165
  const auto lines = lines_of("jose.json");
  ASSERT_GT(lines.size(), 251U);
  const json::Value setting = parsed(lines[0]);
  std::vector<VerifyingKey> keys;
  for (const json::Value& jwk : *setting.find("keys")->array()) {
    auto key = VerifyingKey::import(jwk);
    ASSERT_TRUE(key) << json::write(jwk);
    keys.push_back(std::move(*key));
  }
  const std::string_view types[] = {"", "jwt"};
  const std::string audiences[] = {"audience"};
  const Expectations expectations{.types = types, .issuer = "issuer", .subject = {}, .audiences = audiences};
  const UnixTime now = UnixTime::from_seconds(*setting.find_integer("now"));
  for (size_t i = 1; i < lines.size(); ++i) {
    const json::Value vector = parsed(lines[i]);
    const auto jwt = EncodedJwt::parse(*vector.find_string("jwt"));
    const bool is_valid = jwt && verify(*jwt, expectations, keys, now);
    EXPECT_EQ(is_valid, *vector.find_string("result") == "valid") << *vector.find_string("comment");
  }
}

TEST(Vectors, keys) {
  const auto lines = lines_of("keys.json");
  ASSERT_GT(lines.size(), 40U);
  for (const std::string& line : lines) {
    const json::Value vector = parsed(line);
    EXPECT_EQ(static_cast<bool>(VerifyingKey::import(*vector.find("jwk"))),
              *vector.find_string("result") == "valid")
        << *vector.find_string("comment");
  }
}

TEST(Vectors, json_texts) {  // 186
  const auto lines = lines_of("json.txt");
  ASSERT_GT(lines.size(), 150U);
  for (const std::string& line : lines) {
    const auto text = decode_base64(line.substr(2));
    ASSERT_TRUE(text) << line;
    EXPECT_EQ(json::parse(*text).has_value(), line[0] == 'y') << text->substr(0, 60);
  }
}

}  // namespace
}  // namespace behalf::crypto
