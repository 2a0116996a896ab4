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
  std::map<StreamId, std::unique_ptr<Line>> ending;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    ending.swap(lines_);
  }
  wake_.notify_all();
  for (auto& [id, line] : ending) line->thread.join();
}

bool Pusher::is_stopping() const {
  const std::lock_guard lock(mutex_);
  return is_stopping_;
}

void Pusher::review() {
  if (transmitter_.services().settings.push_hosts.empty()) return;
  std::vector<StreamId> pushed;
  transmitter_.services().store.run_read([&](store::ReadTransaction& transaction) {
    for (const SignalStream& stream : transaction.list_streams({})) {
      if (!stream.push_url.empty()) pushed.push_back(stream.id);
    }
  });
  const std::lock_guard lock(mutex_);
  std::erase_if(lines_, [](auto& entry) {
    if (!entry.second->has_ended) return false;
    entry.second->thread.join();
    return true;
  });
  for (const StreamId& id : pushed) {
    if (is_stopping_ || lines_.contains(id) || lines_.size() >= kMostStreams) continue;
    auto line = std::make_unique<Line>();
    Line& own = *line;
    lines_.emplace(id, std::move(line));
    own.thread = std::thread([this, id, &own] { run(id, own); });
  }
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

bool Pusher::deliver_some(const StreamId& id, bool& is_over) {
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
    services.store.revocations().wait_for_more(INT64_MAX, kIdleWait);
    return true;
  }
  if (!take_lease(id, *stream)) {
    services.store.revocations().wait_for_more(INT64_MAX, kIdleWait);
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
  for (const auto& item : batch.items()) {
    if (is_stopping()) return true;
    const Verdict verdict =
        push(client, where.path_and_query, *stream, transmitter_.signed_event(*stream, *item));
    if (verdict == Verdict::kTryAgain) return false;
    if (verdict == Verdict::kRefused) log_fault("signals.push", "a receiver refused an event for good");
    progress.acknowledge(id, item->sequence);
    progress.meet(*stream, services.clock.now());
  }
  if (batch.items().empty()) {
    progress.meet(*stream, services.clock.now());  // the silence is ours, not the receiver's
    services.store.revocations().wait_for_more(batch.seen(), kIdleWait);
  }
  return true;
}

void Pusher::run(const StreamId& id, Line& line) {
  auto pause = kFirstPause;
  bool is_over = false;
  while (!is_over && !is_stopping()) {
    bool went_well = false;
    try {
      went_well = deliver_some(id, is_over);
    } catch (const std::exception& fault) {
      log_fault("signals.push", fault.what());
    }
    if (went_well) {
      pause = kFirstPause;
      continue;
    }
    if (is_over) break;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, pause, [this] { return is_stopping_; });
    pause = std::min(pause * 2, kLongestPause);
  }
  const std::lock_guard lock(mutex_);
  line.has_ended = true;
}

}  // namespace behalf::oauth
