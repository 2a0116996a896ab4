// guard.toml: what is read, and that every mistake is told with file and line.
#include "guard/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace behalf::guard {
namespace {

class Config : public testing::Test {
 protected:
  void SetUp() override {
    folder = testing::TempDir() + "behalf-guard-config-" + std::to_string(getpid());
    std::filesystem::create_directories(folder);
    put("secret", "0123456789abcdef\n", 0600);
    put("open", "0123456789abcdef\n", 0644);
    put("short", "0123\n", 0600);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void put(const std::string& name, const std::string& text, mode_t mode) const {
    std::ofstream(folder + "/" + name) << text;
    chmod((folder + "/" + name).c_str(), mode);
  }
  Result<Settings, std::string> read(const std::string& text) const {
    return parse_settings(text, folder + "/guard.toml");
  }
  std::string complaint(const std::string& text) const {
    const auto settings = read(text);
    return settings ? "" : settings.reason().substr(folder.size() + 1);
  }
  std::string folder;
};

const std::string kServer =
    "[server]\nissuer = \"https://as.example\"\nclient_id = \"api\"\nclient_secret_file = \"secret\"\n"
    "[resource]\nid = \"https://api.example/r\"\n";
const std::string kTop = "policy = \"policy.toml\"\n";

TEST_F(Config, counters_may_have_a_file) {
  const std::string rest = "dialect = \"nginx\"\n" + kServer + "[decide]\ncredential_file = \"secret\"\n";
  EXPECT_EQ(read(kTop + rest)->counters, "");
  EXPECT_EQ(read(kTop + "counters = \"counters\"\n" + rest)->counters, folder + "/counters");
}

TEST_F(Config, of_a_secret_that_cannot_be_read_no_more_is_said) {
  const auto with = [](const std::string& lines) {
    return kTop + "dialect = \"nginx\"\n[server]\nissuer = \"https://as.example\"\n" + lines +
           "[resource]\nid = \"https://api.example/r\"\n[decide]\ncredential_file = \"secret\"\n";
  };
  const std::string id = "client_id = \"api\"\n";
  const std::string missing = complaint(with(id + "client_secret_file = \"nowhere\"\n"));
  EXPECT_TRUE(missing.starts_with("guard.toml:6: ")) << missing;
  EXPECT_NE(missing.find("nowhere cannot be read"), std::string::npos) << missing;
  EXPECT_NE(complaint(with(id + "client_secret_file = \"short\"\n")).find("at least 16"), std::string::npos);
  EXPECT_NE(complaint(with(id)).find("go together"), std::string::npos);
  EXPECT_NE(complaint(with("client_secret_file = \"secret\"\n")).find("go together"), std::string::npos);
}

TEST_F(Config, reads_a_decision_point) {
  const auto settings = read(kTop + "dialect = \"nginx\"\nshadow = true\n" + kServer +
                             "scopes = [\"a\", \"b\"]\nname = \"API\"\n[listen]\nport = 9000\nthreads = 2\n"
                             "[decide]\ncredential_file = \"secret\"\npath = \"/ask\"\n"
                             "[revocation]\nmax_staleness = \"5s\"\nwhen_stale = \"serve\"\n"
                             "[identity]\nstyle = \"signed\"\n"
                             "[evidence]\nfile = \"log.jsonl\"\nformat = \"ocsf\"\nsend = true\nwhen_full = "
                             "\"drop\"\nfsync = \"answer\"\n");
  ASSERT_TRUE(settings) << settings.reason();
  EXPECT_EQ(settings->dialect, Dialect::kNginx);
  EXPECT_EQ(settings->server.client_secret.reveal(), "0123456789abcdef");
  EXPECT_EQ(settings->resource.public_url, "https://api.example/r");
  EXPECT_EQ(settings->listen.port, 9000);
  EXPECT_EQ(settings->decide_path, "/ask");
  EXPECT_EQ(settings->credential.reveal(), "0123456789abcdef");
  EXPECT_TRUE(settings->shadow);
  EXPECT_EQ(settings->max_staleness, 5000);
  EXPECT_TRUE(settings->serve_when_stale);
  EXPECT_EQ(settings->identity, IdentityStyle::kSigned);
  EXPECT_EQ(settings->policy, folder + "/policy.toml");
  EXPECT_EQ(settings->evidence.file, folder + "/log.jsonl");
  EXPECT_EQ(settings->evidence.spool, folder + "/evidence");
  EXPECT_EQ(settings->evidence.durability, Durability::kAnswer);
  EXPECT_TRUE(settings->evidence.drop_when_full);
}

TEST_F(Config, reads_a_proxy_with_its_safe_defaults) {
  const auto settings = read(kTop + kServer + "[proxy]\nupstream = \"http://127.0.0.1:9000\"\n");
  ASSERT_TRUE(settings) << settings.reason();
  EXPECT_EQ(settings->dialect, Dialect::kProxy);
  EXPECT_EQ(settings->origin->target.port, 9000);
  EXPECT_EQ(settings->origin_host, "api.example");
  EXPECT_FALSE(settings->pass_token);
  EXPECT_FALSE(settings->shadow);
  EXPECT_FALSE(settings->serve_when_stale);
  EXPECT_FALSE(settings->evidence.drop_when_full);
  EXPECT_EQ(settings->max_staleness, 15'000);
  EXPECT_EQ(settings->evidence.file, "-");
  const auto local = read(kTop + kServer + "[proxy]\nupstream = \"unix:api.sock\"\n");
  ASSERT_TRUE(local) << local.reason();
  EXPECT_EQ(local->origin->target.unix_path, folder + "/api.sock");
}

TEST_F(Config, health_can_be_full_and_nothing_else) {
  const auto with = [](const std::string& line) {
    return kTop + kServer + "[proxy]\nupstream = \"http://127.0.0.1:9000\"\n" + line;
  };
  EXPECT_TRUE(read(with(""))->health);
  EXPECT_FALSE(read(with(""))->health_is_full);
  EXPECT_TRUE(read(with("health = \"full\"\n"))->health_is_full);
  EXPECT_TRUE(read(with("health = \"full\"\n"))->health);
  EXPECT_FALSE(read(with("health = false\n"))->health);
  EXPECT_EQ(complaint(with("health = \"all\"\n")), "guard.toml:10: health must be true, false or \"full\"");
}

TEST_F(Config, the_key_of_identities_is_for_its_owners_eyes) {
  const auto with = [](const std::string& name) {
    return kTop + kServer + "[proxy]\nupstream = \"http://127.0.0.1:9000\"\n[identity]\nkey_file = \"" +
           name + "\"\n";
  };
  EXPECT_EQ(complaint(with("open")),
            "guard.toml:11: " + folder + "/open can be read by others; chmod 600 it");
  EXPECT_EQ(complaint(with("secret")), "");
  EXPECT_EQ(complaint(with("not-yet-there")), "");
}

// Security 269: the port is no oracle unless the operator says so in so many words.
TEST_F(Config, a_decision_port_needs_a_secret_a_unix_socket_or_a_word) {
  const std::string nginx = kTop + "dialect = \"nginx\"\n" + kServer;
  EXPECT_NE(complaint(nginx).find("credential_file is required"), std::string::npos) << complaint(nginx);
  EXPECT_NE(complaint(nginx + "[decide]\n").find("credential_file is required"), std::string::npos);
  EXPECT_EQ(complaint(nginx + "[decide]\ncredential = \"none\"\n"), "");
  EXPECT_EQ(complaint(nginx + "[listen]\nsocket = \"guard.sock\"\n"), "");
  EXPECT_NE(complaint(nginx + "[decide]\ncredential = \"0123456789abcdef\"\n"), "")
      << "secrets stand in files";
  EXPECT_NE(complaint(nginx + "[decide]\ncredential_file = \"open\"\n").find("chmod 600"), std::string::npos);
  EXPECT_NE(complaint(nginx + "[decide]\ncredential_file = \"short\"\n").find("at least 16"),
            std::string::npos);
  EXPECT_NE(complaint(nginx + "[decide]\ncredential_file = \"nowhere\"\n").find("cannot be read"),
            std::string::npos);
}

TEST_F(Config, every_mistake_has_its_line) {
  const std::string proxy = "[proxy]\nupstream = \"http://127.0.0.1:9000\"\n";
  struct Case {
    std::string text;
    std::string says;
  };
  const Case cases[] = {
      {kTop + "polcy = 1\n" + kServer + proxy, "guard.toml:2: unknown key"},
      {kTop + kServer + proxy + "pas_token = true\n", "guard.toml:10: unknown key"},
      {kTop + kServer + proxy + "pass_token = \"yes\"\n", "guard.toml:10: pass_token must be true or false"},
      {kServer + proxy, "policy is required"},
      {kTop + proxy, "[server] is required"},
      {kTop + kServer, "dialect must be"},
      {kTop + "dialect = \"apache\"\n" + kServer, "dialect must be"},
      {kTop + "dialect = \"nginx\"\n" + kServer + proxy, "either dialect or [proxy]"},
      {kTop + kServer + proxy + "[decide]\ncredential = \"none\"\n", "either [decide] or [proxy]"},
      {kTop + kServer + "[proxy]\n", "upstream is required"},
      {kTop + kServer + "[proxy]\nupstream = \"http://127.0.0.1:9000/api\"\n", "upstream has no path"},
      {kTop + kServer + "[proxy]\nupstream = \"ftp://x\"\n", "not an http"},
      {kTop + kServer + proxy + "[listen]\naddress = \"0.0.0.0\"\n", "plain HTTP is for loopback"},
      {kTop + kServer + proxy + "[revocation]\nmax_staleness = \"2h\"\n", "max_staleness must be a span"},
      {kTop + kServer + proxy + "[revocation]\nwhen_stale = \"maybe\"\n", "when_stale"},
      {kTop + kServer + proxy + "[evidence]\nspool = \"x\"\n", "spool goes with send"},
      {kTop + kServer + proxy + "[evidence]\nfsync = \"answer\"\n", "standard output cannot be made durable"},
      {kTop + "[server]\nissuer = \"http://as.example\"\n[resource]\nid = \"https://api.example\"\n" + proxy,
       "must be https"},
      {kTop + "[server]\nissuer = \"https://as.example\"\n[resource]\nid = \"https://api.example\"\n" + proxy,
       "are needed to follow revocations"},
      {"policy = \n", "guard.toml:1: "},
  };
  for (const Case& one : cases) {
    const std::string said = complaint(one.text);
    EXPECT_TRUE(said.starts_with("guard.toml:")) << said << "\n" << one.text;
    EXPECT_NE(said.find(one.says), std::string::npos) << "says: " << said << "\nwanted: " << one.says << "\n"
                                                      << one.text;
  }
}

}  // namespace
}  // namespace behalf::guard
