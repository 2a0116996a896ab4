#include "guard/sender.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"

namespace behalf::guard {
namespace {

using std::chrono::milliseconds;

constexpr size_t kBatchLines = 200;        // what the server takes in one call
constexpr size_t kBatchBytes = 48 * 1024;  // well below what it reads of a body
constexpr Seconds kTimeout{10};
constexpr milliseconds kLookEvery{200};
constexpr milliseconds kLastWords{1'000};
constexpr milliseconds kFirstPause{200};
constexpr milliseconds kLongestPause{10'000};
constexpr int64_t kTokenSpare = 30;  // seconds before its end that a token is renewed

std::string without_last_slash(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

Sender::Sender(const ServerSettings& server, Spool& spool, Clock& clock)
    : server_(server), spool_(spool), clock_(clock), address_(http::parse_url(server.issuer)) {
  address_.target.ca_file = server_.ca_file;
  address_.path_and_query = without_last_slash(address_.path_and_query);
  thread_ = std::thread([this] {
    run();
    const std::lock_guard lock(mutex_);
    ended_ = true;
    wake_.notify_all();
  });
}

Sender::~Sender() {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
    wake_.wait_for(lock, kLastWords, [this] { return ended_; });
  }
  interrupt_.raise();
  thread_.join();
}

std::string Sender::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Sender::run() {
  milliseconds pause = kFirstPause;
  for (;;) {
    Outcome outcome = Outcome::kLater;
    std::string trouble;
    try {
      outcome = send_some(one_by_one_ ? 1 : kBatchLines);
      if (outcome == Outcome::kLater) trouble = "the server does not take records now";
    } catch (const std::exception& fault) {
      client_.reset();
      trouble = fault.what();
    }
    std::unique_lock lock(mutex_);
    if (trouble != trouble_ && !trouble.empty()) log_line("warning", "evidence waits: " + trouble);
    trouble_ = trouble;
    if (outcome == Outcome::kLater) {
      if (stopping_) return;
      wake_.wait_for(lock, pause, [this] { return stopping_; });
      pause = std::min(pause * 2, kLongestPause);
      continue;
    }
    pause = kFirstPause;
    if (outcome == Outcome::kTaken) continue;
    if (stopping_) return;
    wake_.wait_for(lock, kLookEvery, [this] { return stopping_; });
  }
}

http::Response Sender::call(const http::ClientRequest& request) {
  if (!client_) client_.emplace(address_.target, kTimeout, &interrupt_);
  return client_->send(request);
}

void Sender::refresh_token() {
  if (clock_.now().seconds() < token_until_) return;
  http::ClientRequest request;
  request.method = "POST";
  request.path_and_query = address_.path_and_query + "/token";
  request.headers.add("Content-Type", "application/x-www-form-urlencoded");
  request.headers.add("Authorization",
                      "Basic " + base64(http::percent_encode(server_.client_id) + ":" +
                                        http::percent_encode(server_.client_secret.reveal())));
  request.body = http::write_form(
      {{"grant_type", "client_credentials"}, {"resource", server_.issuer}, {"scope", "behalf.evidence"}});
  const http::Response answer = call(request);
  const auto body = json::parse(answer.body);
  const std::string* token = body ? body->find_string("access_token") : nullptr;
  if (answer.status != 200 || token == nullptr) {
    const std::string* error = body ? body->find_string("error") : nullptr;
    throw std::runtime_error("no token with behalf.evidence: " + std::to_string(answer.status) +
                             (error == nullptr ? "" : " " + *error));
  }
  token_ = Secret(*token);
  token_until_ = clock_.now().seconds() +
                 std::max<int64_t>(0, body->find_integer("expires_in").value_or(60) - kTokenSpare);
}

Sender::Outcome Sender::send_some(size_t most) {
  const Spool::Batch batch = spool_.peek(most, kBatchBytes);
  if (batch.lines.empty()) {
    one_by_one_ = false;
    return Outcome::kNothing;
  }
  refresh_token();
  http::ClientRequest request;
  request.method = "POST";
  request.path_and_query = address_.path_and_query + "/evidence";
  request.headers.add("Content-Type", "application/json");
  request.headers.add("Authorization", "Bearer " + std::string(token_.reveal()));
  request.body = R"({"records":[)";
  for (const std::string& line : batch.lines) {
    if (request.body.back() != '[') request.body.push_back(',');
    request.body += line;
  }
  request.body += "]}";
  const http::Response answer = call(request);
  if (answer.status / 100 == 2) {
    spool_.take(batch.end);
    one_by_one_ = false;
    return Outcome::kTaken;
  }
  if (answer.status == 401) token_until_ = 0;
  // What the server will never take must not keep the rest waiting, nor be lost.
  if (answer.status == 400 || answer.status == 413 || answer.status == 422) {
    if (batch.lines.size() > 1) {
      one_by_one_ = true;
      return Outcome::kTaken;
    }
    set_aside(batch.lines.front());
    spool_.take(batch.end);
    return Outcome::kTaken;
  }
  throw std::runtime_error("the server answers " + std::to_string(answer.status) + " to evidence");
}

void Sender::set_aside(const std::string& line) {
  const File file(
      ::open((spool_.folder() + "/refused.jsonl").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat status {};
  // As bounded as the spool: with both full, the guard does what `when_full` says.
  if (file && ::fstat(file.get(), &status) == 0 && static_cast<size_t>(status.st_size) > spool_.max_bytes())
    throw std::runtime_error("refused.jsonl is full: see why the server refuses, and move it away");
  if (!file || !append_line(file.get(), line))
    throw std::runtime_error("a refused record cannot be set aside");
  ++refused_;
  log_line("warning", "the server refused a record; it stands in refused.jsonl beside the spool");
}

}  // namespace behalf::guard
