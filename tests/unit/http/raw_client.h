// A client that sends exactly the bytes it is told to, for what no proper client would send.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "http/sockets.h"

namespace behalf::http {

class RawClient {
 public:
  explicit RawClient(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }

  // A connection that was accepted: the same, from the server's end.
  explicit RawClient(Descriptor accepted) : socket_(std::move(accepted)), connected_(true) {}

  bool is_connected() const { return connected_; }

  // False if the other end has closed.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

  void half_close() const { ::shutdown(socket_.get(), SHUT_WR); }
  int descriptor() const { return socket_.get(); }

  // Everything until the other end closes, or until nothing comes for `patience` milliseconds.
  std::string read_to_end(int patience = kPatience) {
    std::string received;
    closed_ = false;
    while (!closed_ && read_more(received, patience)) {
    }
    return received;
  }

  // Until `text` has arrived `times` times; what has arrived by then if it does not.
  std::string read_until(std::string_view text, size_t times = 1) {
    std::string received;
    while (occurrences(received, text) < times && read_more(received, kPatience)) {
    }
    return received;
  }

  // True if the last read ended because the other end closed.
  bool saw_close() const { return closed_; }

  static size_t occurrences(std::string_view text, std::string_view part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size()))
      ++count;
    return count;
  }

 private:
  static constexpr int kPatience = 5'000;

  bool read_more(std::string& received, int patience) {
    pollfd state{socket_.get(), POLLIN, 0};
    if (::poll(&state, 1, patience) <= 0) return false;
    char chunk[16 * 1024];
    const ssize_t count = ::recv(socket_.get(), chunk, sizeof(chunk), 0);
    if (count <= 0) {
      closed_ = true;
      return false;
    }
    received.append(chunk, static_cast<size_t>(count));
    return true;
  }

  Descriptor socket_;
  bool connected_ = false;
  bool closed_ = false;
};

}  // namespace behalf::http
