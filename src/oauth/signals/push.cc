#include "oauth/signals/push.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "http/client.h"
#include "oauth/signals/outstanding.h"
#include "oauth/signals/push_target.h"
#include "oauth/signals/security_event.h"
#include "oauth/signals/transmitter.h"

namespace behalf::oauth {
namespace {

constexpr Seconds kAnswerTime{5};
constexpr std::chrono::milliseconds kIdleWait{1000};
constexpr std::chrono::milliseconds kFirstPause{500};
constexpr std::chrono::milliseconds kLongestPause{60'000};
constexpr size_t kBatch = 50;
// A receiver that takes them slowly lets others have their turn after this.
constexpr std::chrono::milliseconds kTurn{2000};
// Of several servers over one store one delivers; when it is gone another takes
// over after this.
constexpr Seconds kLease{20};
constexpr Seconds kRenewLease{10};

enum class Verdict { kReceived, kRefused, kTryAgain };

Verdict push(http::Client& client, const std::string& path, const SignalStream& stream,
             const std::string& token) {
  http::ClientRequest request;
  request.method = "POST";
  request.path_and_query = path;
  request.headers.set("Content-Type", "application/secevent+jwt");
  request.headers.set("Accept", "application/json");
  if (!stream.push_authorization.empty()) request.headers.set("Authorization", stream.push_authorization);
  request.body = token;
  const http::Response response = client.send(request);
  if (response.status == 202 || response.status == 200 || response.status == 204) return Verdict::kReceived;
  // §2.4: the SET itself is at fault; another time it would be again. Anything
  // else may pass.
  const auto body = json::parse(response.body);
  const std::string* fault = body ? body->find_string("err") : nullptr;
  const bool is_for_good = response.status == 400 && fault != nullptr && *fault != "authentication_failed" &&
                           *fault != "access_denied";
  return is_for_good ? Verdict::kRefused : Verdict::kTryAgain;
}

}  // namespace

Pusher::Pusher(Transmitter& transmitter)
    : transmitter_(transmitter),
      name_(make_ordered_id(transmitter.services().clock.now(), transmitter.services().random)) {}

void Pusher::stop() {
  std::vector<std::thread> ending;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    ending.swap(threads_);
  }
  wake_.notify_all();
  for (std::thread& thread : ending) thread.join();
}

bool Pusher::is_stopping() const {
  const std::lock_guard lock(mutex_);
  return is_stopping_;
}

void Pusher::review() {
  if (transmitter_.services().settings.push_hosts.empty()) return;
  std::map<StreamId, ClientId> pushed;
  transmitter_.services().store.run_read([&](store::ReadTransaction& transaction) {
    for (const SignalStream& stream : transaction.list_streams({})) {
      if (!stream.push_url.empty()) pushed.emplace(stream.id, stream.client);
    }
  });
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return;
    for (auto line = lines_.begin(); line != lines_.end();) {
      line->second.is_gone = !pushed.contains(line->first);
      const bool may_go = line->second.is_gone && !line->second.is_running;
      line = may_go ? lines_.erase(line) : std::next(line);
    }
    for (const auto& [id, client] : pushed)
      lines_.try_emplace(id, Line{.client = client, .due = {}, .served = {}, .pause = kFirstPause});
    while (threads_.size() < std::min(lines_.size(), kMostThreads)) threads_.emplace_back([this] { work(); });
  }
  wake_.notify_all();
}

bool Pusher::take_lease(const StreamId& id, SignalStream& stream) {
  Services& services = transmitter_.services();
  const UnixTime now = services.clock.now();
  if (stream.pusher == name_ && now + kRenewLease < stream.pusher_until) return true;
  if (stream.pusher != name_ && now < stream.pusher_until) return false;
  bool is_ours = false;
  services.store.run([&](store::Transaction& transaction) {
    auto current = transaction.find_stream(id);
    is_ours = current && (current->pusher == name_ || current->pusher_until <= now);
    if (!is_ours) return;
    current->pusher = name_;
    current->pusher_until = now + kLease;
    transaction.put_stream(*current);
  });
  return is_ours;
}

bool Pusher::deliver_some(const StreamId& id, std::chrono::milliseconds patience, bool& is_over) {
  Services& services = transmitter_.services();
  std::optional<SignalStream> stream;
  services.store.run_read([&](store::ReadTransaction& transaction) { stream = transaction.find_stream(id); });
  // The operator's list may have become shorter since the stream was made.
  is_over =
      !stream || stream->push_url.empty() || !may_push_to(services.settings.push_hosts, stream->push_url);
  if (is_over) return false;
  Progress& progress = transmitter_.progress();
  const int64_t newest = services.store.revocations().newest();
  if (stream->status != StreamStatus::kEnabled) {
    progress.meet(*stream, services.clock.now());
    if (stream->status == StreamStatus::kDisabled) progress.skip_to(id, newest);
    services.store.revocations().wait_for_more(INT64_MAX, patience);
    return true;
  }
  if (!take_lease(id, *stream)) {
    services.store.revocations().wait_for_more(INT64_MAX, patience);
    return true;
  }
  progress.meet(*stream, progress.seen_at(id));
  const auto where = http::parse_url(stream->push_url);
  http::Client client(where.target, kAnswerTime);
  if (!stream->verification_jti.empty()) {
    const Verdict verdict =
        push(client, where.path_and_query, *stream, transmitter_.signed_verification(*stream));
    if (verdict == Verdict::kTryAgain) return false;
    services.store.run([&](store::Transaction& transaction) {
      auto current = transaction.find_stream(id);
      if (!current || current->verification_jti != stream->verification_jti) return;
      current->verification_jti.clear();
      transaction.put_stream(*current);
    });
    progress.meet(*stream, services.clock.now());
  }
  Outstanding batch(transmitter_, *stream, kBatch, services.clock.now());
  while (auto range = batch.missing()) {
    services.store.run_read([&](store::ReadTransaction& transaction) {
      batch.take(transaction.list_revocations(range->after, range->limit));
    });
  }
  const auto began = std::chrono::steady_clock::now();
  for (const auto& item : batch.items()) {
    if (is_stopping() || std::chrono::steady_clock::now() - began > kTurn) return true;
    const Verdict verdict =
        push(client, where.path_and_query, *stream, transmitter_.signed_event(*stream, *item));
    if (verdict == Verdict::kTryAgain) return false;
    if (verdict == Verdict::kRefused) log_fault("signals.push", "a receiver refused an event for good");
    progress.acknowledge(id, item->sequence);
    progress.meet(*stream, services.clock.now());
  }
  if (batch.items().empty()) {
    progress.meet(*stream, services.clock.now());  // the silence is ours, not the receiver's
    services.store.revocations().wait_for_more(batch.seen(), patience);
  }
  return true;
}

Pusher::Lines::iterator Pusher::next_line(Time now) {
  std::map<ClientId, size_t> running;
  for (const auto& [id, line] : lines_) running[line.client] += line.is_running ? 1 : 0;
  auto best = lines_.end();
  for (auto line = lines_.begin(); line != lines_.end(); ++line) {
    if (line->second.is_running || line->second.due > now) continue;
    const auto rank = [&](const Line& each) { return std::pair(running[each.client], each.served); };
    if (best == lines_.end() || rank(line->second) < rank(best->second)) best = line;
  }
  return best;
}

void Pusher::work() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    const auto next = next_line(std::chrono::steady_clock::now());
    if (next == lines_.end()) {
      auto until = std::chrono::steady_clock::now() + kIdleWait;
      for (const auto& [id, line] : lines_) {
        if (!line.is_running) until = std::min(until, line.due);
      }
      wake_.wait_until(lock, until);
      continue;
    }
    const StreamId id = next->first;
    next->second.is_running = true;
    // Each is looked at about once in kIdleWait, however many there are.
    const auto patience = kIdleWait * std::min(lines_.size(), threads_.size()) / lines_.size();
    lock.unlock();
    bool went_well = false;
    bool is_over = false;
    try {
      went_well = deliver_some(id, patience, is_over);
    } catch (const std::exception& fault) {
      log_fault("signals.push", fault.what());
    }
    lock.lock();
    Line& line = lines_.at(id);
    if (is_over || line.is_gone) {
      lines_.erase(id);
      continue;
    }
    line.is_running = false;
    line.served = std::chrono::steady_clock::now();
    line.due = went_well ? line.served : line.served + line.pause;
    line.pause = went_well ? kFirstPause : std::min(line.pause * 2, kLongestPause);
    wake_.notify_one();
  }
}

}  // namespace behalf::oauth
