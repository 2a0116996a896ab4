// A real server process, killed under load ten times: runs crash_run.py on the `behalf` that was built beside
// this test.
//
// The script is apart from this file because it must be another process than the server, and is easier to
// read so.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>
#include <string>

namespace behalf::test {
namespace {

TEST(Crash, NothingAcknowledgedIsLostAndNoCodeIsGoodTwice) {
  namespace files = std::filesystem;
  const files::path build =
      files::read_symlink("/proc/self/exe").parent_path().parent_path();  // build/<preset>
  std::string script = (build / "../../tests/race/crash_run.py").string();
  std::string program = (build / "behalf").string();
  ASSERT_TRUE(files::exists(script)) << script;
  ASSERT_TRUE(files::exists(program)) << program << " has not been built";
  std::string python = "python3";
  char* const arguments[] = {python.data(), script.data(), program.data(), nullptr};
  pid_t child = 0;
  ASSERT_EQ(::posix_spawnp(&child, "python3", nullptr, nullptr, arguments, environ), 0)
      << "python3 is missing";
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "see what the script printed above";
}

}  // namespace
}  // namespace behalf::test
