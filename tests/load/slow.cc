// Slow clients, many of them: each says at once what is in a file, then a byte a second or nothing, and reads
// what it is answered or not. What becomes of them is printed as one JSON line; times are seconds since they
// had all connected.
//
//   slow <port> <connections> <seconds> <file> <drip: 0 or 1> <read: 0 or 1>
//
// Who does not read has small buffers, so that a few answers fill them, and comes a while after the one
// before: together they would be more load than a slow machine can take, and whoever is told to come back
// later has so short answers that they fill nothing.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Slow {
  int socket = -1;
  std::string answer;
  double answered = 0;  // 0: not yet
  double ended = 0;
};

int connected(uint16_t port, bool reads) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (!reads) {
    const int room = 4096, segment = 536;
    ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    ::setsockopt(socket, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket < 0 || ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    std::perror("slow: cannot connect");
    std::exit(1);
  }
  return socket;
}

}  // namespace

int main(int count, char** words) {
  if (count != 7) {
    std::fprintf(stderr, "slow <port> <connections> <seconds> <file> <drip> <read>\n");
    return 2;
  }
  const auto port = static_cast<uint16_t>(std::atoi(words[1]));
  const double patience = std::atof(words[3]);
  std::ifstream file(words[4], std::ios::binary);
  const std::string first{std::istreambuf_iterator<char>(file), {}};
  const bool drips = std::atoi(words[5]) != 0, reads = std::atoi(words[6]) != 0;

  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Slow> all(std::strtoul(words[2], nullptr, 10));
  for (size_t index = 0; index < all.size(); ++index) {
    if (!reads) std::this_thread::sleep_for(std::chrono::milliseconds(4));
    all[index].socket = connected(port, reads);
    (void)::send(all[index].socket, first.data(), first.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    epoll_event event{};
    // That it was reset is told unasked; that the server has said all it will say, only to those who read.
    event.events = reads ? EPOLLIN : 0U;
    event.data.u64 = index;
    ::epoll_ctl(loop, EPOLL_CTL_ADD, all[index].socket, &event);
  }
  const auto begin = Clock::now();
  const auto now = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };

  size_t open = all.size();
  double next = 1;
  std::vector<epoll_event> events(256);
  while (open > 0 && now() < patience) {
    if (drips && now() >= next) {
      next += 1;
      for (const Slow& one : all) {
        if (one.socket >= 0) (void)::send(one.socket, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      }
    }
    const int happened = ::epoll_wait(loop, events.data(), static_cast<int>(events.size()), 20);
    for (int i = 0; i < happened; ++i) {
      Slow& one = all[events[static_cast<size_t>(i)].data.u64];
      char bytes[4096];
      const ssize_t got = reads ? ::recv(one.socket, bytes, sizeof(bytes), MSG_DONTWAIT) : 0;
      if (got > 0) {
        one.answer.append(bytes, static_cast<size_t>(got));
        if (one.answered == 0) one.answered = now();
        continue;
      }
      one.ended = now();
      ::close(one.socket);
      one.socket = -1;
      --open;
    }
  }

  std::map<std::string, int> answers;
  double answered = 0, first_end = patience, last_end = 0;
  for (const Slow& one : all) {
    ++answers[one.answer.substr(0, one.answer.find('\r'))];
    answered = std::max(answered, one.answered);
    if (one.socket < 0) {
      first_end = std::min(first_end, one.ended);
      last_end = std::max(last_end, one.ended);
    }
  }
  std::printf(R"({"open":%zu,"answered":%.2f,"first_end":%.2f,"last_end":%.2f,"answers":{)", open, answered,
              first_end, last_end);
  const char* comma = "";
  for (const auto& [line, times] : answers) {
    std::printf("%s\"%s\":%d", comma, line.c_str(), times);
    comma = ",";
  }
  std::printf("}}\n");
}
