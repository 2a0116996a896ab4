// A throw-away PostgreSQL 15 for tests: one cluster for the process, started when first asked for and removed
// at the end, and a fresh database whenever a test wants one. It listens on a Unix socket only, and syncs as
// in production.
#pragma once

#include <memory>
#include <string>

namespace behalf::test {

class PostgresCluster {
 public:
  // The cluster, or null where PostgreSQL is not installed. Throws if it is installed and does not start.
  static PostgresCluster* shared();

  // True where a missing PostgreSQL must fail the tests instead of skipping them: on CI (CI=true) and where
  // BEHALF_REQUIRE_POSTGRES=1.
  static bool is_required();

  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  // The address of a new and empty database.
  std::string fresh_database();

  // As after a crash: every connection is cut, the log is replayed.
  void restart_immediately();
  void stop();
  // `setting` is one more "name=value" for the server, such as "fsync=off".
  void start(const std::string& setting = "");

 private:
  PostgresCluster();
  void shut_down(int signal);

  std::string directory_;
  int server_ = -1;
  int databases_ = 0;
};

}  // namespace behalf::test

// At the start of a test that needs PostgreSQL.
#define REQUIRE_POSTGRES()                                                                    \
  do {                                                                                        \
    if (behalf::test::PostgresCluster::shared() == nullptr) {                                 \
      if (behalf::test::PostgresCluster::is_required()) FAIL() << "PostgreSQL 15 is missing"; \
      GTEST_SKIP() << "PostgreSQL 15 is not installed: apt-get install postgresql-15";        \
    }                                                                                         \
  } while (false)
