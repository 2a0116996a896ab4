// One thread fetches: at once, then every `refresh`, sooner when a verifier met a key that is not in the set,
// and with growing pauses while the server does not answer. Verifiers copy a pointer; none of them ever talks
// to the network.
#include "behalf/keys.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "base/json.h"
#include "sdk/endpoint.h"
#include "sdk/key_source.h"

namespace behalf::sdk {
namespace {

constexpr Milliseconds kForEver = INT64_MAX;
constexpr Milliseconds kFirstRetry = 500;
constexpr Milliseconds kLastRetry = 30'000;

KeySet import_keys(const json::Value& document) {
  auto keys = crypto::import_key_set(document);
  if (!keys)
    throw std::runtime_error("the key set is not acceptable: " + std::string(describe(keys.reason())));
  return std::move(*keys);
}

bool contains(const KeySet& keys, std::string_view key_id) {
  return std::any_of(keys.begin(), keys.end(),
                     [&](const crypto::VerifyingKey& key) { return key.key_id() == key_id; });
}

bool are_same(const KeySet& left, const KeySet& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](const auto& a, const auto& b) {
    return a.key_id() == b.key_id() && a.thumbprint() == b.thumbprint();
  });
}

}  // namespace

KeySource::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  interrupt_.raise();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const KeySet> KeySource::Impl::current() const {
  if (!is_trusted(steady_now())) return nullptr;
  const std::lock_guard lock(mutex_);
  return keys_;
}

bool KeySource::Impl::has(std::string_view key_id) const {
  const std::shared_ptr<const KeySet> keys = current();
  return keys && contains(*keys, key_id);
}

bool KeySource::Impl::has(std::string_view key_id, std::string_view thumbprint) const {
  const std::shared_ptr<const KeySet> keys = current();
  return keys && std::any_of(keys->begin(), keys->end(), [&](const crypto::VerifyingKey& key) {
           return key.key_id() == key_id && key.thumbprint() == thumbprint;
         });
}

std::shared_ptr<const KeySet> KeySource::Impl::wait_for_key(std::string_view key_id) {
  if (!thread_.joinable()) return current();
  std::unique_lock lock(mutex_);
  const Milliseconds now = steady_now();
  const std::shared_ptr<const KeySet> known = is_trusted(now) ? keys_ : nullptr;
  // A key that was forgotten is not unknown: no fetch brings it back.
  if (known && (contains(*known, key_id) || forgotten_.contains(key_id))) return known;
  if (!fetching_ && !wanted_) {
    if (now < pause_until_) return known;
    wanted_ = true;
    changed_.notify_all();
  }
  const uint64_t before = attempts_;
  changed_.wait_for(lock, std::chrono::milliseconds(options.unknown_key_wait),
                    [&] { return attempts_ != before || stopping_; });
  lock.unlock();
  return current();
}

void KeySource::Impl::install(KeySet keys, Milliseconds until) {
  const std::lock_guard lock(mutex_);
  std::erase_if(keys, [&](const crypto::VerifyingKey& key) { return forgotten_.contains(key.key_id()); });
  const bool changed = !keys_ || !are_same(*keys_, keys);
  if (changed) keys_ = std::make_shared<const KeySet>(std::move(keys));
  good_until.store(until, std::memory_order_release);
  if (changed) changes.fetch_add(1, std::memory_order_release);
}

KeySet KeySource::Impl::fetch_keys() {
  std::string url = options.jwks_uri;
  if (url.empty()) {
    const json::Value metadata = get_object(well_known_url(options.issuer, "oauth-authorization-server"),
                                            options.ca_file, &interrupt_);
    const std::string* issuer = metadata.find_string("issuer");
    // RFC 8414 §3.3: else another server's document would choose our keys.
    if (issuer == nullptr || *issuer != options.issuer) {
      throw std::runtime_error("the metadata of " + options.issuer + " names another issuer");
    }
    const std::string* uri = metadata.find_string("jwks_uri");
    if (uri == nullptr || !is_as_safe_as(options.issuer, *uri)) {
      throw std::runtime_error("the metadata of " + options.issuer + " names no jwks_uri that may be used");
    }
    url = *uri;
  }
  return import_keys(get_object(url, options.ca_file, &interrupt_));
}

std::string KeySource::Impl::fetch() {
  const std::lock_guard one(one_fetch_);
  {
    const std::lock_guard lock(mutex_);
    fetching_ = true;
    wanted_ = false;
  }
  std::string trouble;
  try {
    const Milliseconds asked = steady_now();
    install(fetch_keys(), asked + options.keep);
  } catch (const std::exception& fault) {
    trouble = fault.what();
  }
  {
    const std::lock_guard lock(mutex_);
    fetching_ = false;
    ++attempts_;
    pause_until_ = steady_now() + options.unknown_key_pause;
    trouble_ = trouble;
  }
  changed_.notify_all();
  return trouble;
}

void KeySource::Impl::run() {
  Milliseconds retry = kFirstRetry;
  for (;;) {
    const bool fine = fetch().empty();
    const Milliseconds pause = fine ? options.refresh : std::min(retry, options.refresh);
    retry = fine ? kFirstRetry : std::min(retry * 2, kLastRetry);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(pause), [&] { return stopping_ || wanted_; });
    if (stopping_) return;
  }
}

void KeySource::Impl::forget(std::string_view key_id) {
  const std::lock_guard lock(mutex_);
  if (!forgotten_.emplace(key_id).second || !keys_) return;
  KeySet left = *keys_;
  std::erase_if(left, [&](const crypto::VerifyingKey& key) { return key.key_id() == key_id; });
  keys_ = std::make_shared<const KeySet>(std::move(left));
  changes.fetch_add(1, std::memory_order_release);
}

void KeySource::Impl::start() {
  thread_ = std::thread([this] { run(); });
}

KeySource::KeySource(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {
  const Options& given = impl_->options;
  well_known_url(given.jwks_uri.empty() ? given.issuer : given.jwks_uri, "");  // throws where it is no URL
  impl_->start();
}

KeySource::KeySource(KeySource&&) noexcept = default;
KeySource::~KeySource() = default;

KeySource KeySource::fixed(std::string_view jwks_json) {
  const std::optional<json::Value> document = json::parse(jwks_json);
  if (!document) throw std::invalid_argument("the key set is no JSON document");
  auto impl = std::make_unique<Impl>(Options());
  impl->install(import_keys(*document), kForEver);
  return KeySource(std::move(impl));
}

KeySource::KeySource(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

std::string KeySource::refresh_now() { return impl_->thread_.joinable() ? impl_->fetch() : std::string(); }

std::string KeySource::trouble() const {
  const std::lock_guard lock(impl_->mutex_);
  return impl_->trouble_;
}

void KeySource::forget(std::string_view key_id) { impl_->forget(key_id); }

}  // namespace behalf::sdk
