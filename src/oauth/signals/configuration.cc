// SSF 1.0 §7 and §8.1: what the transmitter offers, and the streams that
// receivers make, read, change and end. Each stream belongs to the client that
// made it; for any other it does not exist.
#include <algorithm>

#include "base/uri.h"
#include "oauth/bearer.h"
#include "oauth/signals/push_target.h"
#include "oauth/signals/security_event.h"
#include "oauth/signals/transmitter.h"

namespace behalf::oauth {
namespace {

constexpr std::string_view kPoll = "urn:ietf:rfc:8936";
constexpr std::string_view kPush = "urn:ietf:rfc:8935";
constexpr size_t kMostText = 1000;
constexpr size_t kMostState = 4000;
constexpr size_t kMostEventNames = 32;
// A stream that was polled a moment ago has somebody behind it and does not
// make room for another.
constexpr Seconds kInUse{60};

template <class Range>
json::Value list_of(const Range& items) {
  json::Value::Array array;
  for (const auto& item : items) array.emplace_back(std::string_view(item));
  return array;
}

std::vector<std::string> delivered_events(const SignalStream& stream) {
  std::vector<std::string> delivered;
  const auto& wanted = stream.events_requested;
  for (const std::string_view event : supported_events()) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), event) != wanted.end())
      delivered.emplace_back(event);
  }
  return delivered;
}

json::Value describe_stream(const Settings& settings, const SignalStream& stream) {
  json::Value out;
  out.set("stream_id", stream.id.text());
  out.set("iss", settings.issuer);
  out.set("aud", stream.client.text());
  out.set("events_supported", list_of(supported_events()));
  const auto delivered = delivered_events(stream);
  out.set("events_requested", list_of(stream.events_requested.empty() ? delivered : stream.events_requested));
  out.set("events_delivered", list_of(delivered));
  json::Value delivery;
  delivery.set("method", stream.push_url.empty() ? kPoll : kPush);
  delivery.set("endpoint_url", stream.push_url.empty()
                                   ? settings.issuer + "/ssf/poll?stream_id=" + stream.id.text()
                                   : stream.push_url);
  out.set("delivery", std::move(delivery));
  out.set("min_verification_interval", Transmitter::kVerificationInterval.count);
  out.set("inactivity_timeout", Transmitter::kIdleTimeout.count);
  if (!stream.description.empty()) out.set("description", stream.description);
  return out;
}

json::Value describe_status(const SignalStream& stream) {
  json::Value out;
  out.set("stream_id", stream.id.text());
  out.set("status", name_of(stream.status));
  if (!stream.status_reason.empty()) out.set("reason", stream.status_reason);
  return out;
}

http::Response private_document(int status, const json::Value& value) {
  http::Response response = http::json_response(status, json::write(value));
  response.headers.set("Cache-Control", "no-store");
  return response;
}

http::Response no_content() {
  http::Response response;
  response.status = 204;
  response.headers.set("Cache-Control", "no-store");
  return response;
}

http::Response unknown_stream() { return plain_error(404, "not_found", "there is no such stream"); }

Refused<OAuthError> malformed(std::string_view what) {
  return refuse(ErrorCode::kInvalidRequest, what, "stream_malformed");
}

Answer<std::string> read_text(const json::Value& body, std::string_view name, size_t most) {
  const json::Value* member = body.find(name);
  if (member == nullptr) return std::string{};
  if (member->string() == nullptr || member->string()->size() > most)
    return malformed(std::string(name) + " must be text, and not too long");
  return *member->string();
}

// What a receiver may say of a stream. `is_whole`: what it leaves out is taken
// back to what a new one has.
Answer<Fine> apply_wishes(const Settings& settings, const json::Value& body, bool is_whole,
                          SignalStream& stream) {
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>{"iss", settings.issuer},
                                    {"aud", stream.client.text()}}) {
    const json::Value* said = body.find(name);
    if (said != nullptr && (said->string() == nullptr || *said->string() != value))
      return malformed(std::string(name) + " is the transmitter's to say");
  }
  if (is_whole || body.find("description") != nullptr)
    stream.description = TRY(read_text(body, "description", kMostText));
  if (is_whole) stream.events_requested.clear();
  if (const json::Value* events = body.find("events_requested")) {
    if (events->array() == nullptr || events->array()->size() > kMostEventNames)
      return malformed("events_requested must be a list");
    stream.events_requested.clear();
    for (const json::Value& event : *events->array()) {
      if (event.string() == nullptr || event.string()->size() > kMostText)
        return malformed("events_requested must be a list of event types");
      stream.events_requested.push_back(*event.string());
    }
    // None at all would read as all: an empty wish is none that we know.
    if (stream.events_requested.empty()) stream.events_requested.emplace_back("urn:behalf:event:none");
  }
  const json::Value* delivery = body.find("delivery");
  if (delivery == nullptr) {
    if (is_whole) {
      stream.push_url.clear();
      stream.push_authorization.clear();
    }
    return Fine{};
  }
  const std::string* method = delivery->find_string("method");
  if (method == nullptr) return malformed("delivery needs a method");
  if (*method == kPoll) {
    stream.push_url.clear();
    stream.push_authorization.clear();
    return Fine{};
  }
  if (*method != kPush) return malformed("this delivery method is not supported");
  const std::string url = TRY(read_text(*delivery, "endpoint_url", kMostText));
  const std::string authorization = TRY(read_text(*delivery, "authorization_header", kMostState));
  if (!may_push_to(settings.push_hosts, url))
    return refuse(ErrorCode::kInvalidRequest, "events are not pushed to that address",
                  "push_host_not_allowed");
  if (!std::all_of(authorization.begin(), authorization.end(), [](char c) { return c >= ' ' && c < '\x7F'; }))
    return malformed("authorization_header must be one line");
  // Left out, it stays what it was where the address does.
  if (!authorization.empty() || stream.push_url != url) stream.push_authorization = authorization;
  stream.push_url = url;
  return Fine{};
}

// What a call that changes streams does inside the transaction: gives the
// answer.
using Change = std::function<http::Response(store::Transaction&, const ApiCaller&)>;

Task<http::Response> change_streams(Transmitter& transmitter, Call& call, std::string stream, Change change) {
  auto bearer = read_bearer(call);
  if (!bearer) co_return co_await refuse_bearer(call, bearer.reason(), kSignalsScope);
  std::optional<OAuthError> refusal;
  http::Response response;
  auto pending = call.commit([&](store::Transaction& transaction) {
    refusal.reset();
    const auto caller = confirm_bearer(call, *bearer, kSignalsScope, transaction);
    if (!caller) {
      refusal = caller.reason();
      return;
    }
    call.allow();
    response = change(transaction, *caller);
  });
  co_await pending.durable();
  if (refusal) co_return bearer_response(call, *refusal, kSignalsScope);
  if (response.status < 300) transmitter.notice_change(stream);
  co_return response;
}

http::Response deny_with(Call& call, const OAuthError& error) {
  call.deny(error);
  return error_response(error);
}

http::Response deny_unknown(Call& call) {
  call.deny({ErrorCode::kInvalidRequest, "", "stream_unknown", {}, {}});
  return unknown_stream();
}

// The caller's own and live, or nothing.
std::optional<SignalStream> own_stream(const Transmitter& transmitter, store::ReadTransaction& transaction,
                                       const ApiCaller& caller, std::string_view id, UnixTime now) {
  auto stream = transaction.find_stream(StreamId(id));
  if (!stream || stream->client != caller.client->id || transmitter.is_idle(*stream, now))
    return std::nullopt;
  return stream;
}

std::string_view stream_id_of(const std::optional<http::Form>& query) {
  return query ? query->get("stream_id") : std::string_view{};
}

// Room for one more of this client's; false if all of them are in use.
bool make_room(Transmitter& transmitter, store::Transaction& transaction, const ClientId& client,
               UnixTime now) {
  std::vector<SignalStream> streams = transaction.list_streams(client);
  const auto seen = [&](const SignalStream& stream) {
    return std::max(stream.seen_at, transmitter.progress().seen_at(stream.id));
  };
  std::erase_if(streams, [&](const SignalStream& stream) {
    if (!transmitter.is_idle(stream, now)) return false;
    (void)transaction.remove_stream(stream.id);
    return true;
  });
  if (streams.size() < Transmitter::kStreamsPerClient) return true;
  const auto oldest = std::min_element(streams.begin(), streams.end(),
                                       [&](const auto& a, const auto& b) { return seen(a) < seen(b); });
  if (seen(*oldest) + kInUse >= now) return false;
  (void)transaction.remove_stream(oldest->id);
  transmitter.progress().forget(oldest->id);
  return true;
}

// One receiver that is pushed to costs more than one that polls: a client has few of them.
bool may_push_one_more(const Transmitter& transmitter, store::Transaction& transaction,
                       const SignalStream& wanted, UnixTime now) {
  if (wanted.push_url.empty()) return true;
  size_t others = 0;
  for (const SignalStream& stream : transaction.list_streams(wanted.client)) {
    if (stream.id != wanted.id && !stream.push_url.empty() && !transmitter.is_idle(stream, now)) ++others;
  }
  return others < Transmitter::kPushStreamsPerClient;
}

http::Response deny_too_many(Call& call) {
  call.deny({ErrorCode::kInvalidRequest, "", "too_many_streams", {}, {}});
  return plain_error(409, "conflict", "this client has too many streams in use");
}

// An endpoint whose body is a JSON object.
using WithBody = std::function<Task<http::Response>(Call&, const json::Value&)>;
Task<http::Response> with_body(Transmitter& transmitter, http::Request& request, std::string event,
                               WithBody then) {
  return answer(transmitter.services(), request, std::move(event),
                [&transmitter, then = std::move(then)](Call& call) -> Task<http::Response> {
                  auto body = json::parse(call.request.body.empty() ? std::string_view("{}")
                                                                    : std::string_view(call.request.body));
                  // Who asks is looked at first: a stranger learns only that.
                  if (!body || body->object() == nullptr) {
                    co_return co_await change_streams(
                        transmitter, call, std::string(), [&call](store::Transaction&, const ApiCaller&) {
                          return deny_with(call, malformed("the body must be a JSON object").reason);
                        });
                  }
                  co_return co_await then(call, *body);
                });
}

Task<http::Response> edit_stream(Transmitter& transmitter, http::Request& request, bool is_whole) {
  return with_body(
      transmitter, request, "signals.stream.update",
      [&transmitter, is_whole](Call& call, const json::Value& body) {
        return change_streams(
            transmitter, call, text_of(body, "stream_id"),
            [&transmitter, &call, body, is_whole](store::Transaction& transaction, const ApiCaller& caller) {
              const std::string* id = body.find_string("stream_id");
              if (id == nullptr) return deny_with(call, malformed("stream_id is required").reason);
              auto stream = own_stream(transmitter, transaction, caller, *id, call.now);
              if (!stream) return deny_unknown(call);
              const bool was_pushed = !stream->push_url.empty();
              const auto wished = apply_wishes(call.settings(), body, is_whole, *stream);
              if (!wished) return deny_with(call, wished.reason());
              if (!was_pushed && !may_push_one_more(transmitter, transaction, *stream, call.now))
                return deny_too_many(call);
              transaction.put_stream(*stream);
              call.audit.details.set("stream", stream->id.text());
              return private_document(200, describe_stream(call.settings(), *stream));
            });
      });
}

}  // namespace

http::Response ssf_configuration(const Services& services) {
  const std::string& issuer = services.settings.issuer;
  json::Value out;
  out.set("spec_version", "1_0");
  out.set("issuer", issuer);
  out.set("jwks_uri", issuer + "/jwks");
  std::vector<std::string_view> methods{kPoll};
  if (!services.settings.push_hosts.empty()) methods.push_back(kPush);
  out.set("delivery_methods_supported", list_of(methods));
  out.set("configuration_endpoint", issuer + "/ssf/streams");
  out.set("status_endpoint", issuer + "/ssf/status");
  out.set("verification_endpoint", issuer + "/ssf/verify");
  json::Value scheme;
  scheme.set("spec_urn", "urn:ietf:rfc:6749");
  out.set("authorization_schemes", json::Value::Array{std::move(scheme)});
  out.set("default_subjects", "ALL");
  http::Response response = http::json_response(200, json::write(out));
  response.headers.set("Cache-Control", "public, max-age=300");
  response.headers.set("Access-Control-Allow-Origin", "*");
  return response;
}

Task<http::Response> ssf_create(Transmitter& transmitter, http::Request& request) {
  return with_body(
      transmitter, request, "signals.stream.create", [&transmitter](Call& call, const json::Value& body) {
        const StreamId id(call.new_id());
        return change_streams(
            transmitter, call, id.text(),
            [&transmitter, &call, body, id](store::Transaction& transaction, const ApiCaller& caller) {
              SignalStream stream;
              stream.id = id;
              stream.client = caller.client->id;
              stream.seen_at = stream.created_at = call.now;
              const auto wished = apply_wishes(call.settings(), body, true, stream);
              if (!wished) return deny_with(call, wished.reason());
              if (!may_push_one_more(transmitter, transaction, stream, call.now) ||
                  !make_room(transmitter, transaction, stream.client, call.now)) {
                return deny_too_many(call);
              }
              transaction.put_stream(stream);
              call.audit.details.set("stream", stream.id.text());
              return private_document(201, describe_stream(call.settings(), stream));
            });
      });
}

namespace {

// Tells of a stream; that there is none is in the log, as where one was to be changed.
using Telling = std::function<http::Response(store::ReadTransaction&, const ApiCaller&, bool& is_unknown)>;
Task<http::Response> tell_of_streams(Call& call, Telling tell) {
  bool is_unknown = false;
  http::Response response = co_await tell_bearer(
      call, kSignalsScope, [&](store::ReadTransaction& transaction, const ApiCaller& caller) {
        return tell(transaction, caller, is_unknown);
      });
  if (is_unknown) {
    const OAuthError error{ErrorCode::kInvalidRequest, "", "stream_unknown", {}, {}};
    co_await record_refusal(call, error);
  }
  co_return response;
}

}  // namespace

Task<http::Response> ssf_read(Transmitter& transmitter, http::Request& request) {
  return answer(transmitter.services(), request, "signals.stream.read", [&transmitter](Call& call) {
    return tell_of_streams(call, [&transmitter, &call](store::ReadTransaction& transaction,
                                                       const ApiCaller& caller, bool& is_unknown) {
      const auto query = http::Form::parse(call.request.query);
      if (!stream_id_of(query).empty()) {
        const auto stream = own_stream(transmitter, transaction, caller, stream_id_of(query), call.now);
        is_unknown = !stream;
        return stream ? private_document(200, describe_stream(call.settings(), *stream)) : unknown_stream();
      }
      json::Value::Array all;
      for (const SignalStream& stream : transaction.list_streams(caller.client->id)) {
        if (!transmitter.is_idle(stream, call.now)) all.push_back(describe_stream(call.settings(), stream));
      }
      return private_document(200, all);
    });
  });
}

Task<http::Response> ssf_update(Transmitter& transmitter, http::Request& request) {
  return edit_stream(transmitter, request, false);
}

Task<http::Response> ssf_replace(Transmitter& transmitter, http::Request& request) {
  return edit_stream(transmitter, request, true);
}

Task<http::Response> ssf_delete(Transmitter& transmitter, http::Request& request) {
  return answer(transmitter.services(), request, "signals.stream.delete", [&transmitter](Call& call) {
    const auto named = http::Form::parse(call.request.query);
    return change_streams(transmitter, call, std::string(stream_id_of(named)),
                          [&transmitter, &call](store::Transaction& transaction, const ApiCaller& caller) {
                            const auto query = http::Form::parse(call.request.query);
                            const auto stream =
                                own_stream(transmitter, transaction, caller, stream_id_of(query), call.now);
                            if (!stream || !transaction.remove_stream(stream->id)) return deny_unknown(call);
                            transmitter.progress().forget(stream->id);
                            call.audit.details.set("stream", stream->id.text());
                            return no_content();
                          });
  });
}

Task<http::Response> ssf_read_status(Transmitter& transmitter, http::Request& request) {
  return answer(transmitter.services(), request, "signals.status.read", [&transmitter](Call& call) {
    return tell_of_streams(call, [&transmitter, &call](store::ReadTransaction& transaction,
                                                       const ApiCaller& caller, bool& is_unknown) {
      const auto query = http::Form::parse(call.request.query);
      const auto stream = own_stream(transmitter, transaction, caller, stream_id_of(query), call.now);
      is_unknown = !stream;
      return stream ? private_document(200, describe_status(*stream)) : unknown_stream();
    });
  });
}

Task<http::Response> ssf_set_status(Transmitter& transmitter, http::Request& request) {
  return with_body(
      transmitter, request, "signals.status.set", [&transmitter](Call& call, const json::Value& body) {
        return change_streams(
            transmitter, call, text_of(body, "stream_id"),
            [&transmitter, &call, body](store::Transaction& transaction, const ApiCaller& caller) {
              const std::string* id = body.find_string("stream_id");
              const std::string* wanted = body.find_string("status");
              if (id == nullptr || wanted == nullptr)
                return deny_with(call, malformed("stream_id and status are required").reason);
              auto stream = own_stream(transmitter, transaction, caller, *id, call.now);
              if (!stream) return deny_unknown(call);
              const StreamStatus before = stream->status;
              bool is_known = false;
              for (const StreamStatus status :
                   {StreamStatus::kEnabled, StreamStatus::kPaused, StreamStatus::kDisabled}) {
                if (*wanted != name_of(status)) continue;
                stream->status = status;
                is_known = true;
              }
              if (!is_known)
                return deny_with(call, malformed("status must be enabled, paused or disabled").reason);
              const auto reason = read_text(body, "reason", kMostText);
              if (!reason) return deny_with(call, reason.reason());
              stream->status_reason = *reason;
              // What happened while it was disabled is not told afterwards.
              if (before == StreamStatus::kDisabled) stream->cursor = transaction.last_revocation();
              transaction.put_stream(*stream);
              call.audit.details.set("stream", stream->id.text());
              call.audit.details.set("status", name_of(stream->status));
              return private_document(200, describe_status(*stream));
            });
      });
}

Task<http::Response> ssf_verify(Transmitter& transmitter, http::Request& request) {
  return with_body(
      transmitter, request, "signals.verify",
      [&transmitter](Call& call, const json::Value& body) -> Task<http::Response> {
        const std::string jti = "v" + call.new_id();
        co_return co_await change_streams(
            transmitter, call, text_of(body, "stream_id"),
            [&transmitter, &call, &body, &jti](store::Transaction& transaction, const ApiCaller& caller) {
              const std::string* id = body.find_string("stream_id");
              if (id == nullptr) return deny_with(call, malformed("stream_id is required").reason);
              auto stream = own_stream(transmitter, transaction, caller, *id, call.now);
              if (!stream) return deny_unknown(call);
              const auto state = read_text(body, "state", kMostState);
              if (!state) return deny_with(call, state.reason());
              if (call.now < stream->verified_at + Transmitter::kVerificationInterval) {
                return deny_with(
                    call, too_many_requests(Transmitter::kVerificationInterval, "verified_a_moment_ago"));
              }
              stream->verified_at = call.now;
              stream->verification_jti = jti;
              stream->verification_state = *state;
              transaction.put_stream(*stream);
              return no_content();
            });
      });
}

}  // namespace behalf::oauth
