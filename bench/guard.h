// What stands beside an API under measurement: the real guard with a policy and the revocation feed, and the
// bare echo on the same HTTP library that it is compared with. Each is a process of its own on the server's
// core.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server.h"

namespace behalf::bench {

// A child process on the server's core that ends with us.
class Child {
 public:
  explicit Child(pid_t process) : process_(process) {}
  Child(Child&& other) noexcept : process_(std::exchange(other.process_, -1)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  pid_t process() const { return process_; }
  double cpu_seconds() const { return cpu_seconds_of(process_); }
  double resident_megabytes() const;

 private:
  pid_t process_;
};

struct Listening {
  Child child;
  uint16_t port = 0;
};

// `behalf guard` as nginx's auth_request asks it; knows of all that `server` has revoked before it returns.
Listening start_guard(const std::string& binary, const Server& server);
// Answers every request with 200 and nothing in it.
Listening start_echo();

// The guard's decisions without the way to them: the same settings, keys and policy, asked in this process.
class Decisions {
 public:
  // Beside a guard that was started on `server`, whose files it reads.
  explicit Decisions(const Server& server);
  ~Decisions();

  // Verifies each token, decides on it and writes its record into memory; milliseconds of each decision.
  std::vector<double> decide(const std::vector<std::string>& tokens);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// The question of an nginx in front of the API, with this token.
std::string guarded_request(const std::string& token);

}  // namespace behalf::bench
