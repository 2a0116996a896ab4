#include "oauth/signals/transmitter.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "crypto/jwt.h"
#include "oauth/signals/security_event.h"

namespace behalf::oauth {
namespace {

constexpr std::chrono::seconds kWriteInterval{1};
constexpr int kIdleRounds = 60;    // of that interval, between two looks for idle streams
constexpr int kReviewRounds = 15;  // another server may have made a stream to push
constexpr size_t kMostSigned = 8192;

// Every receiver can verify it; which keys there are is in the key set.
const crypto::SigningKey& key_of(const Services& services) { return services.keys.signing_key("ES256"); }

}  // namespace

Transmitter::Transmitter(Services& services)
    : services_(services), pusher_(*this), housekeeper_([this] { keep_house(); }) {}

Transmitter::~Transmitter() {
  close();
  pusher_.stop();
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  housekeeper_.join();
}

void Transmitter::close() { services_.store.revocations().close(); }

void Transmitter::notice_change(std::string_view stream) {
  ++changes_[slot_of(stream)];
  {
    const std::lock_guard lock(mutex_);
    has_changed_ = true;
  }
  wake_.notify_all();
  services_.store.revocations().stir();
}

std::string Transmitter::signed_event(const SignalStream& stream, const Revocation& item) {
  const std::string key = jti_of(item) + " " + stream.client.text();
  {
    const std::lock_guard lock(mutex_);
    const auto found = signed_.find(key);
    if (found != signed_.end()) return found->second;
  }
  const auto& registry = services_.store.registry();
  const auto client = registry.find_client(stream.client.text());
  const auto resource = client == nullptr ? nullptr : registry.find_resource(client->resource.text());
  const bool names_people = resource == nullptr || resource->subject_type == SubjectType::kPublic;
  std::string text = crypto::sign_jwt(
      key_of(services_), kSecurityEventType,
      write_security_event(services_.settings.issuer, stream.client.text(), item, names_people));
  const std::lock_guard lock(mutex_);
  if (signed_.size() >= kMostSigned) signed_.clear();
  signed_.insert_or_assign(key, text);
  return text;
}

std::string Transmitter::signed_verification(const SignalStream& stream) {
  return crypto::sign_jwt(key_of(services_), kSecurityEventType,
                          write_verification(services_.settings.issuer, stream));
}

bool Transmitter::is_idle(const SignalStream& stream, UnixTime now) const {
  return std::max(stream.seen_at, progress_.seen_at(stream.id)) + kIdleTimeout < now;
}

void Transmitter::write_progress() {
  const std::vector<Progress::Step> steps = progress_.take_unwritten();
  if (steps.empty()) return;
  try {
    services_.store.run([&](store::Transaction& transaction) {
      for (const Progress::Step& step : steps) transaction.advance_stream(step.id, step.cursor, step.seen_at);
    });
  } catch (const std::exception&) {
    progress_.put_back(steps);
    throw;
  }
}

void Transmitter::remove_idle() {
  std::vector<StreamId> idle;
  const UnixTime now = services_.clock.now();
  services_.store.run_read([&](store::ReadTransaction& transaction) {
    for (const SignalStream& stream : transaction.list_streams({})) {
      if (is_idle(stream, now)) idle.push_back(stream.id);
    }
  });
  if (idle.empty()) return;
  services_.store.run([&](store::Transaction& transaction) {
    for (const StreamId& id : idle) (void)transaction.remove_stream(id);
  });
  for (const StreamId& id : idle) progress_.forget(id);
}

void Transmitter::keep_house() {
  for (int round = 1;; ++round) {
    bool is_last = false;
    bool has_changed = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kWriteInterval, [this] { return is_stopping_ || has_changed_; });
      is_last = is_stopping_;
      has_changed = std::exchange(has_changed_, false);
    }
    try {
      write_progress();
      if (!is_last && round % kIdleRounds == 0) remove_idle();
      if (!is_last && (has_changed || round % kReviewRounds == 0)) pusher_.review();
    } catch (const std::exception& fault) {
      log_fault("signals", fault.what());
    }
    if (is_last) return;
  }
}

}  // namespace behalf::oauth
