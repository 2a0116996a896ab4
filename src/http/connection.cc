// A connection's life:  kHandshake → kIdle → kHead → kBody → kAnswering → kIdle … → kLingering → closed
// and, where a front sends requests on, kRelaying in kAnswering's place.
// Every phase has a deadline, kept as a tick number and compared once a tick for all connections: a timer for
// each operation costs a sixth of the throughput. Refusals end in kLingering: closing over unread bytes would
// reset the connection and take the answer with it (RFC 9112 §9.6).
#include <string.h>

#include <algorithm>

#include "http/worker.h"
#include "http/writer.h"

namespace behalf::http {
namespace {

constexpr uint64_t kNever = UINT64_MAX;
constexpr size_t kLingerBytes = 1024 * 1024;
constexpr Seconds kLingerTime{2};
constexpr Seconds kBriefTime{2};
// What is read of a refused request's body so that its connection can serve another.
constexpr size_t kDropBytes = 64 * 1024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

Awaitable<void> Connection::serve(std::unique_ptr<Connection> connection) {
  Connection& self = *connection;
  const Shared& shared = self.worker_.shared();
  bool open = true;
  if (shared.tls) {
    self.enter(Phase::kHandshake, self.patience(self.limits().header_time));
    self.wire_.tls.emplace(*shared.tls, self.wire_.socket.native_handle());
    open = co_await self.wire_.shake_hands();
  }
  while (open && !self.worker_.is_stopping()) {
    // Here and not in a coroutine of its own: its frame would be the only memory that a request needs which
    // is refused.
    self.begin_to_receive();
    int status = self.look_for_head();
    while (status == kMore) {
      if (self.wire_.tls) {
        status = co_await self.fill();
      } else {
        error_code failure;
        const size_t count = co_await self.wire_.socket.async_read_some(
            self.wire_.room_to_read(), asio::redirect_error(kAwait, failure));
        status = self.took(count, failure);
      }
      if (status == kFine) status = self.look_for_head();
    }
    if (status == kFine) status = self.take_head();
    if (status == kMore) status = co_await self.receive_body(self.limits().body_bytes);
    if (status == kGone) break;
    if (status != kFine) {
      // Not as an argument of the call: GCC 12 ends such a temporary twice.
      Response refusal = status == 503 ? come_back() : text_response(status, reason_phrase(status));
      co_await self.refuse(std::move(refusal));
      break;
    }
    if (shared.front) {
      const Body body = self.has_body() ? Body::kWaiting : Body::kNone;
      self.ask_front(body);
      if (!self.plan_) co_await self.wait_for_answer();
      if (body == Body::kNone && std::holds_alternative<Response>(*self.plan_)) {
        open = self.answer_now(std::get<Response>(*self.plan_));
        if (!self.unsent_.empty()) open = co_await self.send_rest();
      } else {
        open = co_await self.follow_front(body);
      }
      if (self.is_brief()) open = false;
    } else if (self.is_shed()) {
      self.phase_ = Phase::kAnswering;
      self.deadline_ = self.request_deadline_;
      open = self.tell_to_come_back();
      if (!self.unsent_.empty()) open = co_await self.send_rest();
    } else {
      self.phase_ = Phase::kAnswering;
      self.deadline_ = self.request_deadline_;
      self.begin_handler();
      if (!self.plan_) co_await self.wait_for_answer();
      open = self.answer_now(std::get<Response>(*self.plan_));
      if (!self.unsent_.empty()) open = co_await self.send_rest();
    }
    self.release_memory();
  }
  if (self.wire_.tls) self.wire_.tls->close();
}

Awaitable<void> Connection::wait_for_answer() {
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
      [this](auto resume) { waiting_.emplace(std::move(resume)); }, kAwait);
}

// Sends what the socket takes at once, which is nearly always all of it. True if the connection may serve
// another request; where something is left in `unsent_`, send_rest() says so.
bool Connection::begin_sending(std::string_view output, bool stays_open) {
  unsent_ = output;
  stays_open_ = stays_open;
  if (wire_.send_now(unsent_)) return stays_open;
  unsent_ = {};
  return false;
}

bool Connection::answer_now(const Response& response) {
  const bool stays_open = write_response(response);
  return begin_sending(output_, stays_open);
}

// Under load most answers are this one: its text is made once a second, and no memory of this connection's
// own is used.
bool Connection::tell_to_come_back() {
  const bool is_usual =
      head_.keep_alive && !is_brief() && !worker_.is_stopping() && request_.method != "HEAD";
  if (!is_usual) return answer_now(come_back());
  const bool open = begin_sending(worker_.come_back_text(), true);
  if (!unsent_.empty()) {
    output_ = unsent_;
    unsent_ = output_;
  }
  return open;
}

Awaitable<bool> Connection::send_rest() {
  deadline_ = std::min(deadline_, worker_.tick_within(limits().send_time));
  const bool sent = co_await wire_.send(unsent_);
  unsent_ = {};
  co_return sent&& stays_open_;
}

Awaitable<bool> Connection::answer(const Response& response) {
  bool open = answer_now(response);
  if (!unsent_.empty()) open = co_await send_rest();
  co_return open;
}

Awaitable<void> Connection::refuse(Response response) {
  head_.keep_alive = false;
  write_response(response);
  enter(Phase::kAnswering, kLingerTime);
  const bool sent = co_await wire_.send(output_);
  if (sent) co_await close_gently();
}

Awaitable<bool> Connection::follow_front(Body body) {
  for (;;) {
    if (auto* forward = std::get_if<Forward>(&*plan_)) {
      if (body == Body::kTooLarge) co_return false;
      Forward onward = std::move(*forward);
      // What follows a request to upgrade is of neither protocol until the origin has agreed.
      if (!onward.upgrade.empty() && (!wire_.received().empty() || body != Body::kNone)) {
        co_await refuse(text_response(400, reason_phrase(400)));
        co_return false;
      }
      const bool open = co_await relay(std::move(onward), body);
      co_return open;
    }
    if (const auto* wanted = std::get_if<ReadBody>(&*plan_)) {
      if (body != Body::kWaiting) co_return false;
      const size_t limit = std::min(wanted->limit, limits().body_bytes);
      const int status = head_.content_length > limit ? 413 : co_await receive_body(limit);
      if (status == kGone) co_return false;
      if (status != kFine && status != 413) {
        co_await refuse(text_response(status, reason_phrase(status)));
        co_return false;
      }
      body = status == kFine ? Body::kRead : Body::kTooLarge;
      ask_front(body);
      if (!plan_) co_await wait_for_answer();
      continue;
    }
    if (body == Body::kWaiting && !head_.chunked && !head_.wants_continue &&
        head_.content_length <= kDropBytes) {
      const int status = co_await receive_body(kDropBytes);
      if (status != kFine) co_return false;
      body = Body::kRead;
      phase_ = Phase::kAnswering;
      deadline_ = request_deadline_;
    }
    if (body == Body::kWaiting || body == Body::kTooLarge) {
      Response response = std::move(std::get<Response>(*plan_));
      co_await refuse(std::move(response));
      co_return false;
    }
    const bool open = co_await answer(std::get<Response>(*plan_));
    co_return open;
  }
}

Awaitable<bool> Connection::relay(Forward forward, Body body) {
  phase_ = Phase::kRelaying;
  deadline_ = kNever;
  relay_ = std::make_unique<Relay>(worker_, wire_, request_, head_, body, std::move(forward));
  const int status = co_await relay_->run();
  relay_.reset();
  phase_ = Phase::kAnswering;
  deadline_ = worker_.tick_in(kLingerTime);
  if (status == Relay::kDone) co_return true;
  if (status == Relay::kBroken) co_return false;
  if (status == Relay::kClose) {
    co_await close_gently();
    co_return false;
  }
  const bool unread = body == Body::kWaiting;
  if (unread) {
    co_await refuse(text_response(status, reason_phrase(status)));
    co_return false;
  }
  const Response failed = text_response(status, reason_phrase(status));
  const bool open = co_await answer(failed);
  co_return open;
}

void Connection::check_deadline(uint64_t tick) {
  if (relay_) return relay_->check(tick);
  if (tick < deadline_) return;
  deadline_ = kNever;
  switch (phase_) {
    case Phase::kHead:
    case Phase::kBody: {
      timed_out_ = true;
      error_code ignored;
      wire_.socket.cancel(ignored);  // wakes the reader, who can still say 408
      break;
    }
    case Phase::kHandshake:
    case Phase::kAnswering:
    case Phase::kRelaying:  // has its own
    case Phase::kLingering:
      // Otherwise the kernel would go on holding megabytes for a client that does not read.
      wire_.reset();
      break;
    case Phase::kIdle:
      wire_.cut();
      break;
  }
}

void Connection::begin_stop() {
  switch (phase_) {
    case Phase::kHandshake:
    case Phase::kIdle:
    case Phase::kLingering:
      wire_.cut();
      break;
    case Phase::kHead:
    case Phase::kBody:
    case Phase::kAnswering:
    case Phase::kRelaying:
      break;  // write_response sees that we are stopping
  }
}

void Connection::cut() {
  if (relay_) return relay_->cut();
  wire_.cut();
}

bool Connection::give_way() {
  if (gave_way_ || phase_ == Phase::kAnswering || phase_ == Phase::kRelaying) return false;
  gave_way_ = true;
  cut();
  return true;
}

bool Connection::is_vital(std::string_view path) const {
  const auto& vital = limits().vital;
  return std::find(vital.begin(), vital.end(), path) != vital.end();
}

bool Connection::is_shed() {
  if (!shed_) shed_ = worker_.sheds_this_one() && !is_vital(request_.path);
  return *shed_;
}

// How long it may take, of what connections usually may.
Seconds Connection::patience(Seconds usual) const {
  return is_brief() ? Seconds{std::min(usual.count, kBriefTime.count)} : usual;
}

void Connection::release_memory() {
  wire_.release_memory();
  for (std::string* text : {&output_, &request_.body, &request_.query}) {
    if (text->empty()) continue;
    explicit_bzero(text->data(), text->size());
    text->clear();
  }
  request_.headers.clear();
  if (output_.capacity() > Wire::kIdleBytes) output_ = std::string();
  if (request_.body.capacity() > Wire::kIdleBytes) request_.body = std::string();
  plan_.reset();
}

Awaitable<int> Connection::fill() {
  const bool more = co_await wire_.fill();
  if (timed_out_) co_return 408;
  co_return more ? kFine : kGone;
}

int Connection::took(size_t count, error_code failure) {
  if (timed_out_) return 408;
  if (failure || count == 0) return kGone;
  wire_.took(count);
  return kFine;
}

void Connection::begin_to_receive() {
  enter(Phase::kIdle, patience(limits().idle_time));
  scanner_.reset();
  head_ = Head();
  shed_.reset();
  request_.method.clear();
  request_.headers.clear();
  request_.body.clear();
}

// kFine if a head is here, kMore if it is not whole.
int Connection::look_for_head() {
  if (wire_.received().empty()) return kMore;
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kHead;
    deadline_ = worker_.tick_within(patience(limits().header_time));
    request_deadline_ = worker_.tick_in(limits().request_time);
    deadline_ = std::min(deadline_, request_deadline_);
  }
  const auto found = scanner_.scan(wire_.received(), limits());
  if (!found) return kMore;
  if (!*found) return found->reason();
  head_size_ = found->value();
  return kFine;
}

// kMore if a body is still to be received.
int Connection::take_head() {
  if (worker_.is_behind() && !worker_.shared().front && !is_brief() && drop_in_a_crowd()) return kFine;
  const auto head = read_head(wire_.received().substr(0, head_size_), limits(), request_);
  if (!head) return head.reason();
  head_ = *head;
  wire_.consume(head_size_);
  name_peer();
  if (is_brief() && !is_vital(request_.path)) return 503;
  if (!has_body() || worker_.shared().front) return kFine;
  if (head_.chunked || head_.content_length > wire_.received().size()) return kMore;
  request_.body = wire_.received().substr(0, head_.content_length);
  wire_.consume(head_.content_length);
  return kFine;
}

// While the loop is behind most requests are refused, and of those nothing is kept. True if that is decided
// and the whole request is behind us; otherwise it is read like any other, and where `shed_` says nothing, it
// is asked when the body is here.
bool Connection::drop_in_a_crowd() {
  shed_ = false;
  if (!worker_.sheds_this_one()) return false;
  RequestLine line;
  const auto head = check_head(wire_.received().substr(0, head_size_), limits(), line);
  if (!head || is_vital(line.path)) return false;
  shed_.reset();
  if (head->chunked || head->content_length > wire_.received().size() - head_size_) return false;
  shed_ = true;
  head_ = *head;
  request_.method = line.method;
  wire_.consume(head_size_ + head_.content_length);
  return true;
}

Awaitable<int> Connection::receive_body(size_t limit) {
  phase_ = Phase::kBody;
  deadline_ = worker_.tick_within(limits().body_time);
  deadline_ = std::min(deadline_, request_deadline_);
  if (head_.wants_continue && wire_.received().empty()) {
    const bool sent = co_await wire_.send(kContinue);
    if (!sent) co_return kGone;
  }
  ChunkedBody chunks;
  for (;;) {
    std::string_view rest = wire_.received();
    if (head_.chunked) {
      const ChunkedBody::State state = chunks.take(rest, request_.body, limit);
      if (state == ChunkedBody::State::kMalformed) co_return 400;
      if (state == ChunkedBody::State::kTooLarge) co_return 413;
      wire_.consume(wire_.received().size() - rest.size());
      if (state == ChunkedBody::State::kComplete) co_return kFine;
    } else {
      const size_t part = std::min(head_.content_length - request_.body.size(), rest.size());
      request_.body.append(rest.substr(0, part));
      wire_.consume(part);
      if (request_.body.size() == head_.content_length) co_return kFine;
    }
    const int status = co_await fill();
    if (status != kFine) co_return status;
  }
}

// Who is asking, and over what. A proxy's word counts only where the operator has said so, and only its last:
// what stands further left came from the client.
void Connection::name_peer() {
  request_.peer = peer_;
  request_.secure = wire_.tls.has_value();
  const auto& trusted = worker_.shared().trusted_proxies;
  if (trusted.empty() || std::find(trusted.begin(), trusted.end(), peer_) == trusted.end()) return;
  std::string client = canonical_address(last_element(request_.headers, "X-Forwarded-For"));
  if (!client.empty()) request_.peer = std::move(client);
  if (last_element(request_.headers, "X-Forwarded-Proto") == "https") request_.secure = true;
}

void Connection::begin_handler() {
  const auto done = [this](std::optional<Response> response, const std::exception_ptr&) {
    if (Loop::current() == &worker_) return complete(std::move(response));
    worker_.post([this, ended = std::move(response)]() mutable { complete(std::move(ended)); });
  };
  plan_.reset();
  try {
    start(worker_.shared().handler(request_), done);
  } catch (...) {
    complete(std::optional<Response>());  // it threw before it was a task
  }
}

void Connection::ask_front(Body body) {
  phase_ = Phase::kAnswering;
  deadline_ = request_deadline_;
  const auto done = [this](std::optional<Plan> plan, const std::exception_ptr&) {
    if (Loop::current() == &worker_) return complete(std::move(plan));
    worker_.post([this, ended = std::move(plan)]() mutable { complete(std::move(ended)); });
  };
  plan_.reset();
  try {
    start(worker_.shared().front(request_, body), done);
  } catch (...) {
    complete(std::optional<Plan>());
  }
}

// May end the connection and free it before it returns.
template <class Answer>
void Connection::complete(std::optional<Answer> answer) {
  if (answer) {
    plan_.emplace(std::move(*answer));
  } else {
    plan_.emplace(json_response(500, R"({"error":"server_error"})"));
  }
  if (!waiting_) return;  // still within begin_handler(): its caller goes on by itself
  Resume resume = std::move(*waiting_);
  waiting_.reset();
  std::move(resume)();
}

// True if the connection may serve another request.
bool Connection::write_response(const Response& response) {
  output_.clear();
  const bool close = !head_.keep_alive || response.close || is_brief() || worker_.is_stopping();
  const Persistence persistence = close ? Persistence::kClose : Persistence::kKeepAlive;
  const BodyRule rule = request_.method == "HEAD" ? BodyRule::kLeaveOut : BodyRule::kSend;
  if (!write_answer(output_, response, rule, persistence, worker_.date())) {
    const Response fault = json_response(500, R"({"error":"server_error"})");
    return write_answer(output_, fault, rule, persistence, worker_.date()) && !close;
  }
  return !close;
}

Awaitable<void> Connection::close_gently() {
  enter(Phase::kLingering, kLingerTime);
  wire_.finish();
  if (!worker_.is_stopping()) co_await wire_.drain(kLingerBytes);
}

}  // namespace behalf::http
