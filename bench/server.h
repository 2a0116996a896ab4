// The server that is measured: the real binary, made by `behalf init`, filled by `behalf apply`, on one core,
// with its SQLite file in a folder on disk that goes away afterwards.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "crypto/jwk.h"

namespace behalf::bench {

// What each agent signs its assertions with, by the agent's id.
using AgentKeys = std::map<std::string, crypto::SigningKey>;

// Processor time that the threads of a process have used so far.
double cpu_seconds_of(pid_t process);
// A port of 127.0.0.1 where nobody listens.
uint16_t free_port();

class Server {
 public:
  Server(std::string binary, const std::filesystem::path& parent, const AgentKeys& keys);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // stops it and removes its folder

  uint16_t port() const { return port_; }
  std::string issuer() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::string secret_of(const std::string& client) const;
  pid_t process() const { return process_; }
  // Processor time its threads have used so far.
  double cpu_seconds() const { return cpu_seconds_of(process_); }
  // Of a file beside the store.
  std::string path_of(const std::string& name) const { return (folder_ / name).string(); }
  // Another process on the server's core, its output in the same file.
  pid_t start_beside(const std::string& binary, const std::vector<std::string>& words) const {
    return start(binary, words);
  }

 private:
  pid_t start(const std::string& binary, const std::vector<std::string>& words) const;
  void run(const std::vector<std::string>& words) const;
  void serve();
  void end();

  std::string binary_;
  std::filesystem::path folder_;
  uint16_t port_ = 0;
  pid_t process_ = -1;
};

}  // namespace behalf::bench
