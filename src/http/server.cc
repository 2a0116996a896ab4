#include "http/server.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "http/forward.h"
#include "http/worker.h"

namespace behalf::http {

struct Server::Impl {
  Impl(const Listen& listen, const Limits& limits, unsigned threads, Handler handler, Front front)
      : unix_path(listen.unix_path) {
    shared.limits = limits;
    shared.limits.connections = affordable_connections(limits.connections);
    const size_t reserve = std::min(shared.limits.connections / 4, kReservedConnections);
    shared.reserve = std::max<size_t>(reserve / std::max(1U, threads), 1);
    shared.handler = std::move(handler);
    shared.front = std::move(front);
    shared.trusted_proxies = canonical_addresses(listen.trusted_proxies);
    if (listen.tls) shared.tls.emplace(TlsContext::server(*listen.tls));
    Listening listening = listen_on(listen, std::max(1U, threads));
    port = listening.port;
    for (Descriptor& socket : listening.sockets) {
      workers.push_back(std::make_unique<Worker>(shared, std::move(socket)));
    }
  }

  ~Impl() { stop(Seconds{0}); }

  void start() {
    for (auto& worker : workers) {
      {
        const std::lock_guard lock(shared.mutex);
        ++shared.busy_loops;
      }
      loops.emplace_back([&loop = *worker] { loop.run(); });
    }
  }

  void stop(Seconds grace) {
    const std::lock_guard one_at_a_time(stop_mutex);
    if (stopped) return;
    stopped = true;
    // Before the listener closes: afterwards the file may be that of our successor.
    if (!unix_path.empty()) ::unlink(unix_path.c_str());
    for (auto& worker : workers) worker->post([&loop = *worker] { loop.begin_stop(); });
    {
      std::unique_lock lock(shared.mutex);
      shared.drained.wait_for(lock, std::chrono::seconds(grace.count),
                              [this] { return shared.busy_loops == 0; });
    }
    for (auto& worker : workers) worker->post([&loop = *worker] { loop.cut_all(); });
    for (std::thread& loop : loops) loop.join();
  }

  std::string unix_path;
  uint16_t port = 0;
  Shared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> loops;
  std::mutex stop_mutex;
  bool stopped = false;
};

Server::Server(const Listen& listen, const Limits& limits, unsigned threads, Handler handler) {
  ignore_write_signals();
  impl_ = std::make_unique<Impl>(listen, limits, threads, std::move(handler), nullptr);
  impl_->start();
}

Server::Server(const Listen& listen, const Limits& limits, unsigned threads, Front front) {
  ignore_write_signals();
  impl_ = std::make_unique<Impl>(listen, limits, threads, nullptr, std::move(front));
  impl_->start();
}

Server::~Server() = default;

uint16_t Server::port() const { return impl_->port; }

void Server::stop(Seconds grace) { impl_->stop(grace); }

}  // namespace behalf::http
