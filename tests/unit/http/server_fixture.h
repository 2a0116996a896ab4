// A server of its own on a loopback port for each test, with a handler that shows what it was asked.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <mutex>
#include <string>
#include <utility>

#include "base/loop.h"
#include "http/server.h"
#include "unit/http/raw_client.h"

namespace behalf::http {

// "METHOD path?query [body] peer secure", so that a test sees what the handler saw.
inline Task<Response> echo(Request& request) {
  std::string text = request.method + " " + request.path;
  if (!request.query.empty()) text += "?" + request.query;
  text += " [" + request.body + "] " + request.peer + (request.secure ? " secure" : " plain");
  co_return text_response(200, text);
}

inline Listen loopback() {
  Listen listen;
  listen.address = "127.0.0.1";
  return listen;
}

struct Fixture {
  explicit Fixture(Handler handler = echo, const Limits& limits = {}, unsigned threads = 1)
      : server(loopback(), limits, threads, std::move(handler)) {}
  RawClient connect() const { return RawClient(server.port()); }
  // Sends and reads until the server closes.
  std::string exchange(std::string_view bytes) const {
    RawClient client = connect();
    client.send(bytes);
    std::string answer = client.read_to_end();
    EXPECT_TRUE(client.saw_close()) << answer;
    return answer;
  }
  Server server;
};

// A place where a task waits until somebody lets it go on, on the loop it waits on.
class Gatekeeper {
 public:
  struct Wait {
    Gatekeeper& keeper;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiting) const {
      const std::lock_guard lock(keeper.mutex_);
      keeper.loop_ = Loop::current();
      keeper.waiting_ = waiting;
      keeper.arrived_.notify_all();
    }
    void await_resume() const {}
  };
  Wait wait() { return {*this}; }
  void await_arrival() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return static_cast<bool>(waiting_); });
  }
  void let_go() {
    await_arrival();
    const std::lock_guard lock(mutex_);
    loop_->post([waiting = std::exchange(waiting_, nullptr)] { waiting.resume(); });
  }
  std::coroutine_handle<> take() {
    await_arrival();
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, nullptr);
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  Loop* loop_ = nullptr;
  std::coroutine_handle<> waiting_;
};

}  // namespace behalf::http
