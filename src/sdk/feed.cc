// The receiver of docs/revocation-feed.md: a token, a stream, and one long poll after the other.
//
// A new stream tells everything that is still kept, so nothing is lost whoever restarts: on a stream that
// goes on, what was not acknowledged comes again; where the server knows the stream no more, a new one is
// made. The acknowledgement of a batch travels with the next poll, after its items have been added.
//
// Knowledge counts from the moment a poll was sent whose answer says that there is no more. A SET signed with
// a key that cannot be had is neither acknowledged nor passed over: until it is understood, nothing is fresh.
#include "behalf/feed.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"
#include "crypto/hash.h"
#include "sdk/directory.h"
#include "sdk/endpoint.h"
#include "sdk/key_source.h"
#include "sdk/security_event.h"
#include "sdk/server_access.h"

namespace behalf::sdk {
namespace {

constexpr Seconds kPatience{5};
constexpr Seconds kPollPatience{12};  // an answer is held for at most 5 s
constexpr Seconds kFarewell{1};
constexpr size_t kMaxAnswer = 4 * 1024 * 1024;
constexpr Milliseconds kFirstPause = 50;
constexpr Milliseconds kLastPause = 2'000;  // short of every bound on staleness
constexpr Milliseconds kEmptyPause = 500;   // "there is more", and nothing comes: the stream is paused
constexpr Milliseconds kSweep = 60'000;
constexpr Milliseconds kTroubleShown = 60'000;  // of a SET that could not be used
constexpr std::string_view kScope = "behalf.signals";
constexpr std::string_view kPollMethod = "urn:ietf:rfc:8936";

// Between half and all of `pause`, so that a hundred receivers do not come back in one moment.
Milliseconds with_jitter(Milliseconds pause) {
  std::array<unsigned char, 2> bytes{};
  crypto::SystemRandom().fill(bytes);
  const Milliseconds part = bytes[0] * 256 + bytes[1];
  return pause / 2 + pause * part / (2 * 65'536);
}

struct NoSuchStream : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Stream {
  std::string id;
  std::string audience;
  std::string poll_url;
};

// What was received and is told with the next poll.
struct Receipt {
  std::vector<std::string> taken;
  std::vector<std::pair<std::string, EventFault>> refused;
};

std::string write_poll(const Receipt& receipt, bool returns_immediately) {
  std::string acknowledged = "[";
  for (const std::string& jti : receipt.taken) {
    if (acknowledged.size() > 1) acknowledged.push_back(',');
    json::append_string(acknowledged, jti);
  }
  acknowledged.push_back(']');
  std::string faults;
  json::ObjectWriter writer(faults);
  for (const auto& [jti, fault] : receipt.refused) {
    std::string reason;
    json::ObjectWriter(reason).add("err", fault.code).add("description", fault.description).end();
    writer.add_raw(jti, reason);
  }
  writer.end();
  std::string body;
  json::ObjectWriter(body)
      .add("maxEvents", int64_t{200})
      .add_bool("returnImmediately", returns_immediately)
      .add_raw("ack", acknowledged)
      .add_raw("setErrs", faults)
      .end();
  return body;
}

}  // namespace

struct Feed::Impl {
  Impl(Options given, Revocations& known, KeySource::Impl& source)
      : options(std::move(given)),
        revocations(known),
        keys(source),
        access({options.issuer, options.client_id, Secret(options.client_secret), options.ca_file,
                std::string(kScope)},
               interrupt),
        directory(access, interrupt),
        thread([this] { run(); }) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    interrupt.raise();
    end_poll.raise();
    thread.join();
  }

  void run() {
    Milliseconds pause = kFirstPause;
    while (!is_stopping()) {
      try {
        if (stream.poll_url.empty()) make_stream();
        poll();
        pause = kFirstPause;
        continue;
      } catch (const NoSuchStream& fault) {
        stream = Stream();
        receipt = Receipt();
        note(fault.what());
      } catch (const std::exception& fault) {
        if (!is_in_a_hurry()) note(fault.what());
      }
      client.reset();
      wait(with_jitter(pause));
      pause = std::min(pause * 2, kLastPause);
    }
    remove_stream();
  }

  bool is_stopping() {
    const std::lock_guard lock(mutex);
    return stopping;
  }
  void wait(Milliseconds time) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::milliseconds(time), [&] { return stopping; });
  }
  // Somebody did not want to wait for the end of the long poll: that was no trouble.
  bool is_in_a_hurry() {
    const std::lock_guard lock(mutex);
    return in_a_hurry;
  }

  void make_stream() {
    const json::Value configuration =
        get_object(well_known_url(options.issuer, "ssf-configuration"), options.ca_file, &interrupt);
    const std::string* issuer = configuration.find_string("issuer");
    const std::string* endpoint = configuration.find_string("configuration_endpoint");
    if (issuer == nullptr || *issuer != options.issuer || endpoint == nullptr ||
        !is_as_safe_as(options.issuer, *endpoint)) {
      throw std::runtime_error("the feed of " + options.issuer + " is not where it should be");
    }
    streams_url = *endpoint;
    remove_earlier_stream();
    http::Client streams = access.connect(streams_url, kPatience, &interrupt);
    http::ClientRequest request;
    request.method = "POST";
    request.path_and_query = http::parse_url(streams_url).path_and_query;
    request.headers.add("Content-Type", "application/json");
    request.body =
        R"({"delivery":{"method":")" + std::string(kPollMethod) + R"("},"description":"libbehalf"})";
    const http::Response response = access.send(streams, request);
    const auto body = json::parse(response.body);
    if (response.status != 201 || !body) {
      throw std::runtime_error("no stream to be had: " + std::to_string(response.status));
    }
    const json::Value* delivery = body->find("delivery");
    const std::string* id = body->find_string("stream_id");
    const std::string* audience = body->find_string("aud");
    const std::string* url = delivery == nullptr ? nullptr : delivery->find_string("endpoint_url");
    if (id == nullptr || audience == nullptr || url == nullptr || !is_as_safe_as(options.issuer, *url)) {
      throw std::runtime_error("the new stream is not one that can be polled");
    }
    stream.id = *id;
    stream.audience = *audience;
    stream.poll_url = *url;
    is_caught_up = false;
    client.reset();
    remember_stream();
  }

  // A stream this receiver had before it was restarted would only fill up until the server gives it up.
  void remove_earlier_stream() {
    if (options.stream_id_file.empty()) return;
    std::string id;
    std::getline(std::ifstream(options.stream_id_file), id);
    if (!id.empty()) send_removal(id, &interrupt);
  }

  void remember_stream() {
    if (options.stream_id_file.empty()) return;
    const std::string beside = options.stream_id_file + ".new";
    std::ofstream file(beside, std::ios::trunc);
    file << stream.id << '\n';
    file.close();
    if (!file || std::rename(beside.c_str(), options.stream_id_file.c_str()) != 0) {
      note("cannot write " + options.stream_id_file);
    }
  }

  void send_removal(const std::string& id, const http::Interrupt* until) {
    try {
      http::Client streams = access.connect(streams_url, kFarewell, until);
      http::ClientRequest request;
      request.method = "DELETE";
      request.path_and_query =
          http::parse_url(streams_url).path_and_query + "?stream_id=" + http::percent_encode(id);
      access.send(streams, request);
    } catch (const std::exception&) {
      // It goes by itself after an hour.
    }
  }

  // Leaves nothing behind, if the server is there to be told.
  void remove_stream() {
    if (stream.id.empty() || !is_well) return;
    send_removal(stream.id, nullptr);
    if (!options.stream_id_file.empty()) std::remove(options.stream_id_file.c_str());
  }

  void poll() {
    if (!client) client.emplace(access.connect(stream.poll_url, kPollPatience, &end_poll));
    http::ClientRequest request;
    request.method = "POST";
    request.path_and_query = http::parse_url(stream.poll_url).path_and_query;
    request.headers.add("Content-Type", "application/json");
    {
      const std::lock_guard lock(mutex);
      request.body = write_poll(receipt, !is_caught_up || in_a_hurry);
      if (in_a_hurry && !stopping) end_poll.clear();
      in_a_hurry = false;
    }
    const Milliseconds sent = steady_now();
    const http::Response response = access.send(*client, request);
    if (response.status == 404) throw NoSuchStream("the server no longer knows the stream");
    if (response.status != 200)
      throw std::runtime_error("the poll is answered " + std::to_string(response.status));
    const auto answer = json::parse(response.body, {.bytes = kMaxAnswer, .depth = 4});
    const json::Value* sets = answer ? answer->find("sets") : nullptr;
    const json::Value* more = answer ? answer->find("moreAvailable") : nullptr;
    const bool is_readable =
        sets != nullptr && sets->object() != nullptr && (more == nullptr || more->boolean() != nullptr);
    if (!is_readable) throw std::runtime_error("the answer to the poll is not readable");
    is_well = true;
    receipt = Receipt();
    take(*sets->object());
    is_caught_up = more == nullptr || !*more->boolean();
    if (is_caught_up) {
      revocations.fresh_as_of(sent);
      const std::lock_guard lock(mutex);
      fresh = std::max(fresh, sent);
    }
    changed.notify_all();
    forget_trouble();
    sweep();
    if (!is_caught_up && sets->object()->empty()) wait(kEmptyPause);
  }

  void take(const json::Value::Object& sets) {
    bool is_about_principal = false;
    const uint64_t before = revocations.version();
    for (const auto& [jti, set] : sets) {
      const std::string* text = set.string();
      Result<ReceivedEvent, EventFault> event =
          text == nullptr ? Refused<EventFault>{{"invalid_request", "no SET"}}
                          : read_security_event(*text, jti, options.issuer, stream.audience, keys_for(*text));
      if (!event) {
        note_for_long("a security event could not be used: " + event.reason().description);
        receipt.refused.emplace_back(jti, event.reason());
        continue;
      }
      if (event->revoked) {
        const RevokedItem& item = *event->revoked;
        revocations.add({item.kind, item.id, item.at, item.until});
        if (item.kind == RevokedKind::kKey) keys.forget(item.id);
        is_about_principal |= item.kind == RevokedKind::kPrincipal;
      }
      receipt.taken.push_back(jti);
    }
    if (is_about_principal) directory.renew();
    if (revocations.version() != before) tell();
  }

  // Throws where the key that signed is not known: what it says may not be passed over.
  const KeySet& keys_for(const std::string& set) {
    const std::string key_id = key_of_security_event(set);
    current_keys = keys.current();
    if (key_id.empty() || (current_keys && keys.has(key_id))) return or_none(current_keys);
    current_keys = keys.wait_for_key(key_id);
    if (current_keys && keys.has(key_id)) return *current_keys;
    throw std::runtime_error("a security event is signed with a key that cannot be had yet");
  }
  static const KeySet& or_none(const std::shared_ptr<const KeySet>& set) {
    static const KeySet kNone;
    return set ? *set : kNone;
  }

  void tell() {
    std::function<void()> callback;
    {
      const std::lock_guard lock(mutex);
      callback = on_change;
    }
    if (!callback) return;
    try {
      callback();
    } catch (const std::exception& fault) {
      note_for_long(fault.what());
    }
  }

  // A wall clock that is set far ahead and back again must not make us forget what still matters.
  void sweep() {
    const Milliseconds now = steady_now();
    if (now < next_sweep) return;
    next_sweep = now + kSweep;
    revocations.forget_before(std::min(system_now(), began_wall + (now - began)) - kSweep);
  }

  void note(const std::string& what) {
    const std::lock_guard lock(mutex);
    if (stopping) return;  // it was we who ended the wait
    is_well = false;
    trouble = what;
  }
  void note_for_long(const std::string& what) {
    const std::lock_guard lock(mutex);
    trouble = what;
    trouble_until = steady_now() + kTroubleShown;
  }
  void forget_trouble() {
    const std::lock_guard lock(mutex);
    if (steady_now() >= trouble_until) trouble.clear();
  }

  const Options options;
  Revocations& revocations;
  KeySource::Impl& keys;

  std::mutex mutex;  // guards what stands between here and `changed`
  bool stopping = false;
  bool in_a_hurry = false;
  Milliseconds fresh = -1;
  std::string trouble;
  Milliseconds trouble_until = 0;
  std::function<void()> on_change;
  std::condition_variable changed;

  http::Interrupt interrupt;  // of everything, at the end
  http::Interrupt end_poll;   // of the long poll alone
  ServerAccess access;
  Directory directory;

  // The thread's own.
  Stream stream;
  std::string streams_url;
  Receipt receipt;
  std::optional<http::Client> client;
  std::shared_ptr<const KeySet> current_keys;
  bool is_caught_up = false;
  bool is_well = false;
  const Milliseconds began = steady_now();
  const Milliseconds began_wall = system_now();
  Milliseconds next_sweep = began + kSweep;

  std::thread thread;
};

Feed::Feed(Options options, Revocations& revocations, KeySource& keys) {
  well_known_url(options.issuer, "");  // throws where it is no URL
  impl_ = std::make_unique<Impl>(std::move(options), revocations, *keys.impl_);
}

Feed::~Feed() = default;

bool Feed::wait_until_current(Milliseconds patience) {
  const Milliseconds asked = steady_now();
  std::unique_lock lock(impl_->mutex);
  impl_->in_a_hurry = true;
  impl_->end_poll.raise();
  return impl_->changed.wait_for(lock, std::chrono::milliseconds(patience), [&] {
    return impl_->fresh >= asked || impl_->stopping;
  }) && impl_->fresh >= asked;
}

std::shared_ptr<const AgentInfo> Feed::agent(std::string_view id) const { return impl_->directory.find(id); }

void Feed::on_change(std::function<void()> callback) {
  const std::lock_guard lock(impl_->mutex);
  impl_->on_change = std::move(callback);
}

std::string Feed::trouble() const {
  std::string directory = impl_->directory.trouble();
  const std::lock_guard lock(impl_->mutex);
  return impl_->trouble.empty() ? directory : impl_->trouble;
}

}  // namespace behalf::sdk
