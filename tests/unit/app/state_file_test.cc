// state.toml: [[user]] becomes users, "*_file" members are replaced by what is in the file, and complaints
// name file and line.
#include "app/state_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace behalf::app {
namespace {

class StateFileTest : public ::testing::Test {
 protected:
  StateFileTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "behalf-state-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~StateFileTest() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }
  Result<StateFile, std::string> read(const std::string& text) const {
    put("state.toml", text);
    return read_state_file(folder_ + "/state.toml");
  }
  std::string written(const std::string& text) const {
    const auto state = read(text);
    return state ? json::write(state->state) : "refused: " + state.reason();
  }
  void expect_refused(const std::string& text, int line, const std::string& words) const {
    const auto state = read(text);
    ASSERT_FALSE(state) << text;
    EXPECT_EQ(state.reason().find(folder_ + "/state.toml:" + std::to_string(line) + ": "), 0U)
        << state.reason();
    EXPECT_NE(state.reason().find(words), std::string::npos) << state.reason();
  }

  std::string folder_;
};

TEST_F(StateFileTest, tables_are_counted_in_the_plural) {
  EXPECT_EQ(
      written("[[agent]]\nid = \"a\"\n[[agent]]\nid = \"b\"\n[[client]]\nid = \"c\"\n[[resource]]\nid = "
              "\"r\"\n[[user]]\nid = \"u\"\n"),
      R"({"agents":[{"id":"a"},{"id":"b"}],"clients":[{"id":"c"}],"resources":[{"id":"r"}],"users":[{"id":"u"}]})");
  EXPECT_EQ(written("# nothing yet\n"), "{}");
}

TEST_F(StateFileTest, values_keep_their_types) {
  EXPECT_EQ(written("[[agent]]\na = [\"x\", \"y\"]\nb = { c = 2, d = true }\ne = \"8h\"\n"),
            R"({"agents":[{"a":["x","y"],"b":{"c":2,"d":true},"e":"8h"}]})");
}

TEST_F(StateFileTest, singular_tables_and_other_names_are_refused) {
  expect_refused("[user]\nid = \"u\"\n", 1, "write [[user]]");
  expect_refused("\n[[users]]\nid = \"u\"\n", 2, "unknown key \"users\"");
  expect_refused("[[user]]\nid = \"u\"\n[[scope]]\nname = \"s\"\n", 3, "unknown key \"scope\"");
  expect_refused("user = 5\n", 1, "write [[user]]");
}

TEST_F(StateFileTest, values_without_a_meaning_are_refused_at_their_line) {
  expect_refused("[[user]]\nid = \"u\"\nsince = 2026-11-23\n", 3, "no meaning");
  expect_refused("[[user]]\nid = \"u\"\nhalf = 0.5\n", 3, "no meaning");
  expect_refused("[[user]]\nid = \"u\n", 2, "");
  const auto missing = read_state_file(folder_ + "/absent.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.reason(), folder_ + "/absent.toml: cannot be read: there is no such file");
}

TEST_F(StateFileTest, files_are_followed_from_where_the_state_file_is) {
  put("pw", "correct horse\n");
  put("keys.json", R"({"keys":[]})");
  put("secret", "s3cret\r\n");
  const auto state =
      read("[[user]]\nid = \"u\"\npassword_file = \"pw\"\n[[agent]]\nid = \"a\"\njwks_file = \"" + folder_ +
           "/keys.json\"\n[[client]]\nid = \"c\"\nsecret_file = \"secret\"\n");
  ASSERT_TRUE(state) << state.reason();
  EXPECT_EQ(
      json::write(state->state),
      R"({"agents":[{"id":"a","jwks":{"keys":[]}}],"clients":[{"id":"c","secret":"s3cret"}],"users":[{"id":"u","password":"correct horse"}]})");
  ASSERT_EQ(state->secret_files.size(), 1U);
  EXPECT_EQ(state->secret_files[0].client, "c");
  EXPECT_EQ(state->secret_files[0].path, folder_ + "/secret");
}

TEST_F(StateFileTest, a_secret_file_need_not_exist_yet_but_the_others_must) {
  const auto state = read("[[client]]\nid = \"c\"\nsecret_file = \"new.secret\"\n");
  ASSERT_TRUE(state) << state.reason();
  EXPECT_EQ(json::write(state->state), R"({"clients":[{"id":"c"}]})");
  ASSERT_EQ(state->secret_files.size(), 1U);
  EXPECT_EQ(state->secret_files[0].path, folder_ + "/new.secret");
  expect_refused("[[user]]\nid = \"u\"\npassword_file = \"absent\"\n", 1, "password_file");
  expect_refused("\n\n[[agent]]\nid = \"a\"\njwks_file = \"absent\"\n", 3, "jwks_file");
  put("bad.json", "{");
  expect_refused("[[agent]]\nid = \"a\"\njwks_file = \"bad.json\"\n", 1, "jwks_file");
}

TEST_F(StateFileTest, a_secret_that_could_not_be_kept_is_refused_before_one_is_made) {
  std::filesystem::create_directory(folder_ + "/taken");
  const std::string client = "[[client]]\nid = \"c\"\nsecret_file = ";
  expect_refused(client + "\"nowhere/c.secret\"\n", 1, "there is no folder");
  expect_refused(client + "\"taken\"\n", 1, "it is a folder");
  expect_refused(client + "\"c.secret\"\nsecret = \"x\"\n", 1, "not both");
  expect_refused(client + "\"c.secret\"\nauth_method = \"none\"\n", 1, "has no secret");
  expect_refused(client + "\"x\"\n[[client]]\nid = \"d\"\nsecret_file = \"x\"\n", 4, "client \"c\" too");
  put("empty", "\n");
  const auto state = read(client + "\"empty\"\n");
  ASSERT_TRUE(state) << state.reason();
  EXPECT_EQ(state->secret_files[0].is_there, false);
  EXPECT_EQ(json::write(state->state), R"({"clients":[{"id":"c"}]})");
}

TEST_F(StateFileTest, what_is_wrong_without_a_server_is_found_without_one) {
  put("state.toml", "[[user]]\nid = \"x\"\n[[client]]\nid = \"x\"\nname = \"X\"\n");
  const auto state = read_state(folder_ + "/state.toml");
  ASSERT_FALSE(state);
  EXPECT_EQ(state.reason(), folder_ +
                                "/state.toml: \"x\" is the id of a client and of a user; users, agents and "
                                "clients share one namespace");
}

TEST_F(StateFileTest, a_complaint_is_one_line_whatever_the_file_holds) {
  for (const char* text : {"\"a\\nb\" = 1\n", "[[user]]\nid = \"u\"\npassword_file = \"no\\nsuch\\rfile\"\n",
                           "[[\"us\\ner\"]]\n", "a = \x01\n"}) {
    const auto state = read(text);
    ASSERT_FALSE(state) << text;
    EXPECT_EQ(state.reason().find_first_of("\r\n"), std::string::npos) << state.reason();
  }
}

TEST_F(StateFileTest, a_file_without_an_end_is_refused) {
  const auto state = read_state_file("/dev/zero");
  ASSERT_FALSE(state);
  EXPECT_EQ(state.reason(), "/dev/zero: cannot be read: it has more than 16 MB");
  expect_refused("[[user]]\nid = \"u\"\npassword_file = \"/dev/zero\"\n", 1, "password_file");
}

}  // namespace
}  // namespace behalf::app
