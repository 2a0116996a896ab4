#include "guard/decision_point.h"

#include <exception>
#include <fstream>
#include <utility>

namespace behalf::guard {
namespace {

using sdk::AuthzenAnswer;

constexpr size_t kMostWaiting = 1024;
constexpr size_t kMaxToken = 16 * 1024;
// The client counts whole seconds; the deadline is kept by interrupting it.
constexpr Seconds kLongest{15};

std::string read_token(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string token(kMaxToken, '\0');
  file.read(token.data(), static_cast<std::streamsize>(token.size()));
  token.resize(static_cast<size_t>(file.gcount()));
  while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') token.pop_back();
  return token;
}

}  // namespace

// Suspends the caller until its question is answered; not at all if it is not taken.
struct DecisionPoint::Waiting {
  DecisionPoint& point;
  std::shared_ptr<Question> question;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> caller) {
    question->caller = caller;
    question->loop = Loop::current();
    // Once it is taken the caller may go on, and this object end, at any time.
    const auto kept = question;
    return point.take(kept);
  }
  void await_resume() const noexcept {}
};

DecisionPoint::DecisionPoint(unsigned threads) : threads_(threads) {}

DecisionPoint::~DecisionPoint() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Worker& worker : workers_) worker.interrupt.raise();
  }
  asked_.notify_all();
  timed_.notify_all();
  for (std::thread& thread : running_) thread.join();
  const auto left = std::move(deadlines_);
  for (const auto& [when, question] : left) answer(*question, AuthzenAnswer::kFailure);
}

Task<AuthzenAnswer> DecisionPoint::ask(sdk::Authzen where, std::vector<std::string> requests) {
  AuthzenAnswer answer = AuthzenAnswer::kFailure;
  auto question = std::make_shared<Question>();
  question->deadline = Clock::now() + std::chrono::milliseconds(where.timeout);
  question->where = std::move(where);
  question->requests = std::move(requests);
  question->answer = &answer;
  Waiting waiting{*this, std::move(question)};
  co_await waiting;
  co_return answer;
}

bool DecisionPoint::take(const std::shared_ptr<Question>& question) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || question->requests.empty() || deadlines_.size() >= kMostWaiting) return false;
  if (running_.empty()) start_threads();
  queue_.push_back(question);
  deadlines_.emplace(question->deadline, question);
  asked_.notify_one();
  timed_.notify_one();
  return true;
}

void DecisionPoint::start_threads() {
  for (unsigned i = 0; i < threads_; ++i) {
    Worker& worker = workers_.emplace_back();
    running_.emplace_back([this, &worker] { work(worker); });
  }
  running_.emplace_back([this] { watch(); });
}

// The one place where a question is answered, whoever comes first: its call, or its time. Called without the
// mutex, for the caller may go on at once.
void DecisionPoint::answer(Question& question, AuthzenAnswer answer) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(question.is_answered, true)) return;
    // Its loop may be gone.
    if (stopping_ && question.loop != nullptr) return;
    *question.answer = answer;
  }
  const std::coroutine_handle<> caller = question.caller;
  if (question.loop != nullptr)
    question.loop->post([caller] { caller.resume(); });
  else
    caller.resume();
}

void DecisionPoint::work(Worker& worker) {
  for (;;) {
    std::shared_ptr<Question> question;
    {
      std::unique_lock lock(mutex_);
      asked_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      question = std::move(queue_.front());
      queue_.pop_front();
      if (question->is_answered) continue;  // its time was up before its turn came
      worker.interrupt.clear();
      worker.question = question;
    }
    AuthzenAnswer said = AuthzenAnswer::kFailure;
    try {
      said = call(worker, *question);
    } catch (const std::exception&) {
      worker.client.reset();
    }
    {
      const std::lock_guard lock(mutex_);
      worker.question.reset();
      const auto [first, last] = deadlines_.equal_range(question->deadline);
      for (auto it = first; it != last; ++it) {
        if (it->second != question) continue;
        deadlines_.erase(it);
        break;
      }
    }
    answer(*question, said);
  }
}

void DecisionPoint::watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (deadlines_.empty()) {
      timed_.wait(lock);
      continue;
    }
    const auto next = deadlines_.begin()->first;
    if (Clock::now() < next) {
      timed_.wait_until(lock, next);
      continue;
    }
    const std::shared_ptr<Question> late = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    for (Worker& worker : workers_) {
      if (worker.question == late) worker.interrupt.raise();
    }
    lock.unlock();
    answer(*late, AuthzenAnswer::kFailure);
    lock.lock();
  }
}

AuthzenAnswer DecisionPoint::call(Worker& worker, const Question& question) {
  bool all_permitted = true;
  for (const std::string& request : question.requests) {
    switch (call_one(worker, question.where, request)) {
      case AuthzenAnswer::kPermit:
        break;
      case AuthzenAnswer::kDeny:
        return AuthzenAnswer::kDeny;
      case AuthzenAnswer::kFailure:
        all_permitted = false;
        break;
    }
  }
  return all_permitted ? AuthzenAnswer::kPermit : AuthzenAnswer::kFailure;
}

AuthzenAnswer DecisionPoint::call_one(Worker& worker, const sdk::Authzen& where, const std::string& body) {
  http::ParsedUrl address = http::parse_url(where.url);
  address.target.ca_file = where.ca_file;
  const std::string place = where.url + "\n" + where.ca_file;
  const bool was_kept = worker.client && worker.place == place;
  if (!was_kept) {
    worker.place = place;
    worker.client.emplace(address.target, kLongest, &worker.interrupt);
  }
  http::ClientRequest request;
  request.method = "POST";
  request.path_and_query = address.path_and_query;
  request.headers.set("Content-Type", "application/json");
  request.headers.set("Accept", "application/json");
  if (!where.token_file.empty()) {
    const std::string token = read_token(where.token_file);
    if (token.empty()) return AuthzenAnswer::kFailure;
    request.headers.set("Authorization", "Bearer " + token);
  }
  request.body = body;
  http::Response response;
  try {
    response = worker.client->send(request);
  } catch (const std::exception&) {
    // A connection that was kept may have been closed just now; a question may be asked twice. If the time is
    // up, this fails at once.
    if (!was_kept) throw;
    worker.client.emplace(address.target, kLongest, &worker.interrupt);
    response = worker.client->send(request);
  }
  const std::string* type = response.headers.find("Content-Type");
  return sdk::read_authzen_answer(response.status, type == nullptr ? "" : *type, response.body);
}

}  // namespace behalf::guard
