// The composition: parts in the order in which they need each other, and what is answered where.
#include "guard/guard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <stdexcept>

#include "base/json.h"
#include "base/log.h"
#include "base/uri.h"
#include "behalf/feed.h"
#include "behalf/keys.h"
#include "behalf/revocations.h"
#include "guard/answers.h"
#include "guard/asked.h"
#include "guard/counter_file.h"
#include "guard/decision_point.h"
#include "guard/identity.h"
#include "guard/journal.h"
#include "guard/judge.h"
#include "guard/onward.h"
#include "guard/policy_file.h"
#include "guard/sender.h"

namespace behalf::guard {
namespace {

constexpr size_t kHeaderLine = 24 * 1024;  // a token of 16 KiB must fit
constexpr std::string_view kMetadata = "/.well-known/oauth-protected-resource";
constexpr std::string_view kKeys = "/.well-known/behalf-guard-jwks.json";

struct PublicUrl {
  std::string base;  // scheme and authority
  std::string path;  // "" where there is none
};

PublicUrl split(const std::string& url) {
  const auto parts = split_uri(url);
  PublicUrl split;
  split.base = std::string(parts->scheme) + "://" + std::string(*parts->authority);
  split.path = parts->path == "/" ? "" : std::string(parts->path);
  return split;
}

sdk::KeySource::Options key_options(const Settings& settings) {
  sdk::KeySource::Options options;
  options.issuer = settings.server.issuer;
  options.ca_file = settings.server.ca_file;
  options.unknown_key_wait = 0;  // a loop must not wait
  return options;
}

sdk::VerifierOptions verifier_options(const Settings& settings) {
  sdk::VerifierOptions options;
  options.issuer = settings.server.issuer;
  options.audiences = {settings.resource.id};
  return options;
}

// True if its Content-Length is larger: it has been checked, and its digits fit.
bool says_more_than(const http::Request& request, size_t limit) {
  const std::string* length = request.headers.find("Content-Length");
  uint64_t bytes = 0;
  return length != nullptr &&
         std::from_chars(length->data(), length->data() + length->size(), bytes).ec == std::errc() &&
         bytes > limit;
}

// The key of signed identities: of the file, which is made if it is not there; or none.
std::optional<crypto::SigningKey> read_key(const std::string& path) {
  if (path.empty()) return std::nullopt;
  const File made(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (made) {
    const auto key = crypto::SigningKey::generate(crypto::Algorithm::kES256);
    if (!append_line(made.get(), json::write(key.private_jwk())))
      throw std::runtime_error("cannot write " + path);
    return key;
  }
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> bytes{};
  const ssize_t count = file ? ::read(file.get(), bytes.data(), bytes.size()) : -1;
  const auto jwk = count < 0 ? std::nullopt : json::parse({bytes.data(), static_cast<size_t>(count)});
  auto key = jwk ? crypto::SigningKey::import(*jwk) : crypto::SigningKey::import(json::Value());
  if (!key) throw std::runtime_error(path + " holds no private key as a JWK");
  return std::move(key).value();
}

}  // namespace

struct Guard::Parts {
  Parts(Settings from, Clock& our_clock, Random& random)
      : settings(std::move(from)),
        clock(our_clock),
        url(split(settings.resource.public_url)),
        metadata_path(std::string(kMetadata) + url.path),
        revocations(settings.serve_when_stale ? 0 : settings.max_staleness),
        keys(key_options(settings)),
        verifier(verifier_options(settings), keys, settings.follow_feed ? &revocations : nullptr),
        identity(settings.identity, url.base + url.path, settings.resource.id,
                 read_key(settings.identity_key)),
        journal(settings.evidence, random),
        judge(settings, verifier, sdk::Challenger(url.base + metadata_path),
              [this](std::string_view id) { return feed ? feed->agent(id) : nullptr; }),
        policy(settings.policy,
               [this](std::shared_ptr<const sdk::Policy> read) { judge.use(std::move(read)); }),
        metadata(resource_metadata(settings)) {
    if (!settings.counters.empty()) counter_file.emplace(settings.counters, judge.counters());
    if (settings.follow_feed) {
      sdk::Feed::Options options;
      options.issuer = settings.server.issuer;
      options.client_id = settings.server.client_id;
      options.client_secret = std::string(settings.server.client_secret.reveal());
      options.ca_file = settings.server.ca_file;
      feed = std::make_unique<sdk::Feed>(options, revocations, keys);
    }
    if (journal.spool() != nullptr) sender.emplace(settings.server, *journal.spool(), clock);
    http::Limits limits;
    limits.header_line_bytes = kHeaderLine;
    limits.any_content_coding = true;
    if (settings.health) limits.vital = {"/livez", "/readyz"};
    if (settings.dialect == Dialect::kProxy) {
      limits.body_bytes = settings.max_body;
      limits.refuse_http_1_0 = true;
      server.emplace(
          settings.listen, limits, settings.threads,
          http::Front([this](http::Request& request, http::Body body) { return front(request, body); }));
    } else {
      limits.body_bytes = settings.read_body;
      server.emplace(settings.listen, limits, settings.threads,
                     http::Handler([this](http::Request& request) { return decide(request); }));
    }
  }

  sdk::Milliseconds now() const { return clock.now().milliseconds; }

  // What the guard itself has at its own addresses; nothing where it has none.
  std::optional<http::Response> own_page(const http::Request& request) const {
    const bool is_metadata = request.path == kMetadata || request.path == metadata_path;
    if (is_metadata && request.method == "OPTIONS") return metadata_preflight();
    if (request.method != "GET" && request.method != "HEAD") return std::nullopt;
    if (is_metadata) return public_json(metadata);
    if (request.path == kKeys) return public_json(identity.key_set());
    if (!settings.health) return std::nullopt;
    if (request.path == "/livez") return http::text_response(200, "alive\n");
    if (request.path == "/readyz") return readiness(tells_details(request));
    return std::nullopt;
  }

  // A proxy's own port is everybody's: how the guard is doing is for who is on this machine, unless it is
  // said otherwise. Whoever comes through another proxy here is not.
  bool tells_details(const http::Request& request) const {
    if (settings.dialect != Dialect::kProxy || settings.health_is_full) return true;
    for (const char* passed_on : {"X-Forwarded-For", "Forwarded", "Via"}) {
      if (request.headers.find(passed_on) != nullptr) return false;
    }
    return request.peer == "unix" || is_loopback_address(request.peer);
  }

  http::Response readiness(bool with_details) const {
    Readiness state;
    state.keys_missing = !keys_seen || judge.lacks_keys();
    if (settings.follow_feed) state.revocations_stale = is_stale();
    state.feed_trouble = feed ? feed->trouble() : "";
    state.policy = judge.policy()->version();
    state.policy_fault = !policy.fault().empty();
    state.evidence_full = journal.is_full();
    state.dropped = journal.dropped();
    state.waiting = journal.waiting_bytes();
    state.revoked = revocations.size();
    state.serves_stale = settings.serve_when_stale;
    state.without_credential = without_credential;
    return ready_page(state, with_details);
  }
  bool is_stale() const {
    const sdk::Milliseconds age = revocations.age(awake_or_asleep_milliseconds());
    return age < 0 || age > settings.max_staleness;
  }

  // For a proxy that holds the request.
  Task<http::Response> decide(http::Request& request) {
    if (auto page = own_page(request)) co_return std::move(*page);
    const auto read = read_asked(settings, request);
    const auto* reason = std::get_if<NotAsked>(&read);
    // Anybody can be without it, as often as they like: no records, a number.
    if (reason != nullptr && *reason == NotAsked::kNoCredential) ++without_credential;
    if (reason != nullptr && *reason != NotAsked::kUnclear) co_return not_asked(*reason);
    Ruling ruling = reason != nullptr ? judge.unclear(request, now())
                                      : judge.rule(std::get<Asked>(read), Size::kFits, now());
    if (ruling.allowed && !ruling.external_requests.empty()) {
      auto asking = point.ask(ruling.external, std::move(ruling.external_requests));
      judge.settle(ruling, co_await asking, now());
    }
    const bool kept = co_await journal.keep(ruling.record);
    if (!kept) {
      judge.give_back(ruling, now());
      ruling = unkept();
    }
    const IdentityHeaders who = identity.headers(ruling.who.get(), now());
    http::Response response = decided(settings.dialect, ruling, who);
    co_return response;
  }

  // For a client whose request goes through here.
  Task<http::Plan> front(http::Request& request, http::Body body) {
    if (auto page = own_page(request)) {
      http::Plan plan = std::move(*page);
      co_return plan;
    }
    const bool is_read = body == http::Body::kRead;
    const Asked asked =
        read_own(request, is_read ? std::optional<std::string_view>(request.body) : std::nullopt);
    Size size = body == http::Body::kTooLarge ? Size::kTooLargeNow : Size::kFits;
    if (body == http::Body::kWaiting && judge.needs_body(asked)) {
      // In shadow mode it goes on, and what has been read could not.
      if (settings.shadow && says_more_than(request, settings.read_body)) {
        size = Size::kTooLarge;
      } else {
        http::Plan plan = http::ReadBody{settings.read_body};
        co_return plan;
      }
    }
    Ruling ruling = judge.rule(asked, size, now());
    if (ruling.allowed && !ruling.external_requests.empty()) {
      auto asking = point.ask(ruling.external, std::move(ruling.external_requests));
      judge.settle(ruling, co_await asking, now());
    }
    const bool kept = co_await journal.keep(ruling.record);
    if (!kept) {
      judge.give_back(ruling, now());
      ruling = unkept();
    }
    if (!ruling.allowed) {
      http::Plan plan = refusal(ruling);
      co_return plan;
    }
    const IdentityHeaders who = identity.headers(ruling.who.get(), now());
    http::Forward forward = onward(settings, request, who);
    if (!ruling.token.empty()) forward.may_go_on = permission(std::move(ruling));
    http::Plan plan = std::move(forward);
    co_return plan;
  }

  // Asked while the exchange lasts; the end is remembered once.
  std::function<bool()> permission(Ruling ruling) {
    auto token = std::make_shared<const std::string>(ruling.token);
    auto kept = std::make_shared<Record>(std::move(ruling.record));
    return [this, token, kept] {
      const auto refusal = judge.ended(*token, now());
      if (!refusal) return true;
      if (settings.shadow) return true;
      Record record = std::move(*kept);
      record.event = "resource.cut";
      record.time = now();
      record.allowed = false;
      record.reason = name_of(*refusal);
      journal.note(record);
      return false;
    };
  }

  const Settings settings;
  Clock& clock;
  const PublicUrl url;
  const std::string metadata_path;
  sdk::Revocations revocations;
  sdk::KeySource keys;
  sdk::Verifier verifier;
  Identity identity;
  Journal journal;
  std::unique_ptr<sdk::Feed> feed;
  Judge judge;
  PolicyFile policy;
  const std::string metadata;
  std::optional<CounterFile> counter_file;
  std::atomic<bool> keys_seen = false;
  std::string keys_trouble;  // the last that was told
  std::string feed_trouble;
  std::atomic<uint64_t> without_credential = 0;
  std::optional<Sender> sender;
  DecisionPoint point;
  std::optional<http::Server> server;  // last: everything else must be there while it serves
};

Guard::Guard(Settings settings, Clock& clock, Random& random)
    : parts_(std::make_unique<Parts>(std::move(settings), clock, random)) {}
Guard::~Guard() = default;

uint16_t Guard::port() const { return parts_->server->port(); }

void Guard::reload() {
  parts_->policy.reload();
  try {
    parts_->journal.reopen();
  } catch (const std::exception& fault) {
    log_fault("evidence", fault.what());
  }
}

void Guard::tend() {
  if (!parts_->keys_seen) {
    std::string trouble = parts_->keys.refresh_now();
    parts_->keys_seen = trouble.empty();
    if (!trouble.empty() && trouble != parts_->keys_trouble)
      log_line("warning", "no keys yet, so nothing is allowed: " + trouble);
    parts_->keys_trouble = std::move(trouble);
  }
  if (parts_->feed) {
    std::string trouble = parts_->feed->trouble();
    if (trouble != parts_->feed_trouble)
      log_line(trouble.empty() ? "info" : "warning", trouble.empty() ? "the feed of revocations answers again"
                                                                     : "the feed of revocations: " + trouble);
    parts_->feed_trouble = std::move(trouble);
  }
  parts_->policy.reload_if_changed();
  if (parts_->counter_file) parts_->counter_file->save_if_due(parts_->now());
  parts_->revocations.forget_before(parts_->now());
}

void Guard::stop(Seconds grace) {
  parts_->server->stop(grace);
  if (parts_->counter_file) parts_->counter_file->save(parts_->now());
}

}  // namespace behalf::guard
