// Sockets as the operating system has them: owning one, listening, and saying who is at the other end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/server.h"

struct sockaddr_storage;

namespace behalf::http {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  int release() { return std::exchange(number_, -1); }
  void close();

 private:
  int number_ = -1;
};

struct Listening {
  std::vector<Descriptor> sockets;  // non-blocking, one for each loop
  uint16_t port = 0;
};

// Binds `count` sockets to what `listen` says. Throws std::system_error, or std::runtime_error where another
// process is already there.
Listening listen_on(const Listen& listen, unsigned count);

// "192.0.2.1", "2001:db8::1", "unix"; an IPv4 address mapped into IPv6 is written as IPv4.
std::string peer_name(const sockaddr_storage& address);
// The same spelling for an address given as text; empty if it is none.
std::string canonical_address(std::string_view text);
// For each of a list, where "unix" is allowed too; throws std::runtime_error naming one that is none.
std::vector<std::string> canonical_addresses(const std::vector<std::string>& texts);

// What the server keeps beyond its limit on connections: see Connection::Stay.
inline constexpr size_t kReservedConnections = 256;

// `wanted`, or fewer where the system's limit on descriptors would not leave some for everything else. Raises
// the process's own limit as far as the system lets it and this needs.
size_t affordable_connections(size_t wanted);

// Writing to a connection the peer has closed is an error to handle, not a signal that ends the process.
void ignore_write_signals();

}  // namespace behalf::http
