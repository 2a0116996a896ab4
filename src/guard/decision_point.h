// Asks the external decision point that a policy names (AuthZEN Authorization API 1.0), on threads of its
// own: a loop never waits. Within the policy's time there is an answer, or it is a failure; what that means
// is the policy's to say.
//
// A thread keeps one connection. When its time is up, the call is cut off, and the thread is free for the
// next.
#pragma once

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "base/task.h"
#include "behalf/authzen.h"
#include "http/client.h"

namespace behalf::guard {

class DecisionPoint {
 public:
  // `threads`: calls at the same time. None is started before the first question.
  explicit DecisionPoint(unsigned threads = 8);
  // To be called when no loop waits for an answer any more; others are told that there is none.
  ~DecisionPoint();
  DecisionPoint(const DecisionPoint&) = delete;
  DecisionPoint& operator=(const DecisionPoint&) = delete;

  // kPermit only if every one of `requests` is permitted; one that is denied is enough for kDeny.
  Task<sdk::AuthzenAnswer> ask(sdk::Authzen where, std::vector<std::string> requests);

 private:
  using Clock = std::chrono::steady_clock;
  struct Question {
    sdk::Authzen where;
    std::vector<std::string> requests;
    Clock::time_point deadline;
    Loop* loop = nullptr;
    std::coroutine_handle<> caller;
    sdk::AuthzenAnswer* answer = nullptr;  // of the caller, who is there until answered
    bool is_answered = false;
  };
  struct Worker {
    http::Interrupt interrupt;
    std::shared_ptr<Question> question;  // being asked now
    std::string place;                   // where `client` is connected to, and whom it trusts
    std::optional<http::Client> client;
  };
  struct Waiting;

  // False: too many wait already, or all is ending.
  bool take(const std::shared_ptr<Question>& question);
  void start_threads();
  void work(Worker& worker);
  void watch();
  sdk::AuthzenAnswer call(Worker& worker, const Question& question);
  sdk::AuthzenAnswer call_one(Worker& worker, const sdk::Authzen& where, const std::string& request);
  void answer(Question& question, sdk::AuthzenAnswer answer);

  const unsigned threads_;
  std::mutex mutex_;
  std::condition_variable asked_;
  std::condition_variable timed_;
  bool stopping_ = false;
  std::deque<std::shared_ptr<Question>> queue_;
  std::multimap<Clock::time_point, std::shared_ptr<Question>> deadlines_;
  std::list<Worker> workers_;
  std::vector<std::thread> running_;
};

}  // namespace behalf::guard
