// RFC 8936: a receiver fetches its SETs and acknowledges those it has. An
// answer with nothing to say is held until something happens, at most
// kLongestWait; so a receiver that hears nothing for longer knows that
// something is wrong.
//
// The promise a verifier builds on: when an answer without more to come has
// arrived, everything that was revoked (and acknowledged to whoever revoked it)
// before the poll was sent is known. So an answer may be empty only after the
// log has caught up with every server that writes to the store.
#include <algorithm>
#include <chrono>

#include "oauth/bearer.h"
#include "oauth/signals/outstanding.h"
#include "oauth/signals/security_event.h"
#include "oauth/signals/transmitter.h"

namespace behalf::oauth {
namespace {

constexpr std::chrono::milliseconds kLongestWait{5000};
constexpr size_t kDefaultEvents = 100;
constexpr int64_t kMostEvents = 200;

struct PollRequest {
  size_t most = kDefaultEvents;
  bool returns_immediately = false;
  std::vector<int64_t> received;      // sequences
  std::vector<std::string> verified;  // other jtis: a verification event's
};

// A jti that is not one of ours acknowledges nothing.
void take_jti(PollRequest& poll, const std::string& jti) {
  if (const auto sequence = sequence_of_jti(jti))
    poll.received.push_back(*sequence);
  else
    poll.verified.push_back(jti);
}

Answer<PollRequest> read_poll(const http::Request& request) {
  PollRequest poll;
  const auto bad = [](std::string_view what) {
    return refuse(ErrorCode::kInvalidRequest, what, "poll_malformed");
  };
  const auto body =
      json::parse(request.body.empty() ? std::string_view("{}") : std::string_view(request.body));
  if (!body || body->object() == nullptr) return bad("the body must be a JSON object");
  if (const json::Value* most = body->find("maxEvents")) {
    if (most->integer() == nullptr || *most->integer() < 0) return bad("maxEvents must be a number");
    poll.most = static_cast<size_t>(std::min(*most->integer(), kMostEvents));
  }
  if (const json::Value* immediately = body->find("returnImmediately")) {
    if (immediately->boolean() == nullptr) return bad("returnImmediately must be true or false");
    poll.returns_immediately = *immediately->boolean();
  }
  if (const json::Value* list = body->find("ack")) {
    if (list->array() == nullptr) return bad("ack must be a list");
    for (const json::Value& jti : *list->array()) {
      if (jti.string() == nullptr) return bad("ack must be a list of jti");
      take_jti(poll, *jti.string());
    }
  }
  // What a receiver cannot use it will not be able to use the next time either.
  if (const json::Value* faults = body->find("setErrs")) {
    if (faults->object() == nullptr) return bad("setErrs must be an object");
    for (const json::Member& fault : *faults->object()) take_jti(poll, fault.name);
  }
  return poll;
}

http::Response poll_answer(Transmitter& transmitter, const SignalStream& stream,
                           const store::RevocationList& items, bool has_more, bool has_verification) {
  std::string sets;
  json::ObjectWriter writer(sets);
  if (has_verification) writer.add(stream.verification_jti, transmitter.signed_verification(stream));
  for (const auto& item : items) writer.add(jti_of(*item), transmitter.signed_event(stream, *item));
  writer.end();
  std::string body;
  json::ObjectWriter(body).add_raw("sets", sets).add_bool("moreAvailable", has_more).end();
  http::Response response = http::json_response(200, std::move(body));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

// Waits for something newer than `seen`, until time is up, the server stops or the stream itself has changed:
// true if one of the latter is so. That another stream has changed is nothing to this one.
Task<bool> wait_in_vain(Transmitter& transmitter, const StreamId& id, uint64_t known_changes, int64_t seen,
                        std::chrono::steady_clock::time_point began) {
  store::RevocationLog& log = transmitter.services().store.revocations();
  for (;;) {
    const auto waited =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
    if (waited >= kLongestWait || log.is_closed() || transmitter.changes_of(id) != known_changes)
      co_return true;
    co_await log.more(seen, kLongestWait - waited);
    if (log.newest() > seen) co_return false;
  }
}

Task<http::Response> poll(Transmitter& transmitter, Call& call) {
  Services& services = call.services;
  auto bearer = read_bearer(call);
  if (!bearer) co_return co_await refuse_bearer(call, bearer.reason(), kSignalsScope);
  co_await services.store.revocations().caught_up();
  const auto query = http::Form::parse(call.request.query);
  const StreamId id(query ? query->get("stream_id") : std::string_view{});
  const uint64_t changes = transmitter.changes_of(id);  // before the stream is read
  std::optional<OAuthError> refusal;
  std::optional<SignalStream> stream;
  co_await services.store.read([&](store::ReadTransaction& transaction) {
    auto caller = confirm_bearer(call, *bearer, kSignalsScope, transaction);
    if (!caller) {
      refusal = caller.reason();
      return;
    }
    stream = transaction.find_stream(id);
    if (stream && stream->client != caller->client->id) stream.reset();
  });
  if (refusal) co_return co_await refuse_bearer(call, *refusal, kSignalsScope);
  const bool is_polled = stream && stream->push_url.empty() && !transmitter.is_idle(*stream, call.now);
  if (!is_polled) {
    const OAuthError error{ErrorCode::kInvalidRequest, "", "stream_unknown", {}, {}};
    co_await record_refusal(call, error);
    co_return plain_error(404, "not_found", "there is no such stream to poll");
  }
  const auto asked = read_poll(call.request);
  if (!asked) {
    co_await record_refusal(call, asked.reason());
    co_return error_response(asked.reason());
  }

  Progress& progress = transmitter.progress();
  progress.meet(*stream, call.now);
  const int64_t newest = services.store.revocations().newest();
  for (const int64_t sequence : asked->received) {
    if (sequence <= newest) progress.acknowledge(id, sequence);
  }
  const auto& verified = asked->verified;
  bool has_verification = !stream->verification_jti.empty();
  if (has_verification &&
      std::find(verified.begin(), verified.end(), stream->verification_jti) != verified.end()) {
    co_await services.store.transact([&](store::Transaction& transaction) {
      auto current = transaction.find_stream(id);
      if (!current || current->verification_jti != stream->verification_jti) return;
      current->verification_jti.clear();
      transaction.put_stream(*current);
    });
    has_verification = false;
  }

  const auto began = std::chrono::steady_clock::now();
  if (stream->status != StreamStatus::kEnabled) {
    if (stream->status == StreamStatus::kDisabled) progress.skip_to(id, newest);
    if (!asked->returns_immediately && asked->most > 0)
      co_await wait_in_vain(transmitter, id, changes, INT64_MAX, began);
    // Nothing is delivered, and the receiver must not take silence for
    // knowledge.
    co_return poll_answer(transmitter, *stream, {}, true, false);
  }
  // A verification is one of the events that were asked for, and waits where there is no room for it.
  const bool is_verification_left = has_verification && asked->most == 0;
  has_verification = has_verification && !is_verification_left;
  for (;;) {
    Outstanding batch(transmitter, *stream, asked->most - (has_verification ? 1 : 0), call.now);
    while (const auto range = batch.missing()) {
      co_await services.store.read([&](store::ReadTransaction& transaction) {
        batch.take(transaction.list_revocations(range->after, range->limit));
      });
    }
    const bool has_more = batch.has_more() || is_verification_left;
    const bool has_something = !batch.items().empty() || has_more || has_verification;
    const bool is_due = has_something || asked->returns_immediately || asked->most == 0 ||
                        co_await wait_in_vain(transmitter, id, changes, batch.seen(), began);
    if (is_due) co_return poll_answer(transmitter, *stream, batch.items(), has_more, has_verification);
  }
}

}  // namespace

Task<http::Response> ssf_poll(Transmitter& transmitter, http::Request& request) {
  return answer(transmitter.services(), request, "signals.poll",
                [&transmitter](Call& call) { return poll(transmitter, call); });
}

}  // namespace behalf::oauth
