// Listening sockets. Each loop has its own with SO_REUSEPORT, so that the kernel spreads connections and no
// lock is shared; a Unix socket has one queue, which the loops share.
#include "http/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace behalf::http {
namespace {

constexpr int kBacklog = 4096;
// For the store, the log, outbound calls, and the reserve.
constexpr rlim_t kSpareDescriptors = 64 + kReservedConnections;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  sa_family_t family() const { return storage.ss_family; }
};

Address ip_address(const std::string& text, uint16_t port) {
  Address address;
  auto* four = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* six = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    address.size = sizeof(sockaddr_in);
  } else if (inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    address.size = sizeof(sockaddr_in6);
  } else {
    throw std::runtime_error("'" + text + "' is not an IP address to listen on");
  }
  return address;
}

Address unix_address(const std::string& path) {
  Address address;
  auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.size() >= sizeof(local->sun_path))
    throw std::runtime_error("the socket path is too long: " + path);
  local->sun_family = AF_UNIX;
  std::memcpy(local->sun_path, path.c_str(), path.size() + 1);
  address.size = sizeof(sockaddr_un);
  return address;
}

Descriptor open_socket(sa_family_t family) {
  Descriptor socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) fail("cannot open a socket");
  return socket;
}

enum class Sharing { kAlone, kWithSiblings };

Descriptor listen_at(const Address& address, Sharing sharing, const std::string& name) {
  Descriptor socket = open_socket(address.family());
  const int on = 1;
  if (address.family() == AF_UNIX) {
    // The file gets the socket's mode; umask would change that of every thread's files meanwhile.
    if (fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0) fail("cannot restrict " + name);
  } else {
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (sharing == Sharing::kWithSiblings &&
        setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
      fail("cannot share " + name + " between threads");
    }
  }
  if (bind(socket.get(), address.get(), address.size) != 0) fail("cannot bind " + name);
  if (listen(socket.get(), kBacklog) != 0) fail("cannot listen on " + name);
  return socket;
}

uint16_t port_of(const Descriptor& socket) {
  Address address;
  address.size = sizeof(address.storage);
  if (getsockname(socket.get(), address.get(), &address.size) != 0) fail("cannot read the bound address");
  if (address.family() == AF_INET6)
    return ntohs(reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port);
}

// Takes away the file a process left behind that is no more; never one that somebody answers on.
void clear_stale(const std::string& path, const Address& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) throw std::runtime_error(path + " exists and is no socket");
  const Descriptor probe = open_socket(AF_UNIX);
  if (connect(probe.get(), address.get(), address.size) == 0 || errno == EAGAIN) {
    throw std::runtime_error("another process is listening on " + path);
  }
  if (errno != ECONNREFUSED) fail("cannot tell whether " + path + " is in use");
  if (unlink(path.c_str()) != 0) fail("cannot remove the stale socket " + path);
}

Listening listen_on_path(const std::string& path, mode_t mode, unsigned count) {
  const Address address = unix_address(path);
  clear_stale(path, address);
  Listening listening;
  listening.sockets.push_back(listen_at(address, Sharing::kAlone, path));
  // Wider than what its creator alone may do: only when it is there, for umask has its say until then.
  if (mode != (S_IRUSR | S_IWUSR) && chmod(path.c_str(), mode) != 0)
    fail("cannot open " + path + " to others");
  while (listening.sockets.size() < count) {
    Descriptor copy(fcntl(listening.sockets.front().get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) fail("cannot share " + path + " between threads");
    listening.sockets.push_back(std::move(copy));
  }
  return listening;
}

}  // namespace

void Descriptor::close() {
  if (number_ >= 0) ::close(std::exchange(number_, -1));
}

Listening listen_on(const Listen& listen, unsigned count) {
  if (!listen.unix_path.empty()) return listen_on_path(listen.unix_path, listen.unix_mode, count);
  const std::string name = listen.address + " port " + std::to_string(listen.port);
  const Sharing sharing = count > 1 ? Sharing::kWithSiblings : Sharing::kAlone;
  if (sharing == Sharing::kWithSiblings && listen.port != 0) {
    // SO_REUSEPORT would let a second process of the same user take half of the connections unnoticed.
    listen_at(ip_address(listen.address, listen.port), Sharing::kAlone, name);
  }
  Listening listening;
  listening.port = listen.port;
  while (listening.sockets.size() < count) {
    listening.sockets.push_back(listen_at(ip_address(listen.address, listening.port), sharing, name));
    listening.port = port_of(listening.sockets.back());
  }
  return listening;
}

std::string peer_name(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&address)->sin_addr, text, sizeof(text));
    return text;
  }
  if (address.ss_family == AF_INET6) {
    const in6_addr& six = reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
      inet_ntop(AF_INET, &six.s6_addr[12], text, sizeof(text));
    } else {
      inet_ntop(AF_INET6, &six, text, sizeof(text));
    }
    return text;
  }
  return "unix";
}

std::string canonical_address(std::string_view text) {
  const std::string copy(text);
  sockaddr_storage address{};
  if (inet_pton(AF_INET, copy.c_str(), &reinterpret_cast<sockaddr_in*>(&address)->sin_addr) == 1) {
    address.ss_family = AF_INET;
  } else if (inet_pton(AF_INET6, copy.c_str(), &reinterpret_cast<sockaddr_in6*>(&address)->sin6_addr) == 1) {
    address.ss_family = AF_INET6;
  } else {
    return {};
  }
  return peer_name(address);
}

std::vector<std::string> canonical_addresses(const std::vector<std::string>& texts) {
  std::vector<std::string> addresses;
  for (const std::string& text : texts) {
    addresses.push_back(text == "unix" ? text : canonical_address(text));
    if (addresses.back().empty()) throw std::runtime_error("'" + text + "' is not the address of a proxy");
  }
  return addresses;
}

size_t affordable_connections(size_t wanted) {
  rlimit descriptors{};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0 || descriptors.rlim_cur == RLIM_INFINITY) return wanted;
  const rlim_t needed = std::min<rlim_t>(wanted + kSpareDescriptors, descriptors.rlim_max);
  if (descriptors.rlim_cur < needed) {
    const rlimit raised{needed, descriptors.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) descriptors.rlim_cur = needed;
  }
  const rlim_t spare = std::min(kSpareDescriptors, descriptors.rlim_cur / 2);
  return std::min<size_t>(wanted, descriptors.rlim_cur - spare);
}

void ignore_write_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace behalf::http
