#include "oauth/call.h"

#include <algorithm>

#include "base/log.h"

namespace behalf::oauth {
namespace {

constexpr int kMaxAttempts = 4;
// A clock that went back further than this is broken: what expired would live again (SECURITY.md, I2).
constexpr Seconds kMaxClockStep{300};

// W3C Trace Context: version-traceid-parent-flags; the id of the whole trace, or nothing.
std::string trace_of(const http::Request& request) {
  const std::string* header = request.headers.find("traceparent");
  if (header == nullptr || header->size() != 55 || (*header)[2] != '-' || (*header)[35] != '-') return {};
  const std::string trace = header->substr(3, 32);
  const bool is_hex = std::all_of(trace.begin(), trace.end(),
                                  [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  return is_hex && trace != std::string(32, '0') ? trace : std::string{};
}

struct Restart {};

UnixTime steady_now(const Services& services) {
  const UnixTime now = services.clock.now();
  const UnixTime high_water = services.store.high_water();
  if (now + kMaxClockStep < high_water) {
    throw store::StoreUnavailable("the clock is behind what has already been decided");
  }
  return std::max(now, high_water);
}

}  // namespace

Call::Call(Services& services_, const http::Request& request_, std::string_view event)
    : services(services_), request(request_), now(steady_now(services_)) {
  audit.event = event;
  audit.request_id = make_ordered_id(now, services.random);
  audit.trace = trace_of(request);
  audit.peer = request.peer;
  audit.reason = "unfinished";
}

void Call::restart() { throw Restart{}; }

void Call::deny(const OAuthError& error) {
  audit.outcome = AuditOutcome::kDenied;
  audit.error = name_of(error.code);
  audit.reason = error.reason;
}

store::Committer::Pending Call::commit(std::function<void(store::Transaction&)> decide) {
  return services.store.submit(
      [this, base = audit, decide = std::move(decide)](store::Transaction& transaction) {
        audit = base;
        decide(transaction);
        transaction.append_audit(audit, now);
      });
}

Task<http::Response> answer(Services& services, http::Request& request, std::string event,
                            std::function<Task<http::Response>(Call&)> attempt) {
  std::string fault;
  bool is_store_fault = true;
  for (int i = 0; i < kMaxAttempts; ++i) try {
      Call call(services, request, event);
      http::Response response = co_await attempt(call);
      co_return response;
    } catch (const Restart&) {
      fault = "the registry kept changing";
      continue;
    } catch (const store::StoreUnavailable& unavailable) {
      fault = unavailable.what();
      break;
    } catch (const std::exception& exception) {
      fault = exception.what();
      is_store_fault = false;
      break;
    }
  log_fault(event, fault);
  if (is_store_fault) co_return unavailable_response();
  co_return plain_error(500, "server_error", "something is broken here; nothing was issued");
}

Task<void> record(Call& call) {
  auto pending = call.commit([](store::Transaction&) {});
  co_await pending.durable();
}

Task<void> record_refusal(Call& call, const OAuthError& error) {
  call.deny(error);
  if (error.code == ErrorCode::kTooManyRequests) {
    const auto unwritten = call.services.limits.admit_record();
    if (!unwritten) co_return;
    if (*unwritten > 0) call.audit.details.set("unwritten_before", static_cast<int64_t>(*unwritten));
  }
  co_await record(call);
}

Task<http::Response> refuse_call(Call& call, OAuthError error, Challenge challenge) {
  co_await record_refusal(call, error);
  co_return error_response(error, challenge);
}

}  // namespace behalf::oauth
