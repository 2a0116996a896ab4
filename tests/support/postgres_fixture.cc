// Starts and stops the cluster. PostgreSQL refuses to run as root, so there its programs run as the user
// "postgres".
#include "support/postgres_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

namespace behalf::test {
namespace {

const std::string kPrograms = "/usr/lib/postgresql/15/bin/";

// Starts a program with its output in `log`. It dies with us, so that a crashed test leaves no server behind.
int spawn(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const passwd* user = ::geteuid() == 0 ? ::getpwnam("postgres") : nullptr;
  const gid_t group = user != nullptr ? user->pw_gid : 0;
  const uid_t id = user != nullptr ? user->pw_uid : 0;
  const std::string directory = std::filesystem::path(log).parent_path();
  const int child = ::fork();
  if (child != 0) return child;
  // Only calls that are safe after fork() in a process with threads.
  if (user != nullptr && (::setgroups(1, &group) != 0 || ::setgid(group) != 0 || ::setuid(id) != 0))
    ::_exit(126);
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  ::setpgid(0, 0);  // a Ctrl-C at the desk is for the test, which then ends the server
  const int in = ::open("/dev/null", O_RDONLY);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(out, 2);
  if (::chdir(directory.c_str()) != 0) ::_exit(126);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

int wait_for(int child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

PostgresCluster* PostgresCluster::shared() {
  static const std::unique_ptr<PostgresCluster> cluster(
      std::filesystem::exists(kPrograms + "postgres") ? new PostgresCluster() : nullptr);
  return cluster.get();
}

bool PostgresCluster::is_required() {
  const char* ci = std::getenv("CI");
  const char* required = std::getenv("BEHALF_REQUIRE_POSTGRES");
  return (ci != nullptr && std::string_view(ci) == "true") ||
         (required != nullptr && std::string_view(required) == "1");
}

PostgresCluster::PostgresCluster() {
  std::string name = "/tmp/behalf-postgres-XXXXXX";  // short: a socket's path has at most 107 bytes
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot create " + name);
  directory_ = name;
  if (::geteuid() == 0) {
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr || ::chown(name.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("there is no user postgres to run PostgreSQL as");
    }
  }
  // A collation unlike SQLite's byte order, as servers have it that were set up without thought of us: what
  // sorts text must say how.
  const int made =
      wait_for(spawn({kPrograms + "initdb", "-D", directory_ + "/data", "-U", "behalf", "-A", "trust", "-E",
                      "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "-N"},
                     directory_ + "/log"));
  if (made != 0) throw std::runtime_error("initdb failed: see " + directory_ + "/log");
  start();
}

PostgresCluster::~PostgresCluster() {
  shut_down(SIGQUIT);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void PostgresCluster::start(const std::string& setting) {
  std::vector<std::string> command{
      kPrograms + "postgres", "-D", directory_ + "/data",  "-k", directory_,          "-c",
      "listen_addresses=",    "-c", "shared_buffers=64MB", "-c", "max_connections=40"};
  // After a crash it would otherwise sync thousands of files one by one.
  command.insert(command.end(), {"-c", "recovery_init_sync_method=syncfs"});
  if (!setting.empty()) command.insert(command.end(), {"-c", setting});
  server_ = spawn(command, directory_ + "/log");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (PQping(("host=" + directory_ + " user=behalf dbname=postgres").c_str()) != PQPING_OK) {
    if (::waitpid(server_, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("PostgreSQL does not start: see " + directory_ + "/log");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void PostgresCluster::stop() { shut_down(SIGINT); }  // PostgreSQL's "fast" shutdown: nothing to replay

void PostgresCluster::restart_immediately() {
  shut_down(SIGQUIT);  // its "immediate" one
  start();
}

void PostgresCluster::shut_down(int signal) {
  if (server_ <= 0) return;
  ::kill(server_, signal);
  wait_for(server_);
  server_ = -1;
}

std::string PostgresCluster::fresh_database() {
  const std::string name = "test" + std::to_string(++databases_);
  const std::string host = "host=" + directory_ + " user=behalf dbname=";
  const std::unique_ptr<PGconn, void (*)(PGconn*)> connection(PQconnectdb((host + "postgres").c_str()),
                                                              PQfinish);
  const std::unique_ptr<PGresult, void (*)(PGresult*)> result(
      PQexec(connection.get(), ("CREATE DATABASE " + name).c_str()), PQclear);
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
    throw std::runtime_error(std::string("no fresh database: ") + PQerrorMessage(connection.get()));
  }
  return host + name;
}

}  // namespace behalf::test
