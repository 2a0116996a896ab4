// behalf.toml: what is unsafe or not understood stops the start, in one line that names file and line.
#include "app/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"

namespace behalf::app {
namespace {

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "behalf-config-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/behalf.toml"; }
  Result<Config, std::string> read(const std::string& text) const {
    std::ofstream(path()) << text;
    return read_config(path());
  }
  // Refused at that line, with those words.
  void expect_refused(const std::string& text, int line, const std::string& words) const {
    const auto config = read(text);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.reason().find(path() + ":" + std::to_string(line) + ": "), 0U) << config.reason();
    EXPECT_NE(config.reason().find(words), std::string::npos) << config.reason();
    EXPECT_EQ(config.reason().find('\n'), std::string::npos);
  }

  std::string folder_;
};

const std::string kIssuerLine = "issuer = \"https://as.example\"\n";

TEST_F(ConfigTest, an_issuer_is_enough) {
  const auto config = read(kIssuerLine);
  ASSERT_TRUE(config) << config.reason();
  EXPECT_EQ(config->settings.issuer, "https://as.example");
  EXPECT_TRUE(config->settings.secure_cookies);
  EXPECT_EQ(config->listen.address, "127.0.0.1");
  EXPECT_EQ(config->listen.port, 8787);
  EXPECT_FALSE(config->listen.tls);
  EXPECT_GE(config->threads, 1U);
  EXPECT_EQ(config->sqlite, folder_ + "/behalf.db");
  EXPECT_EQ(config->key_file, folder_ + "/behalf.keys");
  EXPECT_EQ(config->admin.unix_path, folder_ + "/behalf.sock");
  EXPECT_EQ(config->settings.code_lifetime, Seconds{60});
  EXPECT_EQ(config->settings.max_chain_depth, 4U);
}

TEST_F(ConfigTest, the_switches_of_the_drafts_are_off_until_written) {
  const auto fresh = read(kIssuerLine);
  ASSERT_TRUE(fresh) << fresh.reason();
  EXPECT_FALSE(fresh->settings.strict_draft02);
  EXPECT_FALSE(fresh->settings.legacy_draft00);
  EXPECT_EQ(fresh->settings.error_dialect, oauth::ErrorDialect::kRegistered);
  const auto on =
      read(kIssuerLine +
           "[delegation]\nstrict_draft02 = true\nlegacy_draft00 = true\nerror_dialect = \"successor\"\n");
  ASSERT_TRUE(on) << on.reason();
  EXPECT_TRUE(on->settings.strict_draft02);
  EXPECT_TRUE(on->settings.legacy_draft00);
  EXPECT_EQ(on->settings.error_dialect, oauth::ErrorDialect::kSuccessor);
  expect_refused(kIssuerLine + "[delegation]\nerror_dialect = \"modern\"\n", 3, "error_dialect");
}

TEST_F(ConfigTest, every_key_reaches_its_setting) {
  std::filesystem::create_directory(folder_ + "/run");
  const auto config = read(
      "issuer = \"https://as.example/tenant\"\nkeys = \"/k/keys\"\n"
      "[listen]\naddress = \"0.0.0.0\"\nport = 443\nthreads = 3\ntls_certificate = "
      "\"c.pem\"\ntls_private_key = \"/k/p.pem\"\n"
      "trusted_proxies = [\"10.0.0.1\"]\n"
      "[admin]\nsocket = \"run/admin.sock\"\n"
      "[store]\npostgres = \"dbname=behalf\"\n"
      "[lifetimes]\ncode = \"30s\"\npushed_request = \"60\"\ninteraction = \"5m\"\nsession = "
      "\"1h\"\nsession_idle = \"10m\"\n"
      "access_token_limit = \"20m\"\nactor_token = \"2m\"\ngrant = \"7d\"\nrefresh_retry_window = \"0\"\n"
      "[delegation]\nmax_chain_depth = 6\nrequire_pushed_authorization_requests = true\n"
      "[passwords]\nthreads = 2\n");
  ASSERT_TRUE(config) << config.reason();
  EXPECT_EQ(config->key_file, "/k/keys");
  EXPECT_EQ(config->threads, 3U);
  ASSERT_TRUE(config->listen.tls);
  EXPECT_EQ(config->listen.tls->certificate, folder_ + "/c.pem");
  EXPECT_EQ(config->listen.tls->private_key, "/k/p.pem");
  EXPECT_EQ(config->listen.trusted_proxies, std::vector<std::string>{"10.0.0.1"});
  EXPECT_EQ(config->admin.unix_path, folder_ + "/run/admin.sock");
  EXPECT_EQ(config->postgres, "dbname=behalf");
  EXPECT_EQ(config->sqlite, "");
  const oauth::Settings& settings = config->settings;
  EXPECT_EQ(settings.code_lifetime, Seconds{30});
  EXPECT_EQ(settings.pushed_request_lifetime, Seconds{60});
  EXPECT_EQ(settings.interaction_lifetime, Seconds{300});
  EXPECT_EQ(settings.session_lifetime, Seconds{3600});
  EXPECT_EQ(settings.session_idle, Seconds{600});
  EXPECT_EQ(settings.access_token_lifetime_limit, Seconds{1200});
  EXPECT_EQ(settings.actor_token_lifetime, Seconds{120});
  EXPECT_EQ(settings.grant_lifetime, Seconds{7 * 86400});
  EXPECT_EQ(settings.refresh_retry_window, Seconds{0});
  EXPECT_EQ(settings.max_chain_depth, 6U);
  EXPECT_TRUE(settings.require_pushed_authorization_requests);
  EXPECT_EQ(config->password_threads, 2U);
}

TEST_F(ConfigTest, hosts_to_push_to_are_hosts) {
  const auto config =
      read(kIssuerLine + "[signals]\npush_hosts = [\"a.example\", \"b.example:8443\", \"[::1]:9\"]\n");
  ASSERT_TRUE(config) << config.reason();
  EXPECT_EQ(config->settings.push_hosts,
            (std::vector<std::string>{"a.example", "b.example:8443", "[::1]:9"}));
  EXPECT_EQ(read(kIssuerLine)->settings.push_hosts, std::vector<std::string>{})
      << "nothing is pushed unless named";
  for (const char* host : {"", "user@a.example", "a.example:x", ":1"})
    expect_refused(kIssuerLine + "[signals]\npush_hosts = [\"" + host + "\"]\n", 3, "push_hosts");
  expect_refused(kIssuerLine + "[signals]\npush = true\n", 3, "push");
}

TEST_F(ConfigTest, the_sample_reads) {
  const auto config = read(sample_config("http://127.0.0.1:8787", 8787));
  ASSERT_TRUE(config) << config.reason();
  EXPECT_FALSE(config->settings.secure_cookies);
}

TEST_F(ConfigTest, unknown_keys_are_refused_in_every_table) {
  expect_refused(kIssuerLine + "isuer = \"x\"\n", 2, "unknown key \"isuer\"");
  for (const char* table : {"listen", "admin", "store", "lifetimes", "delegation", "passwords"}) {
    expect_refused(kIssuerLine + "\n[" + table + "]\n# comment\nnonsense = 1\n", 5,
                   "unknown key \"nonsense\"");
  }
  expect_refused(kIssuerLine + "[extra]\na = 1\n", 2, "unknown key \"extra\"");
}

TEST_F(ConfigTest, wrong_types_and_values_out_of_bounds_are_refused) {
  const std::pair<const char*, const char*> kBad[] = {
      {"[listen]\nport = 65536\n", "port"},
      {"[listen]\nport = -1\n", "port"},
      {"[listen]\nport = \"80\"\n", "port"},
      {"[listen]\naddress = 1\n", "address"},
      {"[listen]\nthreads = 257\n", "threads"},
      {"[listen]\ntrusted_proxies = \"10.0.0.1\"\n", "trusted_proxies"},
      {"[listen]\ntrusted_proxies = [1]\n", "trusted_proxies"},
      {"[admin]\nsocket = true\n", "socket"},
      {"[lifetimes]\ncode = \"11m\"\n", "code"},
      {"[lifetimes]\ncode = \"0s\"\n", "code"},
      {"[lifetimes]\ncode = 60\n", "code"},
      {"[lifetimes]\ncode = \"soon\"\n", "code"},
      {"[lifetimes]\naccess_token_limit = \"2h\"\n", "access_token_limit"},
      {"[lifetimes]\nactor_token = \"301s\"\n", "actor_token"},
      {"[lifetimes]\nrefresh_retry_window = \"61s\"\n", "refresh_retry_window"},
      {"[lifetimes]\ngrant = \"366d\"\n", "grant"},
      {"[delegation]\nmax_chain_depth = 0\n", "max_chain_depth"},
      {"[delegation]\nmax_chain_depth = 11\n", "max_chain_depth"},
      {"[delegation]\nrequire_pushed_authorization_requests = 1\n", "require_pushed_authorization_requests"},
      {"[passwords]\nthreads = 0\n", "threads"},
  };
  for (const auto& [text, word] : kBad) expect_refused(kIssuerLine + text, 3, word);
  expect_refused(kIssuerLine + "listen = 5\n", 2, "listen must be a table");
  expect_refused("issuer = 5\n", 1, "issuer");
}

TEST_F(ConfigTest, text_that_is_no_TOML_names_its_line) {
  expect_refused(kIssuerLine + "\n[listen\n", 3, "");
  expect_refused(kIssuerLine + "issuer = \"https://twice.example\"\n", 2, "");
  const auto missing = read_config(folder_ + "/absent.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.reason(), folder_ + "/absent.toml: cannot be read: there is no such file");
  const auto folder = read_config(folder_);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.reason(), folder_ + ": cannot be read: it is a folder");
}

TEST_F(ConfigTest, the_issuer_is_https_or_loopback_and_bare) {
  for (const char* good : {"https://as.example", "https://as.example:8443", "https://as.example/tenant/a",
                           "http://127.0.0.1:8787", "http://[::1]:1", "http://localhost"}) {
    EXPECT_TRUE(read("issuer = \"" + std::string(good) + "\"\n")) << good;
  }
  for (const char* bad :
       {"", "as.example", "http://as.example", "http://127.0.0.1.evil.example", "http://10.0.0.1",
        "https://as.example/", "https://as.example?x=1", "https://as.example#", "https://user@as.example",
        "https://", "ftp://as.example", "urn:as", "https://as example"}) {
    expect_refused("issuer = \"" + std::string(bad) + "\"\n", 1, "issuer");
  }
  expect_refused("keys = \"k\"\n", 1, "issuer is required");
}

TEST_F(ConfigTest, plain_http_beyond_loopback_needs_a_named_proxy) {
  for (const char* address : {"0.0.0.0", "::", "192.0.2.1"}) {
    expect_refused(kIssuerLine + "[listen]\naddress = \"" + address + "\"\n", 2, "plain HTTP");
    EXPECT_TRUE(
        read(kIssuerLine + "[listen]\naddress = \"" + address + "\"\ntrusted_proxies = [\"192.0.2.7\"]\n"))
        << address;
    EXPECT_TRUE(read(kIssuerLine + "[listen]\naddress = \"" + address +
                     "\"\ntls_certificate = \"c\"\ntls_private_key = \"k\"\n"))
        << address;
  }
  for (const char* address : {"127.0.0.1", "::1", "127.0.0.2"}) {
    EXPECT_TRUE(read(kIssuerLine + "[listen]\naddress = \"" + address + "\"\n")) << address;
  }
  expect_refused(kIssuerLine + "[listen]\ntls_certificate = \"c\"\n", 2, "go together");
  expect_refused(kIssuerLine + "[listen]\ntls_private_key = \"k\"\n", 2, "go together");
  expect_refused(kIssuerLine + "[store]\nsqlite = \"a\"\npostgres = \"b\"\n", 2, "not both");
}

TEST_F(ConfigTest, what_no_listener_can_be_made_of_is_refused_at_its_line) {
  for (const char* address : {"localhost", "999.1.1.1", "", "127.1", "[::1]", "127.0.0.1:80"})
    expect_refused(kIssuerLine + "[listen]\naddress = \"" + address + "\"\n", 3, "must be an IP address");
  for (const char* proxy : {"proxy.example", "", "10.0.0", "unix:/x"})
    expect_refused(kIssuerLine + "[listen]\ntrusted_proxies = [\"" + proxy + "\"]\n", 3,
                   "must be IP addresses");
  for (const char* network : {"10.0.0.0/8", "fd00::/8"})
    expect_refused(kIssuerLine + "[listen]\ntrusted_proxies = [\"" + network + "\"]\n", 3,
                   "takes single addresses");
  EXPECT_TRUE(read(kIssuerLine + "[listen]\ntrusted_proxies = [\"unix\", \"::1\", \"10.0.0.1\"]\n"));
}

TEST_F(ConfigTest, what_the_server_makes_needs_a_folder_and_a_path_that_fits) {
  expect_refused(kIssuerLine + "[admin]\nsocket = \"nowhere/a.sock\"\n", 3, "there is no folder");
  expect_refused(kIssuerLine + "[admin]\nsocket = \"behalf.toml/a.sock\"\n", 3, "behalf.toml is no folder");
  const std::string room(107 - folder_.size() - 1, 's');
  EXPECT_TRUE(read(kIssuerLine + "[admin]\nsocket = \"" + room + "\"\n"));
  expect_refused(kIssuerLine + "[admin]\nsocket = \"" + room + "s\"\n", 3, "may have 107 bytes, not 108");
  expect_refused(kIssuerLine + "[store]\nsqlite = \"nowhere/a.db\"\n", 3, "there is no folder");
}

TEST_F(ConfigTest, a_complaint_is_one_line_whatever_the_file_says) {
  for (const char* text : {"threads = t\n", "\"a\\nb\" = 1\n", "x = \"\n\"\n"}) {
    const auto config = read(kIssuerLine + std::string("[listen]\n") + text);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.reason().find('\n'), std::string::npos) << config.reason();
  }
}

TEST_F(ConfigTest, private_files_are_written_for_their_owner_alone) {
  const std::string file = folder_ + "/secret";
  std::ofstream(file) << "old, and readable by all";
  chmod(file.c_str(), 0644);
  EXPECT_NE(check_private(file), "");
  write_private_file(file, "new");
  EXPECT_EQ(read_file(file), "new");
  EXPECT_EQ(check_private(file), "");
  EXPECT_FALSE(std::filesystem::exists(file + ".new"));
  chmod(file.c_str(), 0640);
  EXPECT_NE(check_private(file).find("chmod 600"), std::string::npos);
  EXPECT_NE(check_private(folder_ + "/absent"), "");
  EXPECT_THROW(write_private_file(folder_ + "/no/such/folder", "x"), std::system_error);
  std::filesystem::create_directory(folder_ + "/taken");
  EXPECT_THROW(write_private_file(folder_ + "/taken", "x"), std::system_error);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/taken.new")) << "nothing half-written is left";
}

TEST_F(ConfigTest, whether_a_file_could_be_written_is_known_before) {
  std::filesystem::create_directory(folder_ + "/taken");
  EXPECT_EQ(why_not_writable(folder_ + "/new"), "");
  std::ofstream(folder_ + "/old") << "x";
  EXPECT_EQ(why_not_writable(folder_ + "/old"), "");
  EXPECT_NE(why_not_writable(folder_ + "/taken").find("is a folder"), std::string::npos);
  EXPECT_NE(why_not_writable(folder_ + "/none/new").find("there is no folder"), std::string::npos);
  EXPECT_NE(why_not_writable(folder_ + "/old/new").find("is no folder"), std::string::npos);
  std::filesystem::create_directory(folder_ + "/new.new");
  EXPECT_NE(why_not_writable(folder_ + "/new").find("new.new is a folder"), std::string::npos);
}

}  // namespace
}  // namespace behalf::app
